"""gyre config, and what a changed configuration does to a running cluster."""
import json
import os
import re
import unittest

from cluster import SMALL, ClusterTest, wait_until

try:
    import jsonschema
except ImportError:
    jsonschema = None

FILE = """{
    "$schema": "./gyre.schema.json",
    "$MACRO$": {"SECONDS": 20},
    "$include": "base.json",
    "$profiles": {"prod": {"gate": {"calls_per_second": 500}}, "dev": {}},
    "arena": {"seconds": "$SECONDS$", "kills": 5},
    "gate": {"calls_per_second": 50},
    "x-database": {"password": "sesame-1", "at": "mongodb://me:sesame-2@host", "pin": "${file:pin}"}
}
"""


class Config(ClusterTest):
    def setUp(self):
        super().setUp()
        (self.folder / "pin").write_text("sesame-3")
        (self.folder / "base.json").write_text('{"lobby": {"unload_after": "5s"},\n "log": {"level": "debug"}}')
        (self.folder / "gyre.json").write_text(FILE)

    def config(self, *arguments, code=0):
        done = self.gyre("config", *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("sesame", done.stdout + done.stderr)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_check(self):
        self.assertIn("gyre.json: ok, ", self.config("check"))
        self.assertIn("ok", self.config("check", "--profile", "prod"))
        self.assertIn('there is no profile "prdo"', self.config("check", "--profile", "prdo", code=2))
        self.environment["GYRE_PROFILE"] = "none"
        self.assertIn('there is no profile "none"', self.config("check", code=2))
        del self.environment["GYRE_PROFILE"]
        self.assertIn("other.json", self.config("check", "--config", "other.json", code=2))
        (self.folder / "empty").mkdir()
        self.folder /= "empty"
        self.assertIn("ok", self.config("check"))

    def test_all_that_is_wrong_is_told_at_once(self):
        (self.folder / "base.json").write_text('{"lobby": {\n  "unload_aftre": "5s"}}')
        (self.folder / "gyre.json").write_text('{"$include": "base.json",\n"arena": {"kills": 0, "seconds": 1e9},\n"gaet": {},\n'
                                               '"cluster": {"zone": 5000},\n"node_1": {"port": 1}}')
        error = self.config("check", code=2)
        for told in ('base.json:2:3: lobby.unload_aftre: unknown key; did you mean "unload_after"?', "included from gyre.json:1",
                     "gyre.json:2:20: arena.kills: 0 is outside [1, 1000]", "arena.seconds", "^~~",
                     'gyre.json:3:1: gaet: no module declares this section; did you mean "gate"?',
                     "gyre.json:4:21: cluster.zone: 5000 is outside [0, 1023]", "node_1: no module declares this section",
                     "gyre.json: 6 mistakes"):
            self.assertIn(told, error)
        # The same at the start, and nothing starts.
        up = self.start_up()
        self.assertEqual(up.wait(20), 2)
        for told in ("arena.kills", "lobby.unload_aftre", "cluster.zone", "gaet"):
            self.assertIn(told, self.err())
        self.assertIn("module nothing: no file", self.config("check", "--set", 'cluster.modules=["nothing"]', code=2))

    def test_show(self):
        rows = {line.split()[0]: line for line in self.config("show").splitlines()}
        self.assertRegex(rows["arena.seconds"], r"arena.seconds +20 +gyre.json:6:\d+")
        self.assertRegex(rows["lobby.unload_after"], r'"5s" +base.json:1:\d+, included from gyre.json:4:\d+')
        self.assertNotIn("gate.max_sessions", rows)
        self.assertIn("(secret)", rows["x-database"])
        self.assertRegex(self.config("show", "gate", "--defaults"), r"gate.max_sessions +10000 +default")
        shown = json.loads(self.config("show", "--json"))
        self.assertEqual(shown["arena"], {"seconds": 20, "kills": 5})
        self.assertEqual(shown["x-database"]["password"], "(secret)")
        whole = json.loads(self.config("show", "--json", "--defaults"))
        self.assertEqual((whole["arena"]["gold_win"], whole["arena"]["kills"], whole["gate"]["max_sessions"]), (50, 5, 10000))
        self.assertIn("did you mean gate?", self.config("show", "gaet", code=2))

    def test_explain(self):
        def explain(key, *arguments):
            return self.config("explain", key, *arguments)
        self.assertRegex(explain("arena.seconds"), r"arena.seconds = 20\n  set by +gyre.json:6:\d+\n  through +\$SECONDS\$, gyre.json:3:\d+\n")
        self.assertRegex(explain("lobby.unload_after"), r"set by +base.json:1:\d+, included from gyre.json:4")
        self.environment["GYRE__GATE__CALLS_PER_SECOND"] = "70"
        told = explain("gate.calls_per_second", "--profile", "prod", "--set", "gate.calls_per_second=7")
        self.assertRegex(told, r"calls_per_second = 7\n  set by +--set gate.calls_per_second\n  instead of +70, environment "
                               r"GYRE__GATE__CALLS_PER_SECOND\n  instead of +500, gyre.json:5:\d+\n  instead of +50, gyre.json:7:\d+\n")
        self.assertRegex(told, r"default +100\n  effect +live")
        self.assertRegex(explain("gate.calls_per_second"), r"= 70\n  set by +environment GYRE__GATE__CALLS_PER_SECOND\n")
        default = explain("cluster.timeouts.heartbeat")
        self.assertRegex(default, r'= "500ms"\n  set by +nobody: the default\n  type +duration\n  range +10ms to 10s\n  effect +restart')
        self.assertIn("(secret)", explain("x-database.password"))
        self.assertIn("(secret)", explain("x-database.pin"))
        self.assertIn("did you mean gate.max_sessions?", self.config("explain", "gate.max_sesions", code=2))
        self.assertIn("gate is a section", self.config("explain", "gate", code=2))

    def test_schema(self):
        schema = json.loads(self.config("schema"))
        sections = schema["$defs"]["sections"]["properties"]
        self.assertLessEqual({"cluster", "log", "reload", "store", "account", "gate", "lobby", "dispatcher", "battle", "arena"}, set(sections))
        kills = sections["arena"]["properties"]["kills"]
        self.assertEqual((kills["default"], kills["x-gyre-effect"], kills["anyOf"][0]["minimum"], kills["anyOf"][0]["maximum"]), (10, "live", 1, 1000))
        self.assertFalse(sections["arena"]["additionalProperties"])
        if jsonschema is None or not hasattr(jsonschema, "Draft202012Validator"):
            self.skipTest("python3-jsonschema is not here")
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        good = [json.loads(FILE), SMALL, {}, {"cluster": {"zone": "$ZONE$", "timeouts": {"heartbeat": "${env:BEAT:-1s}"}}},
                {"$include": ["a.json"], "arena": {"$include": "b.json", "$MACRO$": {"A": 1}}}, {"log": {"levels": {"world": "debug"}}}]
        for document in good:
            self.assertEqual([error.message for error in validator.iter_errors(document)], [])
        for document in ({"gaet": {}}, {"arena": {"kils": 1}}, {"arena": {"kills": 0}}, {"arena": {"kills": 1.5}},
                         {"cluster": {"registry": {"kind": "zookeeper"}}}, {"reload": {"probation": 10}},
                         {"cluster": {"nodes": [{"nmae": "a"}]}}, {"$profiles": {"prod": {"gaet": {}}}}):
            self.assertFalse(validator.is_valid(document), document)

    def test_live_keys_are_obeyed_without_a_restart(self):
        config = {**SMALL, "reload": {"probation": "3s"}}
        self.up("--profile", "calm", config={**config, "$profiles": {"calm": {"arena": {"kills": 3}}}})
        pids = {name: node["pid"] for name, node in self.nodes().items()}

        def change(new, *rows):
            self.configure({**config, **new, "$profiles": {"calm": {}}})
            done = self.gyre("reload", "--config")
            self.assertEqual(done.returncode, 0, done.stderr)
            for row in rows:
                self.assertRegex(done.stdout, row)
            self.assertNotIn("sesame", done.stdout + done.stderr)

        change({"log": {"level": "debug"}, "gate": {"calls_per_second": 5, "home_role": "lobby"}, "x-mine": {"password": "sesame"}},
               r'log.level +- +"debug" +now', r"gate.calls_per_second +- +5 +now", r'gate.home_role +- +"lobby" +needs a restart',
               r"arena.kills +3 +- +now", r"\(secret\)")
        log = next((self.data / "logs").glob("*.log"))
        self.gyre("call", "gate_0", "NodeService.info")
        wait_until("debug lines", lambda: re.search(r"\bdebug\b", log.read_text()))
        self.assertNotIn("sesame", log.read_text() + json.dumps(self.audit()))
        self.assertEqual({name: node["pid"] for name, node in self.nodes().items()}, pids)
        (self.folder / "gyre.json").write_text('{"arena": {"kills": 0},\n"gate": {"calls_per_second": -1}}')
        refused = self.gyre("reload", "--config")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("arena.kills", refused.stderr)
        self.assertIn("gate.calls_per_second", refused.stderr)

    def audit(self):
        return json.loads(self.gyre("audit", "--json").stdout)


if __name__ == "__main__":
    unittest.main()
