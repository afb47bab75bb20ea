#!/usr/bin/env python3
"""Small trees, each with one fault the checker must name."""
import tempfile
import unittest
from pathlib import Path

from check_arrows import Checker

GOOD = {
    "engine/base/CMakeLists.txt": "gyre_module(base)\n",
    "engine/base/bytes.hpp": "#pragma once\n#include <vector>\n#include <stdint.h>\n",
    "engine/base/detail/table.hpp": "#pragma once\n",
    "engine/io/CMakeLists.txt": "gyre_module(io\n    DEPENDS base  # bytes\n    LINKS Boost::boost)\n",
    "engine/io/socket.hpp": "#pragma once\n#include <gyre/base/bytes.hpp>\n",
    "engine/io/socket.cpp": "#include <gyre/io/socket.hpp>\n#include <boost/asio.hpp>\n",
    "engine/sim/CMakeLists.txt": "gyre_module(sim DEPENDS io)\n",
    "engine/sim/world.hpp": "#pragma once\n#include <gyre/base/bytes.hpp>\n",
    "engine/module/CMakeLists.txt": "gyre_module(module DEPENDS io)\n",
    "engine/module/api.hpp": "#pragma once\n",
    "engine/io/socket_test.cpp": "#include <gtest/gtest.h>\n#include <gyre/sim/world.hpp>\n",
    "games/arena/CMakeLists.txt": "gyre_game_module(arena SOURCES bag.cpp DEPENDS io)\n",
    "games/arena/bag.cpp": '#include "bag.hpp"\n#include <gyre/gyre.hpp>\n#include <gyre/io/socket.hpp>\n',
    "tests/cluster_test.cpp": "#include <gyre/sim/world.hpp>\n",
}


class CheckArrows(unittest.TestCase):
    def problems(self, **changes):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**GOOD, **changes}.items():
                path = Path(folder).resolve() / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return Checker(Path(folder).resolve()).run()

    def expect(self, start, contains, name, text):
        found = self.problems(**{name: text})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(start), found[0])
        self.assertIn(contains, found[0])

    def test_a_good_tree_passes(self):
        self.assertEqual(self.problems(), [])

    def test_arrow_not_declared(self):
        self.expect("engine/base/bad.cpp:2:", "arrow base -> io is not declared",
                    "engine/base/bad.cpp", "#include <vector>\n#include <gyre/io/socket.hpp>\n")

    def test_simulator_is_for_tests_only(self):
        self.expect("engine/io/bad.cpp:1:", "arrow io -> sim", "engine/io/bad.cpp",
                    "#include <gyre/sim/world.hpp>\n")

    def test_arrow_of_a_game(self):
        self.expect("games/arena/bag.cpp:1:", "arrow games -> sim", "games/arena/bag.cpp",
                    "#include <gyre/sim/world.hpp>\n")

    def test_cycle(self):
        self.expect("engine/base/CMakeLists.txt:1:", "base -> io -> base",
                    "engine/base/CMakeLists.txt", "gyre_module(base DEPENDS io)\n")

    def test_unknown_module(self):
        self.expect("engine/sim/CMakeLists.txt:1:", "DEPENDS on oi", "engine/sim/CMakeLists.txt",
                    "gyre_module(sim DEPENDS io oi)\n")
        self.expect("engine/sim/world.cpp:1:", "no module oi", "engine/sim/world.cpp",
                    "#include <gyre/oi/x.hpp>\n")

    def test_folder_without_declaration(self):
        self.expect("engine/net:1:", "no gyre_module(net", "engine/net/x.cpp", "\n")

    def test_third_party_in_public_header(self):
        for header in ("boost/asio.hpp", "fmt/core.h", "sys/socket.h", "sodium.h"):
            self.expect("engine/io/bad.hpp:3:", f"<{header}>", "engine/io/bad.hpp",
                        f"#pragma once\n/* \n*/ #include <{header}>\n")

    def test_third_party_behind_detail(self):
        found = self.problems(**{
            "engine/io/bad.hpp": "#include <gyre/io/detail/leak.hpp>\n",
            "engine/io/detail/leak.hpp": "#include <boost/asio.hpp>\n"})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith("engine/io/detail/leak.hpp:1:"), found[0])

    def test_detail_of_another_module(self):
        self.expect("engine/io/bad.cpp:1:", "belongs to base alone", "engine/io/bad.cpp",
                    "#include <gyre/base/detail/table.hpp>\n")

    def test_quotes_reach_the_own_module_only(self):
        self.assertEqual(self.problems(**{"engine/io/ok.cpp": '#include "socket.hpp"\n'}), [])
        self.expect("engine/io/bad.cpp:1:", "reach another module by", "engine/io/bad.cpp",
                    '#include "../base/detail/table.hpp"\n')
        self.expect("games/arena/bad.cpp:1:", "reach another module by", "games/arena/bad.cpp",
                    '#include "../../engine/io/socket.hpp"\n')

    def test_third_party_behind_a_quoted_detail(self):
        found = self.problems(**{"engine/io/bad.hpp": '#include "detail/leak.hpp"\n',
                                 "engine/io/detail/leak.hpp": "#include <fmt/core.h>\n"})
        self.assertEqual(len(found), 1, found)

    def test_comments_are_not_includes(self):
        self.assertEqual(self.problems(**{"engine/io/ok.hpp": "// #include <boost/asio.hpp>\n/*\n#include <fmt/core.h>\n*/\n"}), [])


if __name__ == "__main__":
    unittest.main()
