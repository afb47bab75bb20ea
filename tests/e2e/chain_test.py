"""The chain under faults: nodes killed and frozen while players play, over real sockets with a real etcd."""
import datetime
import json
import os
import re
import signal
import subprocess
import unittest
import urllib.request

from cluster import GYRE, ClusterTest, wait_until

NODES = [{"name": n, "role": n.split("_")[0]}
         for n in ("account_0", "gate_0", "lobby_0", "dispatcher_0", "battle_0", "battle_1")]
CONFIG = {
    "cluster": {"nodes": NODES},
    "account": {"memory_kib": 1024, "passes": 1},
    "dispatcher": {"players": 4},
    "arena": {"seconds": 60, "kills": 1000},
}


def seconds_of_day(text):
    clock = datetime.datetime.strptime(text, "%H:%M:%S.%f")
    return clock.hour * 3600 + clock.minute * 60 + clock.second + clock.microsecond / 1e6


def now_s():
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6


class Chain(ClusterTest):
    def play(self, count, seconds):
        """Bots in the background; the report when they have ended."""
        bots = subprocess.Popen([GYRE, "bots", "--count", str(count), "--duration", f"{seconds}s", "--json"],
                                cwd=self.folder, env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(bots.kill)
        return bots

    def report(self, bots):
        out, err = bots.communicate(timeout=90)
        return json.loads(out.splitlines()[-1]), err

    def sessions(self, name):
        return self.nodes().get(name, {}).get("sessions", 0)

    def lost(self):
        """When players were told that their match is lost, seconds of the day."""
        return [seconds_of_day(t) for t in re.findall(r"^(\S+) warn +lobby_0 +match\.lost", self.err(), re.M)]

    def battle_with_players(self):
        for name in ("battle_0", "battle_1"):
            if self.sessions(name) >= 4:
                return name
        return None

    def stop_a_battle(self, number, then=None):
        """Sends `number` to a battle node in the middle of its matches; players go on."""
        up = self.up("--processes", config=CONFIG)
        bots = self.play(8, 12)
        victim = wait_until("players in a match", self.battle_with_players, 40)
        pid = self.nodes()[victim]["pid"]
        at = now_s()
        os.kill(pid, number)
        told = wait_until("they are told", self.lost)
        self.assertLess(max(told) - at, 2.0)
        other = "battle_1" if victim == "battle_0" else "battle_0"
        wait_until("they play elsewhere", lambda: self.sessions(other) >= 4, 30)
        if then:
            os.kill(pid, then)
        report, err = self.report(bots)
        self.assertEqual(report["logins"], 8, err)
        self.assertEqual(self.nodes()["gate_0"]["pid"], next(
            n["pid"] for n in self.cluster_file()["nodes"] if n["name"] == "gate_0"))
        return up

    def test_a_battle_node_killed_in_a_match(self):
        up = self.stop_a_battle(signal.SIGKILL)
        wait_until("it is back", lambda: len(self.nodes()) == 6)
        self.end(up)

    def test_a_battle_node_frozen_in_a_match(self):
        up = self.stop_a_battle(signal.SIGSTOP, signal.SIGCONT)
        wait_until("all are there", lambda: len(self.nodes()) == 6)
        self.end(up)

    def account(self, path, **body):
        node = next(n for n in self.cluster_file()["nodes"] if n["role"] == "account")
        request = urllib.request.Request(f"http://{node['http_address']}/{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def status(self, entity):
        return self.call("lobby_0", "Avatar.status", "--entity", entity)

    def test_a_lobby_killed_while_players_are_connected(self):
        up = self.up("--processes", config=dict(CONFIG, arena={"seconds": 2}))
        bots = self.play(8, 20)
        wait_until("matches were rewarded", lambda: self.call("lobby_0", "LobbyStats.current")["saves"] >= 8, 60)
        gate, lobby = self.nodes()["gate_0"], self.nodes()["lobby_0"]
        os.kill(lobby["pid"], signal.SIGKILL)
        wait_until("it is back", lambda: "lobby_0 is back" in self.err())
        wait_until("it serves them", lambda: self.nodes().get("lobby_0", {}).get("entities", 0) >= 8)
        self.assertEqual(self.sessions("gate_0"), 8)  # nobody lost the connection
        self.assertEqual(self.nodes()["gate_0"]["pid"], gate["pid"])
        wait_until("matches go on", lambda: self.call("lobby_0", "LobbyStats.current")["saves"] >= 4, 40)
        report, err = self.report(bots)
        self.assertGreaterEqual(report["matches_finished"], 4, err)
        self.assertNotIn("gate:", err)
        self.end(up)

    def test_avatars_survive_a_restart(self):
        config = dict(CONFIG, arena={"seconds": 20, "kills": 1})  # the first kill wins
        up = self.up(config=config)
        report, err = self.report(self.play(4, 30))  # longer than a match without a kill
        self.assertEqual(report["errors"], 0, err)
        players = [self.account("login", name=f"bot-1-{n}", password="bots have no secrets")["entity"]
                   for n in range(4)]
        before = [self.status(player) for player in players]
        self.assertEqual([one["name"] for one in before], [f"bot-1-{n}" for n in range(4)])
        self.assertTrue(all(one["matches"] >= 1 for one in before), before)
        self.assertTrue(any(one["gold"] > 0 and one["medals"] == one["wins"] for one in before), before)
        self.call("lobby_0", "Profile.rename", json.dumps("zoe"), "--entity", players[0])
        self.end(up)
        up = self.up(config=config)
        after = [self.status(player) for player in players]
        self.assertEqual(after, [dict(before[0], name="zoe"), *before[1:]])
        self.end(up)


if __name__ == "__main__":
    unittest.main()
