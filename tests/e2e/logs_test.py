"""gyre logs and gyre log: reading what was logged, and changing what is."""
import gzip
import json
import re
import signal
import subprocess
import unittest

from cluster import GYRE, ClusterTest, wait_until


def line(second, level, node, event, fields="", zone="Z"):
    return f"2025-11-23T15:04:{second:06.3f}{zone} {level:<5} {node:<10} {event:<24} {fields}".rstrip() + "\n"


class LogFilesTest(ClusterTest):
    """Files as the log leaves them behind; no cluster runs."""

    def setUp(self):
        super().setUp()
        self.logs = self.data / "logs"
        self.logs.mkdir(parents=True)
        self.data.chmod(0o700)

    def read(self, *arguments):
        done = self.gyre("logs", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def events(self, *arguments):
        return [text.split()[3] for text in self.read(*arguments).splitlines() if not text.startswith("    ")]

    def test_the_logs_of_all_nodes_are_one_by_time(self):
        (self.logs / "gate_0.log").write_text(line(1, "info", "gate_0", "a.first") + line(3, "warn", "gate_0", "a.third"))
        (self.logs / "lobby_0.log").write_text(line(2, "info", "lobby_0", "a.second") + line(4, "error", "lobby_0", "a.last"))
        (self.logs / "etcd.log").write_text('{"level":"info","ts":"2026"}\n')
        self.assertEqual(self.events(), ["a.first", "a.second", "a.third", "a.last"])
        self.assertEqual(self.events("-n", "2"), ["a.third", "a.last"])
        self.assertEqual(self.events("--level", "warn"), ["a.third", "a.last"])
        self.assertEqual(self.events("lobby_0"), ["a.second", "a.last"])
        self.assertEqual(self.events("--event", "a.s"), ["a.second"])
        self.assertEqual(self.events("--since", "1s"), [])
        self.assertIn("ts", self.read("etcd"))

    def test_old_files_come_first_and_compressed_ones_are_read(self):
        with gzip.open(self.logs / "gate_0.2025-11-21.log.gz", "wt") as old:
            old.write(line(1, "info", "gate_0", "a.oldest"))
        with gzip.open(self.logs / "gate_0.2025-11-22.log.gz", "wt") as old:
            old.write(line(2, "info", "gate_0", "b.second"))
        (self.logs / "gate_0.2025-11-22.log").write_text(line(2, "info", "gate_0", "b.second"))  # being compressed
        (self.logs / "gate_0.2025-11-22.2.log").write_text(line(3, "info", "gate_0", "c.third"))
        (self.logs / "gate_0.2025-11-22.10.log").write_text(line(4, "info", "gate_0", "d.fourth"))
        (self.logs / "gate_0.log").write_text(line(5, "info", "gate_0", "e.newest"))
        self.assertEqual(self.events(), ["a.oldest", "b.second", "c.third", "d.fourth", "e.newest"])
        self.assertEqual(self.events("-n", "1"), ["e.newest"])

    def test_lines_that_belong_to_an_error_stay_with_it(self):
        stack = "    at src/a.cpp:1:2\n    at src/b.cpp:3:4\n"
        (self.logs / "gate_0.log").write_text(line(1, "error", "gate_0", "rpc.method_failed") + stack
                                              + line(2, "info", "gate_0", "a.later"))
        self.assertIn(stack, self.read("--level", "error"))
        self.assertNotIn("src/a.cpp", self.read("--event", "a."))
        self.assertEqual(self.read("--grep", "src/b.cpp").count("\n"), 3)

    def test_json_and_local_times(self):
        (self.logs / "gate_0.log").write_text(
            '{"ts":"2025-11-23T15:04:02.000Z","level":"warn","node":"gate_0","role":"gate","event":"a.json","x":"\\"level\\":\\"info\\""}\n')
        (self.logs / "lobby_0.log").write_text(line(1, "warn", "lobby_0", "a.before", zone="+00:00")
                                               + line(3, "warn", "lobby_0", "a.long_before", zone="+02:00"))
        out = self.read("--level", "warn").splitlines()
        self.assertEqual(len(out), 3)
        self.assertIn("a.json", out[-1])

    def test_a_broken_archive_is_named_and_the_rest_is_read(self):
        whole = gzip.compress(line(1, "info", "gate_0", "a.lost").encode() * 2000)
        (self.logs / "gate_0.2025-11-21.log.gz").write_bytes(whole[: len(whole) // 2])
        (self.logs / "gate_0.log").write_text(line(5, "info", "gate_0", "e.newest"))
        done = self.gyre("logs", "-n", "0")
        self.assertIn("gate_0.2025-11-21.log.gz", done.stderr)
        self.assertIn("e.newest", done.stdout)

    def test_what_is_not_there_is_named(self):
        (self.logs / "gate_0.log").write_text(line(1, "info", "gate_0", "a.first"))
        done = self.gyre("logs", "gate_1")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no node gate_1; there are gate_0", done.stderr)
        self.assertIn("--level loud", self.gyre("logs", "--level", "loud").stderr)
        self.assertNotEqual(self.gyre("logs", "--data", "nowhere").returncode, 0)

    def follow(self, *arguments):
        out = open(self.folder / "followed", "w")
        tail = subprocess.Popen([GYRE, "logs", "-f", *arguments], cwd=self.folder, env=self.environment, stdout=out,
                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        out.close()
        self.addCleanup(self.kill, tail)

    def followed(self):
        return re.findall(r"n=(\d+)", (self.folder / "followed").read_text())

    def test_following_goes_on_through_rotations(self):
        current = self.logs / "gate_0.log"
        current.write_text(line(0, "info", "gate_0", "a.n", "n=0"))
        self.follow("gate_0")
        wait_until("the first", lambda: self.followed() == ["0"])
        with open(current, "a") as log:
            log.write(line(1, "info", "gate_0", "a.n", "n=1") + "2025-11-23T15:04:02.000Z info  gate_0 ")
            log.flush()
            wait_until("the second", lambda: self.followed() == ["0", "1"])
            current.rename(self.logs / "gate_0.2025-11-23_15-04-01.log")
            log.write("a.n n=2\n")  # the writer had it open
        # Two at once: one of them is never the current one while somebody looks.
        (self.logs / "gate_0.2025-11-23_15-04-03.log").write_text(line(3, "info", "gate_0", "a.n", "n=3"))
        current.write_text(line(4, "info", "gate_0", "a.n", "n=4"))
        wait_until("all", lambda: self.followed() == ["0", "1", "2", "3", "4"])
        (self.logs / "battle_9.log").write_text(line(5, "info", "battle_9", "a.n", "n=9"))
        with open(current, "a") as log:
            log.write(line(5, "info", "gate_0", "a.n", "n=5"))
        wait_until("the last", lambda: self.followed() == ["0", "1", "2", "3", "4", "5"])


class LogCommandTest(ClusterTest):
    def calls(self):
        return re.findall(r"rpc.called +method=(\S+)", self.gyre("logs", "-n", "0", "--event", "rpc.").stdout)

    def test_a_module_speaks_when_it_is_asked_to(self):
        up = self.up()
        self.call("gate_0", "NodeService.methods")
        self.assertEqual(self.gyre("log", "set", "rpc=trace").returncode, 0)
        self.call("gate_0", "NodeService.calls")
        wait_until("its line", lambda: "NodeService.calls" in self.calls())
        self.assertEqual(self.gyre("log", "set", "rpc=default").returncode, 0)
        self.call("gate_0", "NodeService.tasks")
        self.call("gate_0", "LogService.state")
        self.assertFalse({"NodeService.methods", "NodeService.tasks"} & set(self.calls()))
        self.end(up)

    def test_levels_change_while_it_runs(self):
        up = self.up("--set", "log.level=info")
        table = self.gyre("log")
        self.assertRegex(table.stdout, r"LEVEL +MODULES +WRITTEN")
        done = self.gyre("log", "set", "world=debug", "warn")
        self.assertEqual(done.returncode, 0, done.stderr)
        state = next(iter(json.loads(self.gyre("log", "--json").stdout).values()))
        self.assertEqual((state["level"], state["levels"]), ("warn", {"world": "debug"}))
        self.assertEqual(self.gyre("log", "set", "world=default").returncode, 0)
        state = next(iter(json.loads(self.gyre("log", "--json").stdout).values()))
        self.assertEqual(state["levels"], {})
        wrong = self.gyre("log", "set", "world=loud")
        self.assertIn('"loud" is none of trace, debug, info, warn, error', wrong.stderr)
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn("world: debug -> warn", self.gyre("audit").stdout)
        self.end(up)

    def test_json_lines_parse_and_both_forms_are_read(self):
        up = self.up("--log=json")
        text = wait_until("lines", lambda: (self.data / "logs/gyre.log").read_text())
        for one in text.splitlines():
            self.assertLessEqual({"ts", "level", "event"}, set(json.loads(one)))
        self.assertIn('"node":"battle_0"', self.gyre("logs", "battle_0").stdout)
        self.assertNotIn('"node":"gate_0"', self.gyre("logs", "battle_0").stdout)
        self.end(up)

    def test_a_changed_section_is_obeyed_without_a_restart(self):
        up = self.up()
        config = json.loads((self.folder / "gyre.json").read_text())
        config["log"] = {"level": "debug", "levels": {"net": "error"}, "json": True}
        self.configure(config)
        self.assertEqual(self.gyre("reload", "--config").returncode, 0)
        state = next(iter(json.loads(self.gyre("log", "--json").stdout).values()))
        self.assertEqual((state["level"], state["levels"]), ("debug", {"net": "error"}))
        last = (self.data / "logs/gyre.log").read_text().splitlines()[-1]
        json.loads(last)
        self.end(up)

    def test_each_process_writes_its_own_and_they_are_read_as_one(self):
        up = self.up("--processes")
        names = {path.name for path in (self.data / "logs").glob("*.log")}
        self.assertLessEqual({"gate_0.log", "battle_0.log"}, names)
        both = self.gyre("logs", "-n", "0").stdout
        self.assertIn(" gate_0 ", both)
        self.assertIn(" battle_0 ", both)
        times = [text.split()[0] for text in both.splitlines() if text.startswith("2")]
        self.assertEqual(times, sorted(times))
        self.end(up)


if __name__ == "__main__":
    unittest.main()
