"""gyre reload: new code under a running cluster, and the ways back."""
import json
import re
import resource
import shutil
import struct
import subprocess
import threading
import time
import unittest
from pathlib import Path

from cluster import GYRE, ClusterTest, wait_until

LIB = Path(GYRE).parents[1] / "lib/gyre"
PROBE = LIB / "test_modules/probe"
ROLES = ("account", "gate", "lobby", "dispatcher", "battle")
# Two nodes that run the probe, and one that only has it.
CONFIG = {
    "cluster": {"modules": ["dispatcher", str(PROBE / "good.so")],
                "nodes": [{"name": "dispatcher_0", "role": "dispatcher"}, {"name": "probe_0", "role": "probe"},
                          {"name": "probe_1", "role": "probe"}]},
    "reload": {"probation": "3s", "stuck": "1s"},
}
ARENA = {
    "cluster": {"modules": [*ROLES, "arena"], "nodes": [{"name": f"{role}_0", "role": role} for role in ROLES]},
    "account": {"memory_kib": 1024, "passes": 1},
    "arena": {"seconds": 3},
    "reload": {"probation": "1s"},
}


def another_build(source, to, number):
    """The same code under another build id."""
    data = bytearray(Path(source).read_bytes())
    at = data.index(struct.pack("<III", 4, 20, 3) + b"GNU\0") + 16
    data[at:at + 20] = number.to_bytes(1, "big") * 20
    Path(to).write_bytes(data)
    return to


class Reload(ClusterTest):
    def states(self, module="probe"):
        """What each node says of a module."""
        shown = json.loads(self.gyre("ps", "--builds", "--json").stdout or "{}")
        return {node: next(s for s in states if s["module"] == module) for node, states in shown.items()}

    def reload(self, what, *arguments, code=0, timeout=60):
        file = PROBE / f"{what}.so" if (PROBE / f"{what}.so").exists() else what
        done = self.gyre("reload", file, *arguments, timeout=timeout)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def audit(self):
        return json.loads(self.gyre("audit", "--json", "--limit", "1000").stdout)

    def rule(self, node="probe_0"):
        return self.call(node, "Probe.rule")

    def until_trusted(self):
        wait_until("it is trusted", lambda: not any(s["probation_ms"] for s in self.states().values()))

    def test_swaps_and_comes_back(self):
        up = self.up(config=CONFIG)
        self.assertEqual(self.rule(), "good")
        changes = self.reload("better", "--check")
        self.assertIn("incremental: nothing waits", changes)
        self.assertRegex(changes, r"Probe +code only +2")
        self.assertEqual((self.rule(), self.audit()), ("good", []))
        told = self.reload("better")
        for node in ("dispatcher_0", "probe_0", "probe_1"):
            self.assertRegex(told, rf"{node} +\w{{8}} -> \w{{8}}")
        self.assertEqual([self.rule("probe_0"), self.rule("probe_1")], ["better", "better"])
        self.assertIn("nothing to do", self.reload("better"))
        entries = self.audit()
        self.assertEqual({(e["action"], e["result"], e["mode"]) for e in entries}, {("reload", "ok", "incremental")})
        self.assertRegex(entries[0]["who"], r"^\w+@")
        self.call("probe_0", "Probe.work")
        line = r"probe\.works .*build=" + self.states()["probe_0"]["build"][:8]
        wait_until("the log tells the build", lambda: re.search(line, (self.data / "logs/gyre.log").read_text()))
        builds = {m["build"] for n in self.nodes().values() for m in n["modules"] if m["module"] == "probe"}
        self.assertEqual(len(builds), 1, "all nodes show the new build")
        self.until_trusted()
        # What ran before the restart runs after it, though another file is installed.
        self.end(up)
        up = self.up(config=None)
        self.assertEqual(self.rule(), "better")
        self.assertEqual(self.gyre("rollback", "probe").returncode, 0)
        self.assertEqual(self.rule(), "good")
        self.end(up)

    def test_a_changed_layout_is_carried_over(self):
        self.up(config=CONFIG)
        changes = self.reload("layout", "--check")
        self.assertIn("full: calls wait", changes)
        self.assertIn("added field Probe.mood", changes)
        refused = self.reload("layout", "--incremental", code=1)
        self.assertIn("layouts changed", refused)
        wait_until("it has beaten", lambda: any(c["method"] == "Probe.beat" for c in self.call("probe_0", "NodeService.calls")))
        self.reload("layout")
        self.assertEqual(self.rule(), "layout new 1")

    def test_what_is_refused_changes_nothing(self):
        self.up(config=CONFIG)
        broken = self.folder / "broken.so"
        broken.write_bytes((PROBE / "better.so").read_bytes()[:5000])
        for file, told in (("worse", "not_defined_anywhere"), ("initializer", "static"), (broken, "broken.so")):
            self.assertIn(told, self.reload(file, code=1))
        self.assertIn("not_today", self.reload("throwing", code=1))
        self.assertEqual([self.rule("probe_0"), self.rule("probe_1")], ["good", "good"])
        self.assertEqual(self.gyre("reload", "nobody").returncode, 2)
        self.assertEqual(self.gyre("reload", PROBE / "better.so", "--node", "nobody").returncode, 1)

    def test_two_at_once(self):
        self.up(config=CONFIG)
        results = []
        threads = [threading.Thread(target=lambda f=f: results.append(self.gyre("reload", PROBE / f"{f}.so")))
                   for f in ("better", "layout")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for done in results:
            if done.returncode:
                self.assertIn("in_use", done.stderr)
        # Whoever came through, no node is torn.
        for node in ("probe_0", "probe_1"):
            self.assertIn(self.rule(node).split()[0], ("good", "better", "layout"))

    def dies(self, variant, told, reason):
        up = self.up(config=CONFIG)
        note = 4711
        self.call("probe_0", "Probe.note", note)
        self.call("probe_0", "Note.write", "--entity", note, '"kept"')
        pid = self.nodes()["probe_0"]["pid"]
        begun = time.monotonic()
        self.gyre("reload", PROBE / f"{variant}.so", "--node", "probe_0")
        wait_until("another process runs", lambda: self.nodes().get("probe_0", {}).get("pid") not in (None, pid), 20)
        self.assertEqual(self.rule(), "good")
        took = time.monotonic() - begun
        print(f"{variant}: back after {took:.1f} s")
        self.assertLess(took, 5)
        self.assertRegex(self.err(), told)
        self.assertEqual(self.call("probe_0", "Note.read", "--entity", note), "kept")
        back = [e for e in self.audit() if e["action"] == "rollback"]
        self.assertEqual((back[-1]["who"], back[-1]["result"]), ("start", "rolled_back"))
        self.assertIn(reason, back[-1]["reason"])
        self.assertEqual(len(self.states()["probe_0"]["bad"]), 1)
        self.end(up)
        self.up(config=None)
        self.assertEqual(self.rule(), "good")

    def test_a_crash_on_the_first_tick(self):
        self.dies("crash", r"gyre: gyre crashed: SIGABRT; gyre symbolize \S+/crashes/gyre-\d+-\d+\.crash says where\n"
                           r"(.*\n)*.*was killed by signal 6", "crash: the process ended")
        done = self.gyre("symbolize")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\bbeat\b.* at \S*tests/e2e/modules/probe\.cpp:\d+:\d+ \n", done.stdout)
        self.assertRegex(done.stdout, r"Executor::turn.* at \S*engine/task/executor\.cpp:\d+")

    def test_an_endless_loop_on_the_first_tick(self):
        self.dies("loop", r"the loop has not turned for 1000 ms", "has not turned")

    def work(self, node, times):
        for _ in range(times):
            self.gyre("call", node, "Probe.work")

    def test_calls_that_fail_take_it_back_without_a_restart(self):
        self.up(config={**CONFIG, "reload": {"probation": "60s"}})
        pid = self.nodes()["probe_0"]["pid"]
        self.work("probe_0", 3)
        self.reload("failing", "--node", "probe_0")
        end = time.monotonic() + 30
        while not self.states()["probe_0"]["bad"] and time.monotonic() < end:
            self.work("probe_0", 5)
        back = [e for e in self.audit() if e["result"] == "rolled_back"]
        self.assertRegex(back[-1]["reason"], r"failed calls of Probe.work rose from 0.0 % to 100.0 % of \d\d")
        self.assertEqual((self.rule(), self.nodes()["probe_0"]["pid"]), ("good", pid))

    def test_a_full_disk_is_named_and_the_old_build_runs_on(self):
        self.up(config=CONFIG)
        pid = self.nodes()["probe_0"]["pid"]
        builds = self.data / "modules/builds"
        before = sorted(builds.iterdir())
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, ((PROBE / "better.so").stat().st_size - 1, limits[1]))
        told = self.reload("better", code=1)
        self.assertRegex(told, r"disk_full: .*modules/builds/probe-\w+\.so: File too large")
        self.assertRegex(self.audit()[-1]["reason"], "disk_full: .*modules/builds/probe-")
        self.assertEqual([self.rule("probe_0"), self.rule("probe_1")], ["good", "good"])
        self.assertEqual(sorted(builds.iterdir()), before)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        self.reload("better")
        self.assertEqual(self.rule(), "better")

    def test_a_file_that_the_machine_of_a_node_has_not_is_sent(self):
        here = self.folder / "here"
        private = ["unshare", "--map-root-user", "--mount"]  # a folder that only the command sees
        if not shutil.which("unshare") or subprocess.run([*private, "true"], capture_output=True).returncode:
            self.skipTest("this machine has no namespaces for users")
        here.mkdir()
        self.up(config=CONFIG)
        done = subprocess.run([*private, "sh", "-ec", 'mount -t tmpfs none "$1"; cp "$2" "$1"; exec "$3" reload "$1/better.so"',
                               "sh", here, PROBE / "better.so", GYRE],
                              cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(str(here), done.stderr)
        self.assertEqual([self.rule("probe_0"), self.rule("probe_1")], ["better", "better"])
        sent = list((self.data / "modules/uploads").iterdir())
        self.assertEqual([file.read_bytes() == (PROBE / "better.so").read_bytes() for file in sent], [True])

    def test_a_canary_that_fails_takes_all_back(self):
        self.up("--processes", config={**CONFIG, "reload": {"probation": "20s"}})
        done = self.gyre("reload", PROBE / "crash.so", "--canary", "1", "--watch", "10s", timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("watching the canary", done.stderr)
        self.assertRegex(done.stderr, r"probe_0: .*(died|does not answer|went back)")
        self.assertNotRegex(done.stderr, r"probe_1 +\w{8} ->")
        wait_until("it answers", lambda: self.gyre("call", "probe_0", "Probe.rule").returncode == 0)
        self.assertEqual([self.rule("probe_0"), self.rule("probe_1")], ["good", "good"])

    def test_old_builds_are_shown_with_what_holds_them(self):
        self.up(config=CONFIG)
        waiting = threading.Thread(target=lambda: self.gyre("call", "probe_0", "Probe.wait", "8", "--timeout", "20"))
        waiting.start()
        wait_until("it waits", lambda: any("probe.cpp" in line for line in self.call("probe_0", "NodeService.dump_tasks")))
        self.reload("better")
        shown = self.gyre("ps", "--builds").stdout
        self.assertRegex(shown, r"probe_0: old build \w{8} of probe is held by \d+ coroutines")
        self.assertRegex(shown, r"probe.cpp:\d+ waits for sleep")
        wait_until("ps says so", lambda: "still held" in self.gyre("ps").stderr)
        waiting.join()
        wait_until("it is let go", lambda: not any(s["held"] for s in self.states().values()))

    def test_players_notice_nothing(self):
        self.up(config=ARENA)
        bots = []
        playing = threading.Thread(target=lambda: bots.append(
            self.gyre("bots", "--count", "8", "--duration", "14s", "--json", timeout=90)))
        playing.start()
        wait_until("they play", lambda: self.nodes()["battle_0"]["entities"] > 0)
        for number in range(1, 9):
            file = another_build(LIB / "modules/arena.so", self.folder / f"arena{number}.so", number)
            self.reload(file)
            time.sleep(0.5)
        playing.join()
        report = json.loads(bots[0].stdout.splitlines()[-1])
        self.assertEqual((report["logins"], report["errors"]), (8, 0), bots[0].stdout + bots[0].stderr)
        self.assertGreaterEqual(report["matches_finished"], 1)
        self.assertEqual({e["result"] for e in self.audit()}, {"ok"})

    def test_configuration(self):
        self.up(config={**CONFIG, "store": {"queue_limit": 100}})
        self.configure({**CONFIG, "store": {"queue_limit": 200}, "reload": {"probation": "9s"},
                        "x-mine": {"password": "sesame"}})
        shown = self.gyre("reload", "--config", "--check")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, r'reload.probation +"3s" +"9s"')
        self.assertRegex(shown.stdout, r"store.queue_limit +100 +200 +needs a restart")
        self.assertIn("(secret)", shown.stdout)
        self.assertNotIn("sesame", shown.stdout)
        self.assertEqual(self.audit(), [])
        self.assertEqual(self.gyre("reload", "--config").returncode, 0)
        self.assertEqual(self.audit()[0]["action"], "config")
        self.assertIn("as it was", self.gyre("reload", "--config").stderr)
        self.reload("better")
        left = self.states()["probe_0"]["probation_ms"]
        self.assertGreater(left, 3000)
        for broken, told in (('{"reload": {"probtion": 1}}', 'did you mean "probation"'), ("{", "gyre.json:1")):
            (self.folder / "gyre.json").write_text(broken)
            refused = self.gyre("reload", "--config")
            self.assertEqual(refused.returncode, 1)
            self.assertIn(told, refused.stderr)
            self.assertIn("nothing was changed", refused.stderr)


if __name__ == "__main__":
    unittest.main()
