"""gyre ps and gyre call, and who may not call."""
import json
import os
import random
import shutil
import signal
import socket
import unittest

from cluster import ClusterTest, wait_until


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Call(ClusterTest):
    def test_ps(self):
        up = self.up()
        table = self.gyre("ps")
        self.assertEqual(table.returncode, 0, table.stderr)
        lines = table.stdout.splitlines()
        self.assertEqual(lines[0].split(), "ROLE NAME ADDRESS CLIENTS PID LOAD ENTITIES SESSIONS UP ENGINE MODULES".split())
        self.assertEqual([line.split()[1] for line in lines[1:]], ["battle_0", "dispatcher_0", "gate_0", "lobby_0"])
        for line in lines[1:]:
            self.assertEqual(line.index(line.split()[2]), lines[0].index("ADDRESS"))
        nodes = self.nodes()
        self.assertEqual(nodes["gate_0"]["role"], "gate")
        self.assertGreater(nodes["gate_0"]["started_ms"], 0)
        self.end(up)
        nothing = self.gyre("ps")
        self.assertEqual((nothing.returncode, nothing.stdout), (1, ""))
        self.assertIn("no cluster runs in", nothing.stderr)

    def test_call(self):
        self.up()
        self.assertEqual(self.call("gate_0", "NodeService.info")["name"], "gate_0")
        self.assertEqual(self.call("lobby_0", "LobbyStats.current")["entities"], 0)
        methods = self.call("lobby_0", "NodeService.methods")
        self.assertIn("LobbyStats.current", methods)
        self.assertTrue(self.call("lobby_0", "NodeService.yield", 12345))
        by_address = self.nodes()["gate_0"]["address"]
        self.assertEqual(self.call(by_address, "NodeService.info")["name"], "gate_0")

    def test_call_by_selector(self):
        self.up()
        self.assertEqual(self.call("role:battle", "Battle.status"), {"matches": 0, "players": 0})
        everywhere = self.call("all", "NodeService.info")
        self.assertEqual(list(everywhere), ["battle_0", "dispatcher_0", "gate_0", "lobby_0"])
        self.assertEqual(everywhere["gate_0"]["role"], "gate")
        self.assertEqual(list(self.call("all:lobby", "LobbyStats.current")), ["lobby_0"])
        partly = self.gyre("call", "all", "Battle.status")
        self.assertEqual(partly.returncode, 1)
        self.assertEqual(json.loads(partly.stdout)["battle_0"], {"matches": 0, "players": 0})
        self.assertIn("gate_0: unknown_method", partly.stderr)

    def test_call_tells_what_is_wrong(self):
        self.up()
        for code, told, words in (
            (1, "did you mean NodeService.info", ["gate_0", "NodeService.inf"]),
            (1, "no node gaet_0; there are battle_0", ["gaet_0", "NodeService.info"]),
            (1, "bad_arguments: NodeService.yield", ["gate_0", "NodeService.yield", '"text"']),
            (1, "expected an array of 1, found an array of 0", ["gate_0", "NodeService.yield"]),
            (2, "argument 1 text: not JSON", ["gate_0", "NodeService.yield", "text"]),
            (2, "expected Type.method", ["gate_0", "info"]),
            (1, "no node of role battel; there are battle, dispatcher, gate, lobby", ["role:battel", "Battle.status"]),
            (1, "entity_gone", ["entity:77", "Avatar.status"]),
            (2, "expected a decimal id above 0", ["entity:x", "Avatar.status"]),
            (2, "--entity zero", ["gate_0", "Match.open", "--entity", "zero"]),
            (1, "entity_gone", ["battle_0", "Match.state", "--entity", "77"]),
            (1, "disconnected", ["127.0.0.1:1", "NodeService.info"]),
        ):
            with self.subTest(words):
                done = self.gyre("call", *words)
                self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
                self.assertIn(told, done.stderr)

    def test_a_stranger_gets_in_nowhere(self):
        self.up()
        stranger = self.folder / "stranger"
        stranger.mkdir(mode=0o700)
        shutil.copy(self.data / "cluster.json", stranger)
        (stranger / "cluster.key").touch(mode=0o600)
        (stranger / "cluster.key").write_bytes(bytes(32))
        refused = self.gyre("call", "gate_0", "NodeService.info", "--data", stranger)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("another cluster key", refused.stderr)
        self.assertIn("rpc.stranger", wait_until("the log tells", lambda: self.err() if "rpc.stranger" in self.err() else ""))
        self.assertEqual(self.gyre("ps", "--data", stranger).returncode, 1)
        self.assertEqual(len(self.nodes()), 4)

    def test_garbage_at_every_port_kills_nothing(self):
        self.up()
        before = self.nodes()
        ports = [n[k] for n in before.values() for k in ("address", "client_address", "http_address")]
        ports = [address(p) for p in ports if not p.endswith(":0")]
        self.assertGreaterEqual(len(ports), 6)
        seed = int(os.environ.get("GYRE_SEED", random.randrange(1 << 32)))
        chance = random.Random(seed)
        for port in ports:
            for round in range(40):
                noise = chance.randbytes(chance.choice((0, 1, 3, 4, 5, 64, 1000, 70_000)))
                head = chance.choice((b"", b"\xff\xff\xff\xff", b"\0\0\0\0", len(noise).to_bytes(4, "little"),
                                      (9).to_bytes(4, "little"), b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"))
                with self.subTest(seed=seed, port=port, round=round):
                    with socket.create_connection(port, timeout=5) as there:
                        try:
                            there.sendall(head + noise)
                            if chance.random() < 0.5:
                                there.shutdown(socket.SHUT_WR)
                            if chance.random() < 0.3:
                                there.settimeout(0.05)
                                there.recv(4096)
                        except OSError:
                            pass  # closed, as it should be
        after = self.nodes()
        self.assertEqual({n: v["pid"] for n, v in after.items()}, {n: v["pid"] for n, v in before.items()})
        self.assertNotIn("starting it again", self.err())

    def test_ps_tells_who_is_missing(self):
        self.up()
        file = self.cluster_file()
        file["config"].append({"name": "battle_9", "role": "battle"})
        (self.data / "cluster.json").write_text(json.dumps(file))
        ps = self.gyre("ps")
        self.assertEqual(ps.returncode, 1)
        self.assertIn("not running: battle_9", ps.stderr)

    def test_ps_when_nobody_answers(self):
        up = self.up()
        child = self.cluster_file()["nodes"][0]["pid"]
        os.kill(child, signal.SIGSTOP)
        try:
            ps = self.gyre("ps", timeout=60)
        finally:
            os.kill(child, signal.SIGCONT)
        self.assertEqual(ps.returncode, 1)
        self.assertIn("unavailable: no node of", ps.stderr)
        self.end(up)


if __name__ == "__main__":
    unittest.main()
