"""gyre up --processes: one process a node, and an etcd."""
import os
import re
import signal
import unittest
import urllib.request
from pathlib import Path

from cluster import ClusterTest, alive, wait_until


class Processes(ClusterTest):
    def etcd(self):
        return re.search(r"starting \w+ (?:etcd )?at (\S+)", self.err())[1]

    def etcd_pid(self):
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == b"etcd" and str(self.data / "etcd").encode() in words:
                return int(entry)
        return None

    def test_each_node_lives_and_dies_alone(self):
        up = self.up("--processes")
        before = self.nodes()
        pids = {name: node["pid"] for name, node in before.items()}
        self.assertEqual(len(set(pids.values())), 4)
        self.assertEqual(self.cluster_file()["mode"], "processes")
        self.assertEqual(len(self.cluster_file()["nodes"]), 4)
        for name in pids:
            self.assertTrue((self.data / f"nodes/{name}.json").exists())
        self.assertIn("etcdserver", urllib.request.urlopen(f"http://{self.etcd()}/version").read().decode())

        os.kill(pids["lobby_0"], signal.SIGKILL)
        wait_until("it is told", lambda: re.search(r"lobby_0 \(pid \d+\) was killed by signal 9", self.err()))
        wait_until("it is back", lambda: "lobby_0 is back" in self.err())
        wait_until("all see it", lambda: self.nodes().get("lobby_0", {}).get("pid") not in (None, pids["lobby_0"]))
        after = self.nodes()
        self.assertEqual({n: v["pid"] for n, v in after.items() if n != "lobby_0"},
                         {n: p for n, p in pids.items() if n != "lobby_0"})
        self.assertEqual(after["lobby_0"]["address"], before["lobby_0"]["address"])
        self.assertEqual(self.call("lobby_0", "NodeService.info")["pid"], after["lobby_0"]["pid"])

        etcd = self.etcd_pid()
        self.assertTrue(etcd)
        self.end(up)
        self.assertFalse(any(alive(v["pid"]) for v in after.values()))
        self.assertFalse(alive(etcd))

    def test_etcd_dies_and_nobody_else(self):
        up = self.up("--processes")
        before = self.nodes()
        os.kill(self.etcd_pid(), signal.SIGKILL)
        wait_until("it is told", lambda: re.search(r"etcd \(pid \d+\) was killed", self.err()))
        wait_until("another one runs", lambda: self.etcd_pid())
        self.assertEqual({n: v["pid"] for n, v in self.nodes().items()}, {n: v["pid"] for n, v in before.items()})
        self.end(up)

    def test_a_configuration_broken_meanwhile_leaves_the_others(self):
        up = self.up("--processes")
        before = self.nodes()
        good = (self.folder / "gyre.json").read_text()
        (self.folder / "gyre.json").write_text('{"cluster": {"zoen": 1}}')
        os.kill(before["battle_0"]["pid"], signal.SIGKILL)
        wait_until("it is refused", lambda: self.err().count('did you mean "zone"?') >= 2)
        (self.folder / "gyre.json").write_text(good)
        wait_until("it is back", lambda: "battle_0 is back" in self.err())
        after = {name: node["pid"] for name, node in self.nodes().items() if name != "battle_0"}
        self.assertEqual(after, {n: v["pid"] for n, v in before.items() if n != "battle_0"})
        self.end(up)

    def test_an_etcd_that_runs_is_used(self):
        first = self.up("--processes")
        endpoint, data = self.etcd(), self.data
        other = type(self)("test_an_etcd_that_runs_is_used")
        other.setUp()
        self.addCleanup(other.doCleanups)
        second = other.up("--processes", "--set", f'cluster.registry.endpoints=["{endpoint}"]')
        self.assertIn(f"using the etcd at {endpoint}", other.err())
        self.assertIsNone(other.etcd_pid())
        # Two clusters in one etcd do not see each other.
        theirs, ours = other.nodes(), self.nodes()
        self.assertEqual(theirs.keys(), ours.keys())
        self.assertFalse({n["pid"] for n in theirs.values()} & {n["pid"] for n in ours.values()})
        other.end(second)
        self.assertEqual(len(self.nodes()), 4)
        self.end(first)

    def test_one_that_cannot_start_ends_all(self):
        up = self.start_up("--processes", "--set", "gate.max_sesions=1", "--set",
                           'cluster.modules=["gate","lobby","dispatcher","battle","arena"]', "--set",
                           'cluster.nodes=[{"name":"gate_0","role":"gate"},{"name":"lobby_0","role":"lobby"}]')
        self.assertEqual(up.wait(30), 2)
        self.assertIn('did you mean "max_sessions"?', self.err())
        self.assertIsNone(self.etcd_pid())

    def test_without_etcd_it_says_what_is_missing(self):
        self.environment["PATH"] = "/nowhere"
        up = self.start_up("--processes")
        self.assertEqual(up.wait(30), 2)
        self.assertIn("cannot start etcd: etcd: No such file or directory (package etcd-server", self.err())


if __name__ == "__main__":
    unittest.main()
