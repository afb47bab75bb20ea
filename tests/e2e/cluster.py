"""A real cluster in a folder of its own, for tests: started, asked and ended through the gyre command."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

GYRE = os.environ.get("GYRE", str(Path(__file__).parents[2] / "build/release/bin/gyre"))
NODES = [{"name": f"{role}_0", "role": role} for role in ("gate", "lobby", "dispatcher", "battle")]
SMALL = {"cluster": {"modules": ["gate", "lobby", "dispatcher", "battle", "arena"], "nodes": NODES}}


def wait_until(what, ask, limit_s=20):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s: {what}")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class ClusterTest(unittest.TestCase):
    """self.folder: working folder of the commands, gone after the test with all that ran in it."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="gyre-e2e-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.data = self.folder / ".gyre"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("GYRE__")}

    def configure(self, config):
        (self.folder / "gyre.json").write_text(json.dumps(config))

    def gyre(self, *arguments, timeout=30):
        """Runs to its end: what subprocess.run gives, as text."""
        return subprocess.run([GYRE, *map(str, arguments)], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)

    def start_up(self, *arguments, command="up", gyre=GYRE):
        out, err = open(self.folder / "out", "w"), open(self.folder / "err", "w")
        with out, err:
            up = subprocess.Popen([str(gyre), command, *map(str, arguments)], cwd=self.folder, env=self.environment,
                                  stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(self.kill, up)
        return up

    def up(self, *arguments, config=SMALL):
        """A cluster that is up."""
        if config is not None:
            self.configure(config)
        up = self.start_up(*arguments)
        wait_until("the banner", lambda: up.poll() is not None or "gyre down" in self.out())
        if up.poll() is not None:
            self.fail(f"gyre up ended with {up.returncode}: {self.err()}")
        # All run; each hears of the others from the registry a moment later.
        wait_until("they know each other", lambda: len(self.nodes()) == len(self.cluster_file()["nodes"]))
        return up

    def kill(self, up):
        if up.poll() is None:
            up.send_signal(signal.SIGTERM)
            try:
                up.wait(20)
            except subprocess.TimeoutExpired:
                up.kill()
                up.wait()

    def out(self):
        return (self.folder / "out").read_text()

    def err(self):
        return (self.folder / "err").read_text()

    def cluster_file(self):
        return json.loads((self.data / "cluster.json").read_text())

    def nodes(self):
        """By name, as gyre ps sees them; none while nobody answers."""
        ps = self.gyre("ps", "--json")
        return {node["name"]: node for node in json.loads(ps.stdout or "[]")}

    def call(self, *arguments):
        """The reply of a call that has to end well."""
        done = self.gyre("call", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def end(self, up, number=signal.SIGINT, code=0):
        """As a terminal does it: the signal goes to the whole foreground process group."""
        os.killpg(up.pid, number)
        self.assertEqual(up.wait(20), code, self.err())
