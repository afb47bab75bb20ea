#!/usr/bin/env python3
"""What a line of the log costs beside spdlog's asynchronous logger, and how long a config takes to load.

Prints rows for bench.py: those of log_bench, and those that bench/asked.json asks of PARTS. Lines that reach
the file are counted by the second.
"""
import json
import subprocess
import sys

import bench

PARTS = ("config",)
RATES = {"sustained": "lines_per_s"}  # measured in nanoseconds a line


def run(part, names=()):
    """Samples of one benchmark; of the benchmarks called `names` alone when given."""
    command = bench.program_of(part)
    if names:
        command.append(f"--benchmark_filter=^({'|'.join(names)})(/|$)")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=bench.ROOT)
    return bench.parse(done.stdout)


def rate(sample):
    """Nanoseconds for one become a number for each second."""
    found = sample | {"name": RATES[sample["name"]], "unit": "/s", "value": 1e9 / sample["value"]}
    if "peer_value" in sample:
        found["peer_value"] = 1e9 / sample["peer_value"]
    return found


def main():
    asked = json.loads((bench.ROOT / "bench" / "asked.json").read_text())
    for sample in run("log"):
        print(json.dumps(rate(sample) if sample["name"] in RATES else sample), flush=True)
    for part in PARTS:
        names = sorted({entry["name"].split("/")[0] for entry in asked.get(part, [])})
        if not names or part not in bench.bench_targets():
            continue  # What is asked of it is reported as missing.
        for sample in run(part, names):
            print(json.dumps(sample | {"name": f"{part}/{sample['name']}"}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"bench_log: {error}", file=sys.stderr)
        sys.exit(1)
