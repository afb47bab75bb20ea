"""Gyre's sealed links with an independent implementation (tools/rudp_peer.py), both ways.

The independent end drops datagrams by count, on their way in and out. Of messages that may be lost, how many come back depends
on how busy the machine is. The client sends messages of every order and compares
what comes back. Every case runs at the same time.
"""
import json
import os
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

OURS = os.environ["RUDP_PEER"]
THEIRS = ["/usr/bin/python3", str(Path(__file__).resolve().parents[2] / "tools" / "rudp_peer.py")]
SECRET = "42" * 32
MESSAGES = 60
LIMIT_S = 14


class Case:
    """One server, one client: {name: what it said at its end}."""

    def __init__(self, server, client):
        self.programs, self.said, self.wrong, self.took_s = (server, client), [], None, 0

    def run(self):
        began, running = time.monotonic(), []
        try:
            server, client = self.programs
            echo = subprocess.Popen(server, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            running.append(echo)
            where = echo.stdout.readline().split()[1]
            done = subprocess.Popen([word.replace("ADDRESS", where) for word in client], text=True, stdout=subprocess.PIPE)
            running.append(done)
            self.said.append(done.communicate(timeout=LIMIT_S)[0])
            self.said.append(echo.communicate(timeout=LIMIT_S)[0])
            if done.returncode or echo.returncode:
                self.wrong = f"status {done.returncode} of the client, {echo.returncode} of the server"
        except Exception as error:  # told by the test
            self.wrong = repr(error)
        finally:
            for process in running:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe:
                        pipe.close()
        self.took_s = time.monotonic() - began


class Interop(unittest.TestCase):
    def test_messages_of_every_order_arrive_despite_loss(self):
        public = subprocess.run([OURS, "public", SECRET], capture_output=True, text=True, check=True).stdout.strip()
        cases = {}
        for acks in ("bitmap", "list"):
            ours, theirs = ["list"] if acks == "list" else [], ["--acks", acks]
            cases[f"gyre serves, {acks}, a client that moves"] = (6, 0), Case(
                [OURS, "echo", "127.0.0.1:0", SECRET, *ours],
                [*THEIRS, "client", "ADDRESS", public, "--messages", str(MESSAGES), *theirs, "--drop-in", "6", "--move"])
            for drops in ((0, 0), (7, 0), (0, 6), (5, 9)):
                lossy = [*theirs, "--drop-in", str(drops[0]), "--drop-out", str(drops[1])]
                name = f"{acks}, drops 1 of {drops[0]} in, of {drops[1]} out"
                cases[f"gyre serves, {name}"] = drops, Case(
                    [OURS, "echo", "127.0.0.1:0", SECRET, *ours],
                    [*THEIRS, "client", "ADDRESS", public, "--messages", str(MESSAGES), *lossy])
                cases[f"gyre dials, {name}"] = drops, Case(
                    [*THEIRS, "echo", "127.0.0.1:0", SECRET, *lossy],
                    [OURS, "client", "ADDRESS", public, str(MESSAGES), *ours])
        threads = [threading.Thread(target=case.run) for _, case in cases.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, (_, case) in cases.items():
            print(f"{name}: {case.took_s:.1f} s, {' '.join(case.said).strip()}", file=sys.stderr)
        recovered = {"ours": 0, "theirs": 0}
        for name, (drops, case) in cases.items():
            with self.subTest(name):
                self.assertIsNone(case.wrong)
                client = json.loads(case.said[0])
                self.assertEqual(client["reliable"], 3 * MESSAGES)
                theirs = client if name.startswith("gyre serves") else json.loads(case.said[1])
                self.assertEqual(theirs["refused"], 0)
                self.assertEqual(theirs["challenges"] > 0, "moves" in name)
                self.assertEqual(theirs["dropped_in"] > 0, drops[0] > 0)
                self.assertEqual(theirs["dropped_out"] > 0, drops[1] > 0)
                self.assertIn("bitmap" if "bitmap" in name else "few", theirs["heard_acks"])
                if theirs is not client:
                    self.assertEqual(client["refused"], 0)
                    recovered["ours"] += client["recovered"]
                recovered["theirs"] += theirs["recovered"]
        # Repairs of each end gave the other segments that were lost.
        self.assertGreater(min(recovered.values()), 0, recovered)


if __name__ == "__main__":
    unittest.main()
