"""gyre up in one process: starts, tells where everything is, survives, ends."""
import os
import pty
import signal
import socket
import stat
import subprocess
import unittest

from cluster import GYRE, SMALL, ClusterTest, alive, wait_until


class Up(ClusterTest):
    def test_says_where_everything_is_and_ends_cleanly(self):
        up = self.up()
        file = self.cluster_file()
        self.assertEqual(file["pid"], up.pid)
        self.assertEqual(file["mode"], "process")
        self.assertEqual([n["name"] for n in file["nodes"]], ["dispatcher_0", "battle_0", "lobby_0", "gate_0"])
        for node in file["nodes"]:
            self.assertIn(node["address"], self.out())
        for name in ("gate_0", "battle_0"):
            client = next(n for n in file["nodes"] if n["name"] == name)["client_address"]
            self.assertNotIn(client.split(":")[1], ("0", ""))
            self.assertIn(client, self.out())
        self.assertNotIn("\x1b", self.out())
        self.assertIn("node.started", (self.data / "logs/gyre.log").read_text())

        child = file["nodes"][0]["pid"]
        self.end(up)
        self.assertFalse(alive(child))
        self.assertFalse((self.data / "cluster.json").exists())

    def test_keeps_its_secrets_to_itself(self):
        self.up()
        self.assertEqual(stat.S_IMODE(self.data.stat().st_mode), 0o700)
        keys = [(self.data / f"{name}.key") for name in ("cluster", "login", "ticket")]
        for key in keys:
            self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
            self.assertEqual(key.stat().st_size, 32)
        self.assertEqual(len({key.read_bytes() for key in keys}), 3)

    def test_keys_stay_the_same_and_down_ends_it(self):
        up = self.up()
        before = (self.data / "login.key").read_bytes()
        self.assertEqual(self.gyre("down").returncode, 0)
        self.assertEqual(up.wait(5), 0)
        self.assertIn("no cluster runs", self.gyre("down").stderr)
        up = self.up()
        self.assertEqual((self.data / "login.key").read_bytes(), before)
        self.end(up, signal.SIGTERM)

    def test_a_killed_process_comes_back_at_its_addresses(self):
        up = self.up()
        before = self.nodes()
        os.kill(before["gate_0"]["pid"], signal.SIGKILL)
        wait_until("it is back", lambda: "is back" in self.err())
        self.assertIn("killed by signal 9", self.err())
        after = self.nodes()
        self.assertEqual(after.keys(), before.keys())
        for name, node in after.items():
            self.assertNotEqual(node["pid"], before[name]["pid"])
            self.assertEqual(node["address"], before[name]["address"])
            self.assertEqual(node["client_address"], before[name]["client_address"])
        self.end(up)

    def test_ctrl_c_twice_by_a_wrapper_is_once(self):
        up = self.up()
        os.killpg(up.pid, signal.SIGINT)
        os.kill(up.pid, signal.SIGINT)
        self.end(up)
        self.assertNotIn("without saving", self.err())

    def test_a_configuration_broken_meanwhile_ends_the_restarts(self):
        up = self.up()
        child = self.cluster_file()["nodes"][0]["pid"]
        (self.folder / "gyre.json").write_text('{"cluster": {"zoen": 1}}')
        os.kill(child, signal.SIGKILL)
        self.assertEqual(up.wait(20), 2)
        self.assertIn('did you mean "zone"?', self.err())

    def test_ctrl_c_while_it_starts(self):
        self.configure(SMALL)
        up = self.start_up("--set", "cluster.registry.kind=etcd", "--set",
                           'cluster.registry.endpoints=["127.0.0.1:1"]')
        wait_until("it waits", lambda: "still waiting for the node process" in self.err())
        self.end(up)

    def test_the_nodes_end_with_their_parent(self):
        up = self.up()
        child = self.cluster_file()["nodes"][0]["pid"]
        up.kill()
        up.wait()
        wait_until("the child is gone", lambda: not alive(child))
        # Nothing of it stands in the way of the next one.
        self.end(self.up())

    def test_the_second_one_in_a_folder_is_refused(self):
        up = self.up()
        second = self.gyre("up")
        self.assertEqual(second.returncode, 2)
        self.assertIn(f"in_use: a cluster runs in {self.data} already (pid {up.pid})", second.stderr)
        self.assertEqual(self.gyre("node", "--all").returncode, 2)
        self.assertEqual(len(self.nodes()), 4)

    def test_a_node_that_does_not_end_is_killed_at_the_limit(self):
        up = self.up("--set", "cluster.drain_limit=200ms")
        child = self.cluster_file()["nodes"][0]["pid"]
        os.kill(child, signal.SIGSTOP)
        self.end(up, code=1)
        self.assertFalse(alive(child))
        self.assertIn("does not end: killed", self.err())

    def test_a_second_ctrl_c_ends_it_at_once(self):
        up = self.up()
        child = self.cluster_file()["nodes"][0]["pid"]
        os.kill(child, signal.SIGSTOP)
        os.killpg(up.pid, signal.SIGINT)
        wait_until("it is told", lambda: "again: at once" in self.err())
        os.killpg(up.pid, signal.SIGINT)  # so soon, it is the same one once more
        wait_until("asked again", lambda: os.killpg(up.pid, signal.SIGINT) or "without saving" in self.err())
        self.assertEqual(up.wait(20), 130)
        self.assertFalse(alive(child))

    def test_ports_counted_from_one(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = min(probe.getsockname()[1], 65000)
        up = self.start_up("--ports", first, "--set", "cluster.drain_limit=5s", "--set",
                           'cluster.nodes=[{"name":"d","role":"dispatcher"}]', "--set",
                           'cluster.modules=["dispatcher"]')
        wait_until("up", lambda: (self.data / "cluster.json").exists() or up.poll() is not None)
        self.assertEqual(self.cluster_file()["nodes"][0]["address"], f"127.0.0.1:{first}")

    def test_a_node_alone_is_told_to_use_etcd(self):
        self.configure(SMALL)
        alone = self.gyre("node", "--name", "gate_0")
        self.assertEqual(alone.returncode, 2)
        self.assertIn("cluster.registry.kind: embedded", alone.stderr)
        nobody = self.gyre("node", "--name", "gate_7")
        self.assertEqual(nobody.returncode, 2)
        self.assertIn("no node gate_7 in cluster.nodes, which are: gate_0, lobby_0", nobody.stderr)

    def test_colours_on_a_terminal_only(self):
        self.up()

        def on_terminal(**more):
            master, slave = pty.openpty()
            subprocess.run([GYRE, "ps"], cwd=self.folder, stdout=slave, check=True,
                           env={**self.environment, "TERM": "xterm", **more})
            os.close(slave)
            text = os.read(master, 65536)
            os.close(master)
            return text

        self.environment.pop("NO_COLOR", None)
        self.assertIn(b"\x1b[", on_terminal())
        self.assertNotIn(b"\x1b[", on_terminal(NO_COLOR="1"))
        self.assertNotIn("\x1b[", self.gyre("ps").stdout)


if __name__ == "__main__":
    unittest.main()
