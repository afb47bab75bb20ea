#!/usr/bin/env python3
"""The running cluster: memory when idle, 500 bots for a minute, rebuild of one game module, clean build.

Prints rows for bench.py (./dev bench cluster). `bench_cluster.py running` leaves the builds out.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
GYRE = BUILD / "bin" / "gyre"
JOBS = str(os.cpu_count())


def row(name, value, unit):
    print(json.dumps({"name": name, "value": value, "unit": unit}), flush=True)


def tree(pid):
    """The process and its descendants."""
    pids = [pid]
    for found in pids:
        for children in Path(f"/proc/{found}/task").glob("*/children"):
            try:
                pids += [int(child) for child in children.read_text().split()]
            except OSError:
                pass  # The thread ended meanwhile.
    return pids


def rss_mib(pid):
    total_kib = 0
    for found in tree(pid):
        try:
            status = Path(f"/proc/{found}/status").read_text()
        except OSError:
            continue
        total_kib += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return total_kib / 1024


def wait_until(what, condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise SystemExit(f"gyre up ended with {process.returncode} before it was up")
        if time.monotonic() > end:
            raise SystemExit(f"no {what} after {seconds} s")
        time.sleep(0.05)


def readable_json(path):
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False


def figure(report, name):
    """`rtt_ms_p99` is report["rtt_ms_p99"] or report["rtt_ms"]["p99"]."""
    if name in report:
        return report[name]
    outer, _, inner = name.rpartition("_")
    return report[outer].get(inner) if isinstance(report.get(outer), dict) else None


def running_cluster():
    with tempfile.TemporaryDirectory(prefix="gyre-bench-") as data:
        with open(Path(data) / "up.log", "wb") as log:
            up = subprocess.Popen([GYRE, "up", "--data", data, "--ports", "0"], stdout=log, stderr=log, cwd=ROOT)
        try:
            wait_until("cluster.json", lambda: readable_json(Path(data) / "cluster.json"), up)
            time.sleep(5)  # What starting needed is given back by then.
            row("idle_rss_mib", round(rss_mib(up.pid), 1), "MiB")
            bots = subprocess.run([GYRE, "bots", "--data", data, "--count", "500", "--duration", "60s", "--json"],
                                  stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=300)
            lines = [line for line in bots.stdout.splitlines() if line.startswith("{")]
            report = json.loads(lines[-1]) if lines else {}
            row("bots_500_errors", report.get("errors"), "")
            row("bots_500_logged_in", report.get("logins"), "")
            row("bots_500_matches", report.get("matches_finished"), "")
            for name in ("rtt_ms_p50", "rtt_ms_p99", "input_to_state_ms_p50", "input_to_state_ms_p99"):
                row(name, figure(report, name), "ms")
            row("bots_500_rss_mib", round(rss_mib(up.pid), 1), "MiB")
            if bots.returncode:
                print(f"gyre bots ended with {bots.returncode}", file=sys.stderr)
        except BaseException:
            print((Path(data) / "up.log").read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            up.send_signal(signal.SIGTERM)
            try:
                up.wait(30)
            except subprocess.TimeoutExpired:
                print("gyre up did not end in 30 s", file=sys.stderr)
                for pid in reversed(tree(up.pid)):
                    os.kill(pid, signal.SIGKILL)
                up.wait()


def module_rebuild():
    """Seconds from a touched game source to its module, without help from the compiler cache."""
    sources = [p for p in (ROOT / "games").rglob("*.cpp") if not p.stem.endswith(("_test", "_bench", "_fuzz"))]
    if not sources:
        return
    source = max(sources, key=lambda p: p.stat().st_size)
    os.utime(source)
    started = time.monotonic()
    subprocess.run(["cmake", "--build", BUILD, "-j", JOBS, "--target", "gyre_up"], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "CCACHE_RECACHE": "1"})
    row("module_rebuild_s", round(time.monotonic() - started, 2), "s")


def clean_build():
    """Minutes from an empty folder and an empty compiler cache to everything, tests included."""
    folder = ROOT / "build" / "clean"
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    environment = {**os.environ, "CCACHE_DISABLE": "1"}
    for command in (["cmake", "--preset", "release", "-B", folder], ["cmake", "--build", folder, "-j", JOBS]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment)
    row("clean_build_minutes", round((time.monotonic() - started) / 60, 2), "min")
    shutil.rmtree(folder)


def main(arguments):
    subprocess.run(["cmake", "--build", BUILD, "-j", JOBS, "--target", "gyre_up"], check=True, stdout=sys.stderr)
    running_cluster()
    if arguments != ["running"]:
        module_rebuild()
        clean_build()


if __name__ == "__main__":
    main(sys.argv[1:])
