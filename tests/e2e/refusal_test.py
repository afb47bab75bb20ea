"""What gyre up refuses: at once, with code 2, naming what is wrong."""
import os
import socket
import unittest

from cluster import NODES, SMALL, ClusterTest


class Refusal(ClusterTest):
    def refused(self, *arguments, config=SMALL):
        if config is not None:
            self.configure(config)
        done = self.gyre("up", *arguments, timeout=15)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertNotIn("starting it again", done.stderr)
        self.assertFalse((self.data / "cluster.json").exists())
        return done.stderr

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for where in ("port", "client_port"):
                nodes = [dict(n, **{where: port}) if n["name"] == "gate_0" else n for n in NODES]
                error = self.refused(config={"cluster": {**SMALL["cluster"], "nodes": nodes}})
                self.assertIn("in_use", error)
                self.assertIn(f"127.0.0.1:{port}", error)
                self.assertIn("gate_0", error)

    def test_an_unknown_key_is_named_with_its_line(self):
        (self.folder / "gyre.json").write_text('{\n  "cluster": {\n    "zoen": 3\n  }\n}\n')
        self.assertIn('gyre.json:3:5: cluster.zoen: unknown key; did you mean "zone"?', self.refused(config=None))

    def test_a_wrong_type_is_named(self):
        self.assertIn("--set cluster.zone", self.refused("--set", "cluster.zone=many"))
        self.environment["GYRE__CLUSTER__ZONE"] = "1024"
        error = self.refused()
        self.assertIn("zone: 1024 is outside [0, 1023]", error)

    def test_a_file_that_is_not_json(self):
        (self.folder / "other.json").write_text('{"cluster": \n  oops}')
        self.assertIn("other.json:2:", self.refused("--config", "other.json"))
        self.assertIn("none.json", self.refused("--config", "none.json"))

    def test_wrong_values(self):
        for setting, told in {
            "cluster.host=0.0.0.0": "host: expected a numeric IPv4 address",
            "cluster.nodes=[]": "nodes",
            'cluster.nodes=[{"name":"a","role":"gaet"}]': 'role "gaet" of a: no module serves it',
            'cluster.modules=["nothing"]': "module nothing: no file",
            "log.level=loud": 'log.level: "loud" is none of',
            "cluster.timeouts.call=1s": "call: must be longer than link_dead",
            "gate.max_sesions=3": 'did you mean "max_sessions"?',
        }.items():
            with self.subTest(setting):
                self.assertIn(told, self.refused("--set", setting))

    def test_sections_nobody_declared_are_told_with_all_else_that_is_wrong(self):
        error = self.refused("--set", "clustre.zone=3", "--set", "my_game.speed=3", "--set", "x-mine.speed=3", "--set",
                             "gate.max_sesions=3", "--set", "lobby.unload_after=never")
        self.assertIn('clustre: no module declares this section; did you mean "cluster"?', error)
        self.assertIn("my_game: no module declares this section", error)
        self.assertIn('did you mean "max_sessions"?', error)
        self.assertIn("lobby.unload_after: expected a duration", error)
        self.assertNotIn("x-mine", error)

    def test_a_folder_that_cannot_be_written(self):
        error = self.refused("--data", "/proc/gyre")
        self.assertIn("/proc/gyre", error)
        (self.folder / "file").write_text("")
        self.assertIn("file", self.refused("--data", "file"))
        if os.geteuid() != 0:
            (self.folder / "locked").mkdir(mode=0o500)
            self.assertIn("no permission to write", self.refused("--data", "locked"))

    def test_a_key_that_others_may_read(self):
        self.data.mkdir(mode=0o700)
        (self.data / "login.key").write_bytes(bytes(32))
        (self.data / "login.key").chmod(0o644)
        self.assertIn("login.key", self.refused())

    def test_words_it_does_not_know(self):
        for words in (["upp"], ["up", "--what"], ["call"], []):
            with self.subTest(words):
                done = self.gyre(*words)
                self.assertEqual(done.returncode, 2)
                self.assertTrue(done.stderr)
                self.assertEqual(done.stdout, "")
        self.assertIn('no command "dwon"; did you mean down', self.gyre("dwon").stderr)
        self.assertEqual(self.gyre("--help").returncode, 0)


if __name__ == "__main__":
    unittest.main()
