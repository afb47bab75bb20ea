"""Gyre's standard KCP with other implementations, both ways, over `gyre link` that loses a fifth of all datagrams.

The client sends messages of 1 byte to 100 KB and compares what comes back byte by byte; in message mode the echo
also says how long each message was that it got, so that borders are compared, too. Every case runs at the same time.
    KCP_WITH=go (default) or rust
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
GYRE = os.environ["GYRE"]
OURS = os.environ["KCP_PEER"]
BUILD = Path(os.environ["KCP_BUILD"])
WITH = os.environ.get("KCP_WITH", "go")
SEED = os.environ.get("GYRE_SEED", "1")
LIMIT_S = 58


def build_go():
    if not shutil.which("go"):
        raise SystemExit("kcp: no go here; Debian: apt-get install golang-go")
    subprocess.run(["go", "build", "-o", str(BUILD / "kcp_go"), "."], cwd=HERE / "go", check=True)
    return str(BUILD / "kcp_go")


def build_rust():
    if not shutil.which("cargo"):
        raise SystemExit("kcp: no cargo here: https://rustup.rs")
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", str(BUILD / "kcp_rust")],
                   cwd=HERE / "rust", check=True)
    return str(BUILD / "kcp_rust" / "release" / "kcp_peer")


class Case:
    """One client, one link, one server."""

    def __init__(self, server, client, words, rounds, seed):
        self.programs, self.words, self.rounds, self.seed = (server, client), words, rounds, seed
        self.running, self.said, self.lost, self.took_s = [], "never ran", [0, 0], 0

    def start(self, command, **more):
        process = subprocess.Popen(command, text=True, **more)
        self.running.append(process)
        return process

    def run(self):
        server, client = self.programs
        began = time.monotonic()
        try:
            echo = self.start([server, "echo", "127.0.0.1:0", *self.words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            where = echo.stdout.readline().split()[1]
            link = self.start([GYRE, "link", "--listen", "127.0.0.1:0", "--to", where, "--link", "rtt=20ms,loss=20%",
                               "--seed", str(self.seed), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            door = re.search(r"link (\S+:\d+) -> ", link.stderr.readline())[1]
            done = self.start([client, "client", door, "-rounds", str(self.rounds), *self.words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.said = done.communicate(timeout=LIMIT_S)[0].strip()
            link.send_signal(signal.SIGINT)
            told = json.loads(link.communicate(timeout=10)[0])
            self.lost = [told[way]["loss"] / told[way]["received"] for way in ("up", "down")]
        except Exception as error:  # told by the test
            self.said = repr(error)
        finally:
            for process in reversed(self.running):
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe:
                        pipe.close()
        self.took_s = time.monotonic() - began


class Interop(unittest.TestCase):
    def test_messages_and_streams_arrive_despite_loss(self):
        theirs = build_rust() if WITH == "rust" else build_go()
        cases = {}
        for names, server, client in (("gyre serves", OURS, theirs), ("gyre dials", theirs, OURS)):
            for mode, words, rounds in (("fast", [], 4), ("normal", ["-normal"], 1)):
                for carries, more in (("messages", []), ("stream", ["-stream"])):
                    cases[f"{names} {WITH}, {mode}, {carries}"] = Case(server, client, words + more, rounds,
                                                                      100 * int(SEED) + len(cases))
        threads = [threading.Thread(target=case.run) for case in cases.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, case in cases.items():
            print(f"{name}: {case.said}, {max(case.lost):.0%} lost, {case.took_s:.1f} s", file=sys.stderr)
        for name, case in cases.items():
            with self.subTest(name):
                self.assertRegex(case.said, rf"^ok {5 * case.rounds} messages ")
                self.assertGreater(min(case.lost), 0.1)


if __name__ == "__main__":
    unittest.main()
