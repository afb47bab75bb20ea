"""gyre bots: players through the front door of a real cluster."""
import json
import subprocess
import unittest
import urllib.error
import urllib.request

from cluster import GYRE, ClusterTest, wait_until

ROLES = ("account", "gate", "lobby", "dispatcher", "battle")
CONFIG = {
    "cluster": {"modules": [*ROLES, "arena"], "nodes": [{"name": f"{role}_0", "role": role} for role in ROLES]},
    "account": {"memory_kib": 1024, "passes": 1},
    "arena": {"seconds": 2},
}


NOWHERE = ["--account", "127.0.0.1:1", "--gate", "127.0.0.1:1", "--server-key", "A" * 43]


class Bots(ClusterTest):
    def account(self, path, **body):
        node = next(n for n in self.cluster_file()["nodes"] if n["role"] == "account")
        request = urllib.request.Request(f"http://{node['http_address']}/{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def test_they_log_in_play_and_leave_without_an_error(self):
        self.up(config=CONFIG)
        for _ in range(2):  # the second time they have accounts
            done = self.gyre("bots", "--count", "6", "--duration", "8s", "--json", timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            line = done.stdout.splitlines()[-1]
            report = json.loads(line)
            self.assertEqual(list(report), ["bots", "logins", "matches_finished", "messages", "errors", "ramp_s",
                                            "duration_s", "rtt_ms", "input_to_state_ms"])
            self.assertEqual((report["bots"], report["logins"], report["errors"]), (6, 6, 0))
            self.assertGreaterEqual(report["matches_finished"], 1)
            self.assertGreater(report["messages"], 500)
            self.assertAlmostEqual(report["duration_s"], 8, delta=1)
            for times in (report["rtt_ms"], report["input_to_state_ms"]):
                self.assertEqual(list(times), ["p50", "p95", "p99"])
                self.assertTrue(0 < times["p50"] <= times["p95"] <= times["p99"], times)
            self.assertNotIn("cores", done.stdout)

    def test_a_summary_for_people(self):
        self.up(config=CONFIG)
        done = self.gyre("bots", "--count", "2", "--duration", "1s", timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 of 2 logged in", done.stdout)
        self.assertIn("errors             0", done.stdout)

    def test_accounts(self):
        self.up(config=CONFIG)
        status, made = self.account("register", name="Alice", password="sesame")
        self.assertEqual(status, 201)
        status, again = self.account("login", name="alice", password="sesame")
        self.assertEqual((status, again["entity"]), (200, made["entity"]))
        self.assertEqual(self.account("login", name="alice", password="not it")[0], 401)
        status, taken = self.account("register", name="ALICE", password="another")
        self.assertEqual((status, taken["type"]), (409, "gyre:name_taken"))

    def play_over(self, transport, *settings):
        self.up(*settings, config=CONFIG)
        bots = subprocess.Popen([GYRE, "bots", "--count", "6", "--duration", "5s", "--transport", transport, "--json"],
                                cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.kill, bots)
        links = wait_until("their links", lambda: len(found := self.call("gate_0", "Clients.links", "10")) == 6 and found)
        for link in links:
            self.assertEqual(link["transport"], transport)
            self.assertGreater(link["bytes_sent"], 100)
        out, err = bots.communicate(timeout=60)
        self.assertEqual(bots.returncode, 0, err)
        report = json.loads(out.splitlines()[-1])
        self.assertEqual((report["logins"], report["errors"]), (6, 0), report)
        self.assertGreaterEqual(report["matches_finished"], 1)

    def test_they_play_over_reliable_udp(self):
        self.play_over("rudp")

    def test_they_play_over_plain_kcp(self):
        self.play_over("kcp", "--set", "gate.standard_kcp=true", "--set", "battle.standard_kcp=true")

    def test_a_bad_link_shows_what_each_transport_makes_of_it(self):
        self.up("--set", "gate.standard_kcp=true", "--set", "battle.standard_kcp=true", config=CONFIG)
        done = self.gyre("bots", "--count", "6", "--duration", "4s", "--transport", "rudp", "--link", "rtt=60ms,loss=5%", "--json", timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        reports = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([report["transport"] for report in reports], ["rudp", "tcp", "kcp"])
        for report in reports:
            self.assertEqual((report["logins"], report["errors"]), (6, 0), report)
            self.assertGreaterEqual(report["input_to_state_ms"]["p50"], 60)
            self.assertGreaterEqual(report["rtt_ms"]["p50"], 60)
            self.assertGreater(report["link_bytes"], 10_000)
        table = [line.split() for line in done.stderr.splitlines()]
        self.assertIn("INPUT_TO_STATE_MS", done.stderr)
        self.assertEqual([words[0] for words in table if words and words[0] in ("rudp", "tcp", "kcp")], ["rudp", "tcp", "kcp"])

    def test_what_is_asked_wrongly_is_told(self):
        for told, words in (
            ("expected such as 30s", ["--duration", "soon"]),
            ("--count: 0 is outside [1, 20000]", ["--count", "0", *NOWHERE]),
            ("--duration: 0s is outside", ["--duration", "1ms", *NOWHERE]),
            ("no file", ["--module", "nobody", *NOWHERE]),
            ("no module of bots", ["--module", "gate", *NOWHERE]),
            ("no-port", ["--account", "no-port", "--gate", "localhost:1", "--server-key", "A" * 43]),
            ("is no server key", ["--server-key", "short"]),
            ("loss=200%", ["--link", "loss=200%"]),
            ("--only", ["--only", *NOWHERE]),
            ("--data", ["--data"]),
        ):
            with self.subTest(words):
                done = self.gyre("bots", *words)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(told, done.stderr)

    def test_without_a_cluster_they_say_so(self):
        done = self.gyre("bots")
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        nobody = self.gyre("bots", "--count", "2", *NOWHERE)
        self.assertEqual(nobody.returncode, 1)
        self.assertIn("2 x log in: refused", nobody.stdout)


if __name__ == "__main__":
    unittest.main()
