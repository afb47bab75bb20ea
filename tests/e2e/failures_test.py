"""What an exception that a game did not expect leaves in the log."""
import json
import re
import unittest
from pathlib import Path

from cluster import GYRE, ClusterTest, wait_until

LIB = Path(GYRE).resolve().parents[1] / "lib/gyre"
PROBE = LIB / "test_modules/probe/good.so"
CONFIG = {"cluster": {"modules": ["dispatcher", str(PROBE)],
                      "nodes": [{"name": "dispatcher_0", "role": "dispatcher"}, {"name": "probe_0", "role": "probe"}]}}
ORDER = '{"item":"a \\"sharp\\" sword","shelf":7,"voucher":"hidden-1"}'


class FailuresTest(ClusterTest):
    def failures(self):
        out = self.gyre("logs", "-n", "0", "--event", "rpc.method_failed").stdout
        return re.findall(r"^\S+ error .*(?:\n    .*)*", out, re.M)

    def buy(self):
        done = self.gyre("call", "probe_0", "Probe.buy", ORDER, "2")
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_an_exception_of_a_module_is_told_with_all_that_is_known(self):
        up = self.up(config=CONFIG)
        heard = self.buy()
        self.assertIn("internal", heard)
        self.assertNotIn("at()", heard)
        self.assertNotIn("vector", heard)
        line = wait_until("its line", self.failures)[0]
        self.assertIn("method=Probe.buy", line)
        self.assertIn("type=std::out_of_range", line)
        self.assertIn("sharp", line)
        self.assertIn("(secret)", line)
        self.assertNotIn("hidden-1", line)
        self.assertIn("probe_0", line)
        self.assertIn(" at engine/rpc/methods.cpp:", line)
        self.assertRegex(line, r"\n    probe::price_on at tests/e2e/modules/probe\.cpp:\d+:\d+ ")
        self.assertRegex(line, r"\n    probe::price_of at tests/e2e/modules/probe\.cpp:\d+:\d+ ")
        self.assertRegex(line, r"\n    awaited at tests/e2e/modules/probe\.cpp:\d+:\d+ ")
        self.assertLess(line.index("price_on"), line.index("price_of"))
        # The same again within a minute is counted, its arguments are told.
        self.buy()
        again = wait_until("the second", lambda: self.failures()[1:])[0]
        self.assertIn("again=1", again)
        self.assertIn("sharp", again)
        self.assertNotIn("price_on", again)
        self.end(up)

    def test_a_dev_build_shows_the_variables_too(self):
        config = json.loads(json.dumps(CONFIG).replace("/good.so", "/debug.so"))
        up = self.up("--set", "log.level=debug", config=config)
        wait_until("it knows its symbols", lambda: self.gyre("logs", "--event", "trace.indexed").stdout)
        self.buy()
        line = wait_until("its line", self.failures)[0]
        self.assertRegex(line, r"\n    probe::price_on at tests/e2e/modules/probe\.cpp:\d+:\d+ *\n        .*shelf=7", line)
        self.assertRegex(line, r"\n    probe::price_of at .*\n        order=\{item=.*shelf=7", line)
        self.end(up)


if __name__ == "__main__":
    unittest.main()
