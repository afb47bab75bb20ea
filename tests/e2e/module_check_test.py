"""gyre module check, as a person and a script use it."""
import json
import os
import subprocess
import unittest
from pathlib import Path

GYRE = os.environ["GYRE"]
TEST_MODULES = Path(GYRE).parent.parent / "lib/gyre/test_modules"


def check(*arguments):
    done = subprocess.run([GYRE, "module", "check", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class ModuleCheck(unittest.TestCase):
    def test_a_module_that_fits_is_told_with_its_types(self):
        code, out, _ = check(TEST_MODULES / "types.so")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"(?m)^types  build [0-9a-f]{12}  API \d+  ok$")
        self.assertRegex(out, r"(?m)^  component +Lamp +24 bytes +2 fields")
        self.assertNotIn("\033", out)

    def test_one_that_does_not_is_refused_with_the_reason(self):
        code, out, _ = check(TEST_MODULES / "thread_locals.so")
        self.assertEqual(code, 1)
        self.assertIn("error: thread_local: street::nearest", out)

    def test_json_is_one_document(self):
        code, out, _ = check(TEST_MODULES / "types.so", "--json")
        report = json.loads(out)
        self.assertEqual((code, report["ok"], report["name"]), (0, True, "types"))
        self.assertEqual([t["name"] for t in report["types"]], ["Lamp", "Street"])

    def test_it_is_held_against_the_running_build(self):
        running = json.loads(check(TEST_MODULES / "types.so", "--json")[1])
        expect = Path(os.environ.get("TMPDIR", "/tmp")) / f"gyre_expect_{os.getpid()}.json"
        try:
            expect.write_text(json.dumps({"name": "types", "types": running["types"]}))
            code, out, _ = check(TEST_MODULES / "types_changed.so", "--expect", expect)
            self.assertEqual(code, 0, out)
            self.assertRegex(out, r"Lamp .* changed")
            expect.write_text("{")
            code, _, err = check(TEST_MODULES / "types.so", "--expect", expect)
            self.assertEqual(code, 2)
            self.assertIn(str(expect), err)
        finally:
            expect.unlink(missing_ok=True)

    def test_a_file_that_is_not_there_is_a_wrong_command(self):
        code, _, err = check("no_such_game")
        self.assertEqual(code, 2)
        self.assertIn("no_such_game.so", err)


if __name__ == "__main__":
    unittest.main()
