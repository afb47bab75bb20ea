"""gyre dev: a studio's game, built against an installed Gyre; a file is saved and runs."""
import re
import subprocess
import time
import unittest
from pathlib import Path

from cluster import GYRE, ClusterTest, alive, wait_until

BUILD = Path(GYRE).parents[1]
CMAKE = """cmake_minimum_required(VERSION 3.25)
project(studio LANGUAGES CXX)
find_package(gyre CONFIG REQUIRED)
gyre_game_module(rules SOURCES rules.cpp)
"""
RULES = """#include <gyre/module/gyre.hpp>

#include "price.hpp"

struct Rules : gyre::Service<Rules> {
    static constexpr std::string_view role = "rules";
    std::uint32_t asked = 0;
    std::string rule() { return price + std::to_string(++asked); }
    static consteval auto describe() {
        return gyre::type<Rules>("Rules", gyre::field<&Rules::asked>(), gyre::method<&Rules::rule>());
    }
};

GYRE_MODULE("rules", Rules)
"""


PRICE = '#pragma once\ninline constexpr const char* price = "{} ";\n'


class Dev(ClusterTest):
    def run_tool(self, *command):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def rule(self):
        return self.call("rules_0", "Rules.rule")

    def told(self, text, count=1):
        wait_until(text, lambda: self.err().count(text) >= count, 40)

    def edit(self, text):
        (self.studio / "price.hpp").write_text(text)
        return time.monotonic()

    def test_what_is_saved_runs(self):
        prefix, self.studio = self.folder / "prefix", self.folder / "studio"
        self.studio.mkdir()
        (self.studio / "CMakeLists.txt").write_text(CMAKE)
        (self.studio / "rules.cpp").write_text(RULES)
        self.edit(PRICE.format("one"))
        build = self.studio / "build"
        cache = (BUILD / "CMakeCache.txt").read_text()
        compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", cache, re.MULTILINE).group(1)
        self.run_tool("cmake", "--install", BUILD, "--prefix", prefix)
        self.run_tool("cmake", "-S", self.studio, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
                      f"-DCMAKE_CXX_COMPILER={compiler}")
        self.run_tool("cmake", "--build", build)
        nodes = [{"name": f"{role}_0", "role": role} for role in ("dispatcher", "rules")]
        self.configure({"cluster": {"modules": ["dispatcher", str(build / "lib/gyre/modules/rules.so")], "nodes": nodes}})
        dev = self.start_up("--build", build, command="dev", gyre=prefix / "bin/gyre")
        self.told("watching the sources of rules")
        self.assertEqual(self.rule(), "one 1")

        saved = self.edit(PRICE.format("two"))
        asked = 1

        def runs():
            nonlocal asked
            asked += 1
            return self.rule() == f"two {asked}"  # the count goes on

        wait_until("the new rule runs", runs, 40)
        took = time.monotonic() - saved
        print(f"{took:.1f} s from save to running")
        self.assertLess(took, 20)
        self.told("rules runs on 2 nodes")
        self.assertIn("price.hpp changed", self.err())

        self.edit("#pragma once\ninline constexpr const char* price = three;\n")
        self.told("not built: the cluster runs on as it was")
        self.assertRegex(self.err(), r"price\.hpp:2:\d+: error: .*'three'")
        self.assertEqual(self.rule(), f"two {asked + 1}")
        self.edit(PRICE.format("four"))
        self.told("rules runs on 2 nodes", 2)
        self.assertEqual(self.rule(), f"four {asked + 2}")

        pids = {node["pid"] for node in self.nodes().values()}
        self.end(dev)
        self.assertFalse([pid for pid in pids if alive(pid)])


if __name__ == "__main__":
    unittest.main()
