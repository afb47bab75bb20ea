#!/usr/bin/env python3
"""Calls, tasks, timers, worlds and codec beside their peers: ./dev bench kernel.

Prints rows for bench.py. Server and client are processes of one thread (gRPC starts its own), pinned to
core 0 and core 1, with real-time priority where that is allowed; what is compared is run in turn, seven
times. The benchmarks of PARTS run for what bench/asked.json asks of them. A peer that cannot be built or
run is a row with an error. `bench_kernel.py calls` leaves the parts and callgrind out.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import bench

PARTS = ("task", "ecs", "codec", "world")
PART_SECONDS_MAX = 150
RUN_SECONDS = 0.4
WINDOWS = (1, 256, 4096)
BIN = bench.BUILD / "bin"
PEERS = bench.ROOT / "build" / "peers"
# Name: (server, client, windows). The raw client drives what speaks its frames.
ECHOES = {"raw_epoll": ("raw", "raw", WINDOWS), "gyre": ("gyre", "gyre", WINDOWS), "asio": ("asio", "raw", WINDOWS),
          "libuv": ("uv", "raw", WINDOWS), "grpc": ("grpc", "grpc", (1, 256))}
# Row: what kernel_gyre repeats, how often under callgrind.
OPERATIONS = {"rpc_both_ends": ("rpc", 12_800), "entity_call_here": ("here", 10_000),
              "entity_call_here_64_bytes": ("here_64", 10_000),
              "entity_call_here_coroutine": ("here_task", 10_000), "task_await": ("task", 100_000),
              "codec_encode": ("encode", 10_000), "codec_decode": ("decode", 10_000)}


def row(name, value, unit, **more):
    print(json.dumps({"name": name, "value": value, "unit": unit, **more}), flush=True)


def failed(name, error):
    print(json.dumps({"name": name, "error": str(error)}), flush=True)


class Broken(Exception):
    pass


def pinned(core):
    """How to start something alone on a core."""
    command = ["taskset", "-c", str(core % os.cpu_count())]
    realtime = ["chrt", "-f", "10"]
    if subprocess.run([*realtime, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        return [*command, *realtime]
    print("bench_kernel: no real-time priority here; other programs disturb more", file=sys.stderr)
    return command


def output(command, seconds=60):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Broken(f"{Path(command[-1]).name if len(command) == 1 else command}: no end in {seconds} s")
    if done.returncode:
        raise Broken(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def unpack_msgpack_cxx():
    """Its package conflicts with Boost 1.81's, so it is unpacked beside the build."""
    if (PEERS / "msgpack" / "usr" / "include" / "msgpack.hpp").exists():
        return
    PEERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        subprocess.run(["apt-get", "download", "-q", "libmsgpack-cxx-dev"], cwd=folder, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        packages = list(Path(folder).glob("*.deb"))
        if not packages:
            raise Broken("apt-get download libmsgpack-cxx-dev brought nothing")
        subprocess.run(["dpkg", "-x", packages[0], PEERS / "msgpack"], check=True)


def build(names):
    """Programs that are there afterwards; the others get a row with the error."""
    subprocess.run(["cmake", bench.BUILD], check=True, stdout=subprocess.DEVNULL)
    built = set()
    for name in names:
        done = subprocess.run(["cmake", "--build", bench.BUILD, "-j", str(os.cpu_count()), "--target", f"kernel_{name}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            built.add(name)
        else:
            print(done.stdout[-3000:], file=sys.stderr)
            lines = [line for line in done.stdout.splitlines() if re.search(r"error|^no ", line)]
            failed(f"peer_{name}", f"cannot be built: {lines[0] if lines else done.stdout.strip()[-200:]}")
    return built


class Server:
    def __init__(self, name, stack):
        self.process = subprocess.Popen([*pinned(0), BIN / f"kernel_{name}", "server"], stdout=subprocess.PIPE, text=True)
        stack.callback(self.stop)
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            raise Broken(f"kernel_{name} server did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()


def pair(name, unit, own, peer_name, peer):
    if own is not None and peer is not None:
        row(name, own, unit, peer=peer_name, peer_value=peer)


def calls(built):
    """Every echo in turn, at each number of calls outstanding."""
    with ExitStack() as stack:
        servers = {}
        for name, (server, client, _) in ECHOES.items():
            if {server, client} <= built:
                try:
                    servers[name] = Server(server, stack)
                except Broken as error:
                    failed(f"peer_{name}", error)
        core = pinned(1)
        for _ in range(bench.PAIRS):
            for window in WINDOWS:
                reached = {}
                for name, server in list(servers.items()):
                    if window not in ECHOES[name][2]:
                        continue
                    client = BIN / f"kernel_{ECHOES[name][1]}"
                    try:
                        reached[name] = json.loads(output([*core, client, "client", server.port, str(window),
                                                           str(RUN_SECONDS)]))
                    except Broken as error:
                        failed(f"peer_{name}", error)
                        del servers[name]
                show_calls(window, reached)


def show_calls(window, reached):
    figure, unit = ("p50_us", "us") if window == 1 else ("calls_per_s", "/s")
    end = "ping_pong_p50" if window == 1 else f"pipelined_{window}"
    raw = reached.get("raw_epoll", {}).get(figure)
    for name, measured in reached.items():
        if name != "raw_epoll":
            pair(f"{'rpc' if name == 'gyre' else name}_{end}", unit, measured[figure], "raw_epoll", raw)
    if {"gyre", "grpc"} <= reached.keys():
        pair(f"rpc_{end}_over_grpc", unit, reached["gyre"][figure], "grpc", reached["grpc"][figure])


def redis():
    """What a well-known server reaches for 64 bytes, with its own client and 64 requests a write."""
    if not (shutil.which("redis-server") and shutil.which("redis-benchmark")):
        return failed("peer_redis", "no redis-server or redis-tools here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([*pinned(0), "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                                   "--appendonly", "no", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            for _ in range(100):
                if "PONG" in subprocess.run(["redis-cli", "-p", port, "ping"], capture_output=True, text=True).stdout:
                    break
                time.sleep(0.05)
            for _ in range(3):
                text = output([*pinned(1), "redis-benchmark", "-p", port, "-c", "50", "-P", "64", "-d", "64", "-n", "400000",
                               "-t", "ping_mbulk,set", "--csv"])
                for line in text.splitlines()[1:]:
                    test, rate = [cell.strip('"') for cell in line.split(",")[:2]]
                    row(f"redis_{test.split('_')[0].lower()}_c50_p64", float(rate), "/s")
        except Broken as error:
            failed("peer_redis", error)
        finally:
            server.terminate()
            server.wait(10)


def without_debug_info():
    """A copy of kernel_gyre and its library: Debian's valgrind cannot read what lld 19 writes."""
    copy = bench.ROOT / "build" / "bench" / "callgrind"
    for file in ("bin/kernel_gyre", "lib/libgyre.so"):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["objcopy", "--strip-debug", bench.BUILD / file, copy / file], check=True)
    return str(copy / "bin" / "kernel_gyre")


def instructions(*command):
    """Instructions callgrind counts in one run."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120,
                          env={**os.environ, "LD_LIBRARY_PATH": str(Path(command[0]).parent.parent / "lib")})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise Broken(f"callgrind: {done.stderr.strip()[-300:]}")
    return int(found[1])


def operations(count_instructions):
    """One operation of the engine by itself: its time, allocations and instructions."""
    program, core = str(BIN / "kernel_gyre"), pinned(1)
    stripped = without_debug_info() if count_instructions else None
    for name, (what, times) in OPERATIONS.items():
        try:
            for _ in range(bench.PAIRS):
                measured = json.loads(output([*core, program, "repeat", what, str(times * 8)]))
                row(name, measured["ns"], "ns", allocations=measured["allocations"])
            if count_instructions:
                # Each run repeats its operation twice; the difference of two runs leaves start and end out.
                more = instructions(stripped, "repeat", what, str(times * 2))
                less = instructions(stripped, "repeat", what, str(times))
                row(name, None, "ns", instructions=round((more - less) / (2 * times), 1))
        except (Broken, FileNotFoundError, subprocess.TimeoutExpired) as error:
            failed(name, error)


def parts():
    asked = json.loads((bench.ROOT / "bench" / "asked.json").read_text())
    there = set(bench.bench_targets())
    for part in PARTS:
        names = sorted({entry["name"].split("/")[0] for entry in asked.get(part, [])})
        if not names or part not in there:
            continue  # What is asked of it is reported as missing.
        try:
            command = bench.command_for(part) + [f"--benchmark_filter=^({'|'.join(names)})(/|$)"]
            started = time.monotonic()
            for sample in bench.parse(output([*pinned(1), *command], PART_SECONDS_MAX)):
                print(json.dumps(sample | {"name": f"{part}/{sample['name']}"}), flush=True)
            print(f"bench_kernel: {part} took {time.monotonic() - started:.0f} s", file=sys.stderr)
        except (Broken, ValueError, subprocess.CalledProcessError) as error:
            failed(part, error)


def main(arguments):
    whole = arguments != ["calls"]
    programs = ["gyre", "raw", "asio", "uv", "grpc"]
    try:
        unpack_msgpack_cxx()
        programs.append("msgpack")
    except (Broken, FileNotFoundError, subprocess.CalledProcessError) as error:
        failed("peer_msgpack", error)
    built = build(programs)
    calls(built)
    operations(whole)
    redis()
    if "msgpack" in built:
        print(output([*pinned(1), BIN / "kernel_msgpack"]), flush=True)
    if whole:
        parts()


if __name__ == "__main__":
    main(sys.argv[1:])
