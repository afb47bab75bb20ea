#!/usr/bin/env python3
"""RUDP beside KCP, replay and ENet in virtual time, TCP and kcp-go in real time: ./dev bench rudp; 5 minutes.

    bench_rudp.py                   rows for bench.py: what bench/asked.json asks, then every cell of the matrix
    bench_rudp.py --write-docs      also writes the table of docs/rudp.md and docs/rudp_latency.svg
    bench_rudp.py --table [CELL...] [--contenders A,B] [--messages N] [--seeds 1,2]    for the eye
    bench_rudp.py --check PROGRAM   the cells of COMMIT against what is asked, with some margin: ctest -R rudp_cells
    bench_rudp.py --list

A cell is a link and a traffic (bench/rudp/cells.cpp); all contenders pass it in virtual time with equal seeds, so
figures are those of the protocols and equal on every machine. A ratio is to the better of KCP's two behaviours
(`kcp`: eager, as kcp-go; `kcp_first`: as the first KCP), both kcp_fast(), figure by figure and seed by seed.
"""
import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench
import bench_link
import rudp_docs

PROGRAM = bench.BUILD / "bin" / "rudp_cells"
REAL_TIME = bench.BUILD / "bin" / "rudp_real_time"
REAL = {"tcp": "tcp:cubic", "kcp_go": f"kcp_go:{bench_link.GO}"}  # The kernel's TCP and kcp-go, in real time.
KCP = ("kcp", "kcp_first")
PROFILES = ("rudp_economy", "rudp_balanced", "rudp_urgent")
CONTENDERS = (*KCP, "replay", "enet", *PROFILES)
FORMS = ("rudp_balanced_list", "rudp_urgent_list", "rudp_balanced_off", "rudp_balanced_copies", "rudp_urgent_copies")
SEEDS = range(1, 1 + bench.PAIRS)
MARGIN = 1.05  # of --check: few seeds

# name: (traffic, link) or (traffic, link up, link down). What the figures are asked of.
NAMED = {
    "none": ("30x64", "rtt=60ms"),
    "loss1": ("30x64", "rtt=60ms,loss=1%"),
    "loss2": ("30x64", "rtt=60ms,loss=2%"),
    "loss5": ("30x64", "rtt=60ms,loss=5%"),
    "loss10": ("30x64", "rtt=60ms,loss=10%"),
    "burst5": ("30x64", "rtt=60ms,jitter=5ms,loss=5%,burst=3"),
    "rate64k": ("30x64", "rtt=60ms,rate=64kbit/s,queue=200ms"),
    "overload": ("20x800down", "rtt=60ms,rate=64kbit/s,queue=200ms"),
}
OTHER = {
    "fast_clean_lan": ("60x32", "rtt=20ms,loss=0.5%"),
    "rtt20_loss2": ("30x64", "rtt=20ms,loss=2%"),
    "rtt120_loss5": ("30x64", "rtt=120ms,jitter=5ms,loss=5%"),
    "rtt120_loss10": ("30x64", "rtt=120ms,loss=10%"),
    "rtt250_loss2": ("30x64", "rtt=250ms,jitter=20ms,loss=2%"),
    "loss20": ("30x64", "rtt=60ms,loss=20%"),
    "sixty_loss5": ("60x32", "rtt=60ms,loss=5%"),
    "reorder": ("60x32", "rtt=60ms,jitter=5ms,reorder=5%/30ms"),
    "duplicate": ("30x64", "rtt=60ms,loss=1%,duplicate=5%"),
    "outage100": ("30x64", "rtt=60ms,outage=100ms/5s"),
    "one_way_loss": ("30x64", "rtt=60ms,loss=10%", "rtt=60ms,loss=0.5%"),
    "large_down": ("20x1024down", "rtt=60ms,loss=2%"),
    "bulk_64k": ("1x64000down", "rtt=60ms,loss=1%,rate=1Mbit/s,queue=200ms"),
    "black_hole": ("1x64000down", "rtt=60ms,loss=1%,mtu=1200"),
    "rebind": ("30x64", "rtt=60ms,loss=2%,rebind=10s"),
    "idle": ("idle", "rtt=60ms"),
}
COMMIT = ("none", "loss1", "loss5", "loss10", "burst5", "rate64k", "overload", "rtt20_loss2", "rtt120_loss5",
          "reorder", "outage100", "bulk_64k", "black_hole", "rebind")
FACTORS = {
    "rtt": ("20ms", "60ms", "120ms", "250ms"),
    "jitter": ("", "5ms", "20ms"),
    "loss": ("", "0.5%", "1%", "2%", "5%", "10%", "20%", "1%,burst=2", "1%,burst=3", "1%,burst=8", "5%,burst=2",
             "5%,burst=3", "5%,burst=8", "outage=50ms/5s", "outage=100ms/5s", "outage=300ms/10s"),
    "reorder": ("", "1%/20ms", "5%/20ms"),
    "duplicate": ("", "1%", "5%"),
    "rate": ("", "64kbit/s,queue=50ms", "64kbit/s,queue=200ms", "256kbit/s,queue=50ms", "256kbit/s,queue=200ms",
             "1Mbit/s,queue=50ms", "1Mbit/s,queue=200ms"),
    "traffic": ("30x64", "60x32", "20x1024down"),
}
PAIRWISE = 36  # Cells that cover as many pairs of FACTORS as so many can.


def grid():
    """Each cell covers most pairs that none before it covers; what a link cannot carry is left out."""
    choice = random.Random(1)
    factors = list(FACTORS)
    wanted = {((a, x), (b, y)) for a, b in itertools.combinations(factors, 2) for x in FACTORS[a] for y in FACTORS[b]}
    cells = {}
    while len(cells) < PAIRWISE:
        def covers(values):
            return [pair for pair in itertools.combinations(values.items(), 2) if pair in wanted]
        tried = [{name: choice.choice(FACTORS[name]) for name in factors} for _ in range(400)]
        tried = [one for one in tried if not (one["traffic"] == "20x1024down" and one["rate"].startswith("64k"))]
        best = max(tried, key=lambda one: len(covers(one)))
        wanted -= set(covers(best))
        knobs = [value if value.startswith("outage") else f"{name}={value}"
                 for name, value in best.items() if name != "traffic" and value]
        cells[f"grid{len(cells) + 1:02}"] = (best["traffic"], ",".join(knobs))
    return cells


CELLS = NAMED | OTHER | grid()


def messages_of(cell, most=20_000):
    traffic = CELLS[cell][0]
    if traffic == "idle":
        return 1
    if cell == "overload":
        return 1200  # a minute
    return most // 40 if traffic.startswith("1x") else most


def run(program, cell, contender, seed, most=20_000):
    traffic, *links = CELLS[cell]
    done = subprocess.run([program, contender, traffic, str(messages_of(cell, most)), str(seed), *links],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError(f"{contender} in {cell}, seed {seed}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def run_all(program, cells, contenders, seeds, most=20_000):
    """{(cell, contender): [result of each seed]}; a contender that is not in this build has no results."""
    wanted = [(cell, contender, seed) for cell in cells for contender in contenders for seed in seeds]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda what: run(program, *what, most), wanted))
    results = {}
    for (cell, contender, _), result in zip(wanted, found):
        results.setdefault((cell, contender), []).append(result)
    return results


def kcp_of(results, cell, index, figure):
    """The better of KCP's behaviours; none where neither delivers."""
    whole = [results[cell, name][index] for name in KCP]
    figures = [one[figure] for one in whole if one["delivered"] == one["sent"] and not one["failure"]]
    return min(figures, default=None)


def samples_of(results, cell, profile):
    """Rows of one cell and profile: each figure once a seed."""
    name = f"{cell}_{profile.removeprefix('rudp_')}"
    compares = all(kcp_of(results, cell, index, "p99") for index in range(len(results[cell, profile])))
    for index, result in enumerate(results[cell, profile]):
        whole = result["delivered"] == result["sent"] and not result["wrong"] and not result["failure"]
        if not whole and cell != "overload":
            yield {"name": name, "error": f"seed {SEEDS[index]}: {result['delivered']} of {result['sent']} arrived, "
                                          f"{result['wrong']} wrong; {result['failure']}"}
            continue
        for figure, unit in (("p50", "ms"), ("p99", "ms"), ("p999", "ms"), ("bytes", "x payload")):
            peer = kcp_of(results, cell, index, figure) if compares else None
            yield {"name": f"{name}_{figure}", "value": result[figure], "unit": unit} | (
                {"peer": "kcp", "peer_value": peer} if peer else {})
        for figure, unit in (("spurious", ""), ("goodput", ""), ("queue_p99", "ms")):
            if figure in result:
                yield {"name": f"{name}_{figure}", "value": result[figure], "unit": unit}


def asked():
    return json.loads((bench.ROOT / "bench" / "asked.json").read_text())["rudp"]


def check(program):
    """What is asked of the cells of COMMIT, and that every message arrives in all of them, once."""
    first = int(os.environ.get("GYRE_SEED", "1"))
    seeds = range(first, first + 3)
    results = run_all(program, COMMIT, (*KCP, *PROFILES), seeds)
    rows = [row for cell in COMMIT for profile in PROFILES for row in samples_of(results, cell, profile)]
    here = [entry for entry in asked() if entry["name"].split("_balanced")[0].split("_urgent")[0].split("_economy")[0] in COMMIT]
    for entry in here:
        sign, bound = entry["asked"].split()
        entry["asked"] = f"{sign} {float(bound) * MARGIN if sign.startswith('<') else float(bound) / MARGIN:.4f}"
    rows = bench.rows_of(rows, here)
    wrong = [row for row in rows if row["met"] is False or "error" in row]
    bench.show([row for row in rows if row["met"] is not None or "error" in row])
    print(f"GYRE_SEED={first}: {len(wrong)} of {len(here)} figures not met, or messages lost" if wrong else "met")
    return 1 if wrong else 0


def table(cells, contenders, seeds, most):
    results = run_all(PROGRAM, cells, contenders, seeds, most)
    line = "{:<16} {:<22} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6} {:>6} {:>8} {:>8} {:>6} {:>6}  {}".format
    print(line("", "", "p50", "p99", "p99.9", "max", "bytes", "/p99", "/bytes", "resent", "spurious", "good", "queue", ""))
    for cell in cells:
        for contender in contenders:
            got = results[cell, contender]

            def median(figure):
                return statistics.median(one[figure] for one in got) if all(figure in one for one in got) else None

            def ratio(figure):
                pairs = [(one[figure], kcp_of(results, cell, index, figure)) for index, one in enumerate(got)]
                return statistics.median(a / b for a, b in pairs) if all(b for _, b in pairs) else None

            def text(value, form):
                return "" if value is None else format(value, form)
            missing = [f"{one['delivered']}/{one['sent']} {one['failure']}" for one in got
                       if one["delivered"] != one["sent"] or one["failure"] or one["wrong"]]
            compares = all((cell, name) in results for name in KCP)
            print(line(cell, contender, text(median("p50"), ".1f"), text(median("p99"), ".1f"), text(median("p999"), ".1f"),
                       text(median("max"), ".0f"), text(median("bytes"), ".2f"),
                       text(ratio("p99"), ".2f") if compares else "", text(ratio("bytes"), ".2f") if compares else "",
                       text(median("resent"), ".4f"), text(median("spurious"), ".4f"), text(median("goodput"), ".3f"),
                       text(median("queue_p99"), ".0f"), "; ".join(missing[:2])).rstrip(), flush=True)


def real_time(results):
    """Adds those that cannot run in virtual time, one after the other; how late the machine was is beside them."""
    for contender, program in REAL.items():
        if contender == "kcp_go" and not bench_link.build_go():
            continue
        for cell in rudp_docs.PANELS:
            traffic, *links = CELLS[cell]
            done = subprocess.run([REAL_TIME, program, traffic, "20000", "1", "100", *links], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
            if done.returncode:
                print(json.dumps({"name": f"peer_{contender}", "error": done.stderr.strip()[-200:]}), flush=True)
                break
            results[cell, contender] = [result := json.loads(done.stdout)]
            for figure, unit in (("p50", "ms"), ("p99", "ms"), ("p999", "ms"), ("bytes", "x payload"), ("lag_p99", "ms")):
                print(json.dumps({"name": f"{cell}_{contender}_{figure}", "value": result[figure], "unit": unit}), flush=True)


def build():
    subprocess.run(["cmake", "--build", bench.BUILD, "--target", "rudp_cells", "rudp_real_time"], check=True, stdout=sys.stderr)


def has(contender):
    return subprocess.run([PROGRAM, contender, "30x64", "1", "1", "rtt=60ms"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--table", nargs="*", metavar="CELL")
    parser.add_argument("--contenders")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--check", metavar="PROGRAM")
    parser.add_argument("--list", action="store_true")
    words = parser.parse_args()
    if words.list:
        for cell, what in CELLS.items():
            print(f"{cell:<16} {'commit' if cell in COMMIT else '':<8} {'  '.join(what)}")
        return 0
    if words.check:
        return check(words.check)
    build()
    contenders = [name for name in words.contenders.split(",")] if words.contenders else \
        [name for name in CONTENDERS if has(name)]
    if words.table is not None:
        table(words.table or list(CELLS), contenders, [int(seed) for seed in words.seeds.split(",")], words.messages)
        return 0
    if "enet" not in contenders:
        print(json.dumps({"name": "peer_enet", "error": "no libenet here; Debian: apt-get install libenet-dev"}), flush=True)
    results = run_all(PROGRAM, CELLS, contenders, SEEDS)
    results |= run_all(PROGRAM, NAMED, FORMS, SEEDS)
    for cell in CELLS:
        for profile in PROFILES:
            for sample in samples_of(results, cell, profile):
                print(json.dumps(sample), flush=True)
    for cell in NAMED:
        for form in FORMS:
            for sample in samples_of(results, cell, form):
                print(json.dumps(sample), flush=True)
    real_time(results)
    if words.write_docs:
        rudp_docs.write(bench.ROOT, results, {cell: CELLS[cell] for cell in (*NAMED, *OTHER)})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        print(f"bench_rudp: {error}", file=sys.stderr)
        sys.exit(1)
