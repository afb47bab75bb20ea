#!/usr/bin/env python3
"""check_docs.py finds what is wrong in a small tree, and nothing else."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from check_docs import Docs


class CheckDocsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def problems(self, check, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        docs = Docs(self.root)
        getattr(docs, check)()
        return [p for p in docs.problems if "this check is broken" not in p]

    def test_links(self):
        files = {"README.md": "[a](docs/a.md)\n[b](docs/a.md#the-end)\n[c](https://x.org)\n", "docs/a.md": "# The end\n"}
        self.assertEqual(self.problems("check_links", files), [])
        files["README.md"] += "[d](docs/b.md)\n[e](docs/a.md#start)\n"
        self.assertEqual(self.problems("check_links", files),
                         ["README.md:4: no file docs/b.md", "README.md:5: no heading #start in a.md"])

    def test_code(self):
        files = {"README.md": "<!-- code: x.hpp -->\n```cpp\nint a;\nint b;\n```\n", "x.hpp": "{\n    int a;\n    int b;\n}\n"}
        self.assertEqual(self.problems("check_code", files), [])
        files["x.hpp"] = "int a;\nlong b;\n"
        self.assertEqual(self.problems("check_code", files), ["README.md:1: this text is not in x.hpp"])
        files["README.md"] = "```cpp\nint a;\n```\n"
        self.assertEqual(len(self.problems("check_code", files)), 1)

    def test_translation(self):
        files = {"README.md": "# A\n## B\n[x](x.md)\n```sh\n./dev up\n```\n", "README.zh.md": "# 甲\n## 乙\n[某](x.md)\n```sh\n./dev up\n```\n"}
        self.assertEqual(self.problems("check_translation", files), [])
        for old, new in (("## 乙\n", ""), ("./dev up", "./dev run"), ("x.md", "y.md")):
            changed = dict(files, **{"README.zh.md": files["README.zh.md"].replace(old, new)})
            self.assertEqual(len(self.problems("check_translation", changed)), 1, old)

    def test_errors(self):
        files = {"services/a.cpp": 'throw Error("no_match", "");\nResponse::error(409, "name_taken", "");\n',
                 "docs/errors.md": "| `no_match` |\n| `name_taken` |\n"}
        self.assertEqual(self.problems("check_errors", files), [])
        files["docs/errors.md"] = "| `no_match` |\n| `gone` |\n"
        self.assertEqual(len(self.problems("check_errors", files)), 2)

    def test_commands(self):
        files = {"dev": "case $command in\n    up)\n    test) x ;;\nesac\n", "README.md": "`./dev up` `gyre ps --json`\n```\ngyre bots --count 2\n```\n",
                 "cli/main.cpp": 'app.add_subcommand("ps", ""); add_subcommand("bots", ""); add_flag("--json", x); add_option("--count", y);'}
        self.assertEqual(self.problems("check_commands", files), [])
        files["README.md"] = "`./dev run` `gyre ls`\n```\ngyre ps --all\n```\n"
        self.assertEqual(len(self.problems("check_commands", files)), 3)


if __name__ == "__main__":
    unittest.main()
