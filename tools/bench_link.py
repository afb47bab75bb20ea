#!/usr/bin/env python3
"""What links cost: ./dev bench link.

Prints rows for bench.py: the 99th percentile of the one-way latency of standard KCP beside kcp-go's, between real
sockets over `gyre link` with equal seeds, the two in turn, seven times; the same links in virtual time; and what
bench/asked.json asks of PARTS: sealing, handshakes, segments, ports and sockets. `bench_link.py latency` leaves
all but the first out. In all 6 minutes and what the parts take.
"""
import json
import re
import shutil
import signal
import subprocess
import sys

import bench

PARTS = ("secure", "net", "io")
CONNECTIONS = 100
SECONDS = 6  # each way 30 messages a second and connection; the first 30 do not count
CELLS = {"rtt60_loss1": "rtt=60ms,loss=1%", "rtt60_loss5": "rtt=60ms,loss=5%", "rtt60_loss10": "rtt=60ms,loss=10%"}
BIN = bench.BUILD / "bin"
GO = bench.BUILD / "kcp_go"


def row(name, value, unit, **more):
    print(json.dumps({"name": name, "value": value, "unit": unit, **more}), flush=True)


def build():
    subprocess.run(["cmake", "--build", bench.BUILD, "--target", "kcp_peer", "gyre_cli", "link_cells"], check=True,
                   stdout=sys.stderr)


def build_go():
    """Whether kcp-go is here; if not, a row says so."""
    error = "no go here; Debian: apt-get install golang-go"
    if shutil.which("go"):
        done = subprocess.run(["go", "build", "-o", GO, "."], cwd=bench.ROOT / "tests" / "kcp" / "go", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0:
            return True
        error = f"cannot be built: {done.stdout.strip()[-200:]}"
    print(json.dumps({"name": "peer_kcp_go", "error": error}), flush=True)
    return False


def latencies_ms(program, link, seed):
    """One-way latencies of both directions, sorted."""
    words = ["-connections", str(CONNECTIONS), "-seconds", str(SECONDS)]
    started = []
    try:
        server = subprocess.Popen([program, "latency-server", "127.0.0.1:0", *words], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        started.append(server)
        where = server.stdout.readline().split()[1]
        relay = subprocess.Popen([BIN / "gyre", "link", "--listen", "127.0.0.1:0", "--to", where, "--link", link,
                                  "--seed", str(seed), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(relay)
        door = re.search(r"link (\S+:\d+) -> ", relay.stderr.readline())[1]
        client = subprocess.run([program, "latency-client", door, *words], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        heard = [json.loads(client.stdout), json.loads(server.communicate(timeout=20)[0])]
        relay.send_signal(signal.SIGINT)
        told = json.loads(relay.communicate(timeout=20)[0])
    finally:
        for process in started:
            process.kill()
            process.wait()
    both = sorted(us / 1000 for end in heard for us in end["latency_us"])
    expected = sum(end["expected"] for end in heard)
    if len(both) < 0.999 * expected or told["up"]["relay"] + told["down"]["relay"] > 0:
        raise ValueError(f"{program} over {link}: {len(both)} of {expected} messages arrived: {told}")
    return both, told


def at(share, ordered):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def latency(pairs):
    programs = [("gyre", BIN / "kcp_peer")] + ([("kcp-go", GO)] if build_go() else [])
    for pair in range(pairs):
        for cell, link in CELLS.items():
            reached = {}
            for name, program in programs if pair % 2 == 0 else programs[::-1]:
                reached[name] = latencies_ms(program, link, 1 + pair)
            for figure, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
                beside = {"peer": "kcp-go", "peer_value": at(share, reached["kcp-go"][0])} if "kcp-go" in reached else {}
                row(f"standard_{cell}_{figure}", at(share, reached["gyre"][0]), "ms", **beside)
            if "kcp-go" in reached:
                bytes_of = {name: told["up"]["bytes"] + told["down"]["bytes"] for name, (_, told) in reached.items()}
                row(f"standard_{cell}_bytes", bytes_of["gyre"], "B", peer="kcp-go", peer_value=bytes_of["kcp-go"])


def parts():
    asked = json.loads((bench.ROOT / "bench" / "asked.json").read_text())
    for part in PARTS:
        names = sorted({entry["name"].split("/")[0] for entry in asked.get(part, [])})
        if not names or part not in bench.bench_targets():
            continue  # What is asked of it is reported as missing.
        command = [*bench.program_of(part), f"--benchmark_filter=^({'|'.join(names)})(/|$)"]
        for sample in bench.measure(command):
            print(json.dumps(sample | {"name": f"{part}/{sample['name']}"}), flush=True)


def main(words):
    build()
    latency(bench.PAIRS)
    if "latency" in words:
        return
    print(subprocess.run([BIN / "link_cells"], stdout=subprocess.PIPE, text=True, check=True).stdout, end="", flush=True)
    parts()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        print(f"bench_link: {error}", file=sys.stderr)
        sys.exit(1)
