#!/usr/bin/env python3
"""Runs benchmarks and holds them against bench/asked.json.

    bench.py [NAME...]     NAME: a module or folder with NAME_bench, or a group with tools/bench_NAME.py
    bench.py --list

Writes build/bench/NAME.json: rows {name, value, unit, peer, peer_value, ratio, ratio_min, ratio_max,
asked, met}. A program is Google Benchmark, or prints lines of JSON: {"name", "value", "unit"} and, when
it measured a peer right beside itself, {"peer", "peer_value"}; of one operation also {"instructions",
"allocations"}; {"name", "error"} for what could not be measured. A program that measured a pair less than
PAIRS times is run again until it has them, so pairs are interleaved. In Google Benchmark the peer of
`echo` is `echo/peer:asio`. ratio = value / peer_value, the median over the pairs.
asked.json: {"NAME": [{"name", "asked": "<= 8", "unit", "of": "ratio"}]}, of: value, ratio, instructions or
allocations; a name asked for and not measured is a failure, as is a figure that is not met, or an error.
A group that runs others says so in PARTS; row x of part p is its row p/x, and is asked the same.
"""
import importlib
import json
import operator
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
PAIRS = 7
BESIDE = ("instructions", "allocations")
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


def parse(output):
    """Samples of one run, from either protocol."""
    try:
        report = json.loads(output)
        if isinstance(report, dict) and "benchmarks" in report:
            return google(report["benchmarks"])
    except ValueError:
        pass
    samples = []
    for line in output.splitlines():
        if line.startswith("{"):
            sample = json.loads(line)
            if "name" not in sample or not sample.keys() & {"value", "error"}:
                raise ValueError(f"a row needs name and value: {line}")
            samples.append(sample)
    return samples


def google(benchmarks):
    """Repetitions of `NAME` and `NAME/peer:PEER` become pairs, first with first."""
    own, peers = {}, {}
    for run in benchmarks:
        if run.get("run_type") == "aggregate":
            continue
        if run.get("error_occurred"):
            raise ValueError(f"{run['name']}: {run.get('error_message')}")
        name = re.sub(r"/(repeats|iterations):\d+|/manual_time", "", run["run_name"])
        match = re.fullmatch(r"(.*)/peer:([^/]+)(.*)", name)
        if match:
            peers.setdefault(match[1] + match[3], []).append((match[2], run["real_time"]))
        else:
            own.setdefault(name, []).append((run["real_time"], run.get("label") or run["time_unit"]))
    if orphans := peers.keys() - own.keys():
        raise ValueError(f"peers measured without what they are compared with: {sorted(orphans)}")
    samples = []
    for name, runs in sorted(own.items()):
        for index, (value, unit) in enumerate(runs):
            sample = {"name": name, "value": value, "unit": unit}
            if name in peers:
                sample["peer"], sample["peer_value"] = peers[name][index]
            samples.append(sample)
    return samples


def measure(command):
    samples = []
    for run in range(PAIRS):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            samples += parse(done.stdout)
        except ValueError as error:
            raise SystemExit(f"bench: {command[0]}: {error}")
        if done.returncode:
            raise SystemExit(f"bench: {command[0]} ended with {done.returncode}\n{done.stdout}")
        pairs = {}
        for sample in samples:
            if "peer_value" in sample:
                pairs[sample["name"]] = pairs.get(sample["name"], 0) + 1
        if all(count >= PAIRS for count in pairs.values()):
            break
    return samples


def rows_of(samples, asked):
    """Samples of one name become one row; what is asked becomes met or not."""
    by_name = {}
    for sample in samples:
        by_name.setdefault(sample["name"], []).append(sample)
    wanted = {}
    for entry in asked:
        wanted.setdefault(entry["name"], []).append(entry)
    rows = []
    for name in [*by_name, *(name for name in wanted if name not in by_name)]:
        group = by_name.get(name, [])
        values = [s["value"] for s in group if s.get("value") is not None]
        row = {"name": name, "value": statistics.median(values) if values else None,
               "unit": group[0].get("unit", "") if group else wanted[name][0].get("unit", ""),
               "peer": None, "peer_value": None, "ratio": None, "asked": None, "met": None}
        pairs = [s for s in group if s.get("peer_value")]
        if pairs:
            ratios = [s["value"] / s["peer_value"] for s in pairs]
            row |= {"peer": pairs[0]["peer"], "peer_value": statistics.median(s["peer_value"] for s in pairs),
                    "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
        for key in BESIDE:
            if counts := [s[key] for s in group if s.get(key) is not None]:
                row[key] = statistics.median(counts)
        if errors := [s["error"] for s in group if "error" in s]:
            row["error"] = errors[0]
        if name not in wanted:
            rows.append(row)
        for entry in wanted.get(name, []):
            sign, bound = entry["asked"].split()
            figure = row.get(entry.get("of", "value"))
            of = {"value": "", "ratio": " x"}.get(entry.get("of", "value"), " " + entry.get("of", ""))
            rows.append(row | {"asked": entry["asked"] + of,
                               "met": figure is not None and COMPARE[sign](figure, float(bound))})
    return rows


def number(value):
    if value is None:
        return "missing"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def show(rows):
    """One table: what is asked and reached, the peer, and the counts that do not depend on load."""
    line = "{:<44} {:>10} {:<8} {:<12} {:>10} {:>6} {:<14} {:<16} {:<8} {:>9} {:>7}".format
    print(line("", "reached", "", "peer", "reached", "ratio", "(min..max)", "asked", "met", "instr/op", "alloc/op"))
    for row in rows:
        paired = row["ratio"] is not None
        cells = [row["name"], number(row["value"]), row["unit"], row["peer"] or "",
                 number(row["peer_value"]) if paired else "", f"{row['ratio']:.2f}" if paired else "",
                 f"({row['ratio_min']:.2f}..{row['ratio_max']:.2f})" if paired else "", row["asked"] or "",
                 "" if row["met"] is None else "met" if row["met"] else "NOT MET",
                 *(number(row[key]) if key in row else "" for key in BESIDE)]
        print(line(*cells).rstrip() + (f"  ERROR: {row['error']}" if "error" in row else ""), flush=True)


def bench_targets():
    found = subprocess.run(["ninja", "-C", str(BUILD), "-t", "targets", "all"], stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    return sorted(set(re.findall(r"^bin/(\w+)_bench:", found, re.M)))


def command_for(name):
    script = ROOT / "tools" / f"bench_{name}.py"
    if script.exists():
        return [sys.executable, str(script)]
    return program_of(name)


def program_of(name):
    """NAME_bench, built, whatever group there is of that name."""
    if name not in bench_targets():
        raise SystemExit(f"bench: nothing called {name}; there is: {' '.join(groups())}")
    subprocess.run(["cmake", "--build", str(BUILD), "-j", str(os.cpu_count()), "--target", f"{name}_bench"],
                   check=True, stdout=sys.stderr)
    return [str(BUILD / "bin" / f"{name}_bench"), "--benchmark_format=json",
            f"--benchmark_repetitions={PAIRS}", "--benchmark_enable_random_interleaving=true",
            "--benchmark_min_time=0.05"]


def parts_of(name):
    """Names of the groups that a group runs as its parts."""
    if not (ROOT / "tools" / f"bench_{name}.py").exists():
        return ()
    return getattr(importlib.import_module(f"bench_{name}"), "PARTS", ())


def asked_of(name, asked):
    found = list(asked.get(name, []))
    for part in parts_of(name):
        found += [entry | {"name": f"{part}/{entry['name']}"} for entry in asked.get(part, [])]
    return found


def groups():
    scripts = {p.stem.removeprefix("bench_") for p in (ROOT / "tools").glob("bench_*.py")} - {"test"}
    return sorted(scripts.union(bench_targets()))


def main(names):
    if names == ["--list"]:
        print("\n".join(groups()))
        return 0
    asked = json.loads((ROOT / "bench" / "asked.json").read_text())
    if unknown := asked.keys() - set(groups()):
        print(f"bench: asked.json asks for {sorted(unknown)}, which nothing measures")
    failures = 0 if names else len(unknown)
    for name in names or groups():
        print(f"== {name}", flush=True)
        rows = rows_of(measure(command_for(name)), asked_of(name, asked))
        target = ROOT / "build" / "bench" / f"{name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("[\n" + ",\n".join("    " + json.dumps(row) for row in rows) + "\n]\n")
        show(rows)
        failures += sum(row["met"] is False or "error" in row for row in rows)
    print(f"{failures} figures not met or not measured" if failures else "every figure asked for is met")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
