#!/usr/bin/env python3
"""What a reload costs: ./dev bench reload.

Prints rows for bench.py: the pause of an incremental swap and the length of carrying 100,000 entities over (reload_cost), calls and
rows of a module beside the same code in the program, then a thousand swaps of the arena in a cluster that bots play on. `bench_reload.py
cost` leaves the cluster out.
"""
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import bench
from bench_cluster import BUILD, GYRE, JOBS, ROOT, readable_json, row, tree, wait_until
from bench_kernel import pinned

SWAPS = 1000
NODES = ("battle_0", "lobby_0", "battle_1", "gate_0")
BOTS = 100


def another_build(file, to):
    """The same module as another build: other bytes in its build id."""
    image = bytearray(file.read_bytes())
    at = image.find(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16
    if at < 16:
        raise SystemExit(f"{file} has no build id of 20 bytes")
    image[at] ^= 0xff
    to.write_bytes(image)
    return to


def mapped_modules(pid):
    """(files of modules that are mapped, bytes of them, open files) of a process and its children."""
    files, size, opened = set(), 0, 0
    for one in tree(pid):
        try:
            for line in Path(f"/proc/{one}/maps").read_text().splitlines():
                if ".so" in line and "/modules/" in line:
                    begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                    size += end - begin
                    files.add((one, line.split()[-1]))
            opened += sum(1 for _ in Path(f"/proc/{one}/fd").iterdir())
        except OSError:
            pass  # It has ended meanwhile.
    return len(files), size, opened


class Bots(threading.Thread):
    """Players until they are told to stop: one round after the other."""

    def __init__(self, data):
        super().__init__()
        self.data, self.enough, self.rounds = data, False, []

    def run(self):
        while not self.enough:
            done = subprocess.run([GYRE, "bots", "--data", self.data, "--count", str(BOTS), "--duration", "40s", "--json",
                                   "--seed", str(len(self.rounds) + 1)], stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=300)
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            self.rounds.append(json.loads(lines[-1]) if lines else {"errors": -1})

    def total(self, name):
        return sum(report.get(name) or 0 for report in self.rounds)


def reload(data, node, file):
    request = {"module": "arena", "file": str(file), "who": "bench"}
    done = subprocess.run([GYRE, "call", node, "ReloadService.reload", json.dumps(request), "--data", data, "--timeout", "60"],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"reload of {node}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def thousand_swaps():
    with tempfile.TemporaryDirectory(prefix="gyre-bench-") as data:
        first = BUILD / "lib/gyre/modules/arena.so"
        files = [another_build(first, Path(data) / "arena.so"), first]
        with open(Path(data) / "up.log", "wb") as log:
            up = subprocess.Popen([GYRE, "up", "--data", data, "--ports", "0"], stdout=log, stderr=log, cwd=ROOT)
        bots = Bots(data)
        try:
            wait_until("cluster.json", lambda: readable_json(Path(data) / "cluster.json"), up)
            # Players once, so that the nodes have opened their links to each other.
            subprocess.run([GYRE, "bots", "--data", data, "--count", str(BOTS), "--duration", "12s", "--seed", "99"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, timeout=60, check=True)
            for swap in range(2 * len(NODES)):
                reload(data, NODES[swap % len(NODES)], files[swap // len(NODES) % 2])
            time.sleep(12)  # Trusted by now; the build before is a file only.
            warm = mapped_modules(up.pid)
            bots.start()
            time.sleep(8)  # They are in, and in matches.
            pauses = []
            for swap in range(SWAPS):
                report = reload(data, NODES[swap % len(NODES)], files[swap // len(NODES) % 2])
                pauses.append(report["swap_ms"])
            bots.enough = True
            bots.join()
            time.sleep(12)
            end = mapped_modules(up.pid)
            row("swaps", SWAPS, "")
            row("swaps_bot_errors", bots.total("errors"), "")
            row("swaps_matches", bots.total("matches_finished"), "")
            row("swaps_pause_max", round(max(pauses), 3), "ms")
            row("swaps_mapped_files_grown", end[0] - warm[0], "")
            row("swaps_mapped_kib_grown", round((end[1] - warm[1]) / 1024, 1), "KiB")
            row("swaps_open_files_grown", end[2] - warm[2], "")
            worst = max(report.get("input_to_state_ms", {}).get("p99", 0) or 0 for report in bots.rounds)
            row("swaps_input_to_state_p99", worst, "ms")
        except BaseException:
            print((Path(data) / "up.log").read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            bots.enough = True
            up.send_signal(signal.SIGTERM)
            up.wait(40)


def main(arguments):
    subprocess.run(["cmake", "--build", BUILD, "-j", JOBS, "--target", "gyre_up", "reload_cost"], check=True, stdout=sys.stderr)
    done = subprocess.run([*pinned(1), str(bench.BUILD / "bin" / "reload_cost")], stdout=subprocess.PIPE, text=True, timeout=300,
                          check=True)
    worst = {}
    for sample in bench.parse(done.stdout):
        print(json.dumps(sample), flush=True)
        worst[sample["name"]] = max(worst.get(sample["name"], 0), sample["value"])
    for name in ("incremental_pause", "carry_over"):
        row(f"{name}_max", worst[name], "ms")
    if arguments != ["cost"]:
        thousand_swaps()


if __name__ == "__main__":
    main(sys.argv[1:])
