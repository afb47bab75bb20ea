#!/usr/bin/env python3
"""Holds every #include against the declared arrows between modules.

    check_arrows.py [ROOT]     prints file:line: what is wrong; exit status 1 when anything is

Arrows are declared by DEPENDS of gyre_module(...) in engine/*/CMakeLists.txt, straight or through
those. Outside of the engine a folder uses OUTER plus what its gyre_game_module(... DEPENDS ...) adds.
"""
import re
import sys
from pathlib import Path

# What the folders outside of engine/ may use; None: everything.
OUTER = {"services": {"module"}, "games": {"module"}, "cli": {"node", "sim"}, "sdk": {"session", "web"},
         "tests": None, "bench": None}
# Tests and benchmarks of any module may run in the simulator.
TEST_FILE = re.compile(r"_(test|bench|fuzz)\.cpp$|_test\.hpp$")
TEST_MODULES = {"sim"}
SOURCES = {".hpp", ".cpp", ".h", ".c"}
CALL = re.compile(r"\b(gyre_module|gyre_game_module)\s*\(([^)]*)\)")
KEYWORDS = {"DEPENDS", "LINKS", "SOURCES", "HEADERS", "TESTS", "TEST_LINKS"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)

STANDARD = set("""
algorithm any array atomic barrier bit bitset charconv chrono codecvt compare complex concepts
condition_variable coroutine deque exception execution filesystem format forward_list fstream functional
future initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map memory
memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex
scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept stop_token
streambuf string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo
unordered_map unordered_set utility valarray variant vector version
""".split())
C_STANDARD = set("""assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib string tgmath threads time uchar wchar wctype""".split())
STANDARD |= {f"{name}.h" for name in C_STANDARD} | {f"c{name}" for name in C_STANDARD}


class Checker:
    def __init__(self, root):
        self.root = Path(root)
        self.problems = []
        self.depends = {}   # engine module -> declared modules
        self.closures = {}
        self.text = {}      # path -> source without block comments, lines kept

    def problem(self, path, line, message):
        self.problems.append(f"{path.relative_to(self.root)}:{line}: {message}")

    def read(self, path):
        if path not in self.text:
            text = path.read_text(encoding="utf-8", errors="replace")
            self.text[path] = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
        return self.text[path]

    def includes(self, path):
        text = self.read(path)
        for match in INCLUDE.finditer(text):
            yield text.count("\n", 0, match.start(1)) + 1, match[2], match[1] == '"'

    def calls(self, path):
        """(function, name, depends, line) for each module declared in a CMakeLists.txt."""
        text = re.sub(r"#.*", "", path.read_text())
        for match in CALL.finditer(text):
            words, depends, keyword = match[2].split(), [], None
            for word in words[1:]:
                if word in KEYWORDS:
                    keyword = word
                elif keyword == "DEPENDS":
                    depends.append(word.removeprefix("gyre::"))
            yield match[1], words[0] if words else "", depends, text.count("\n", 0, match.start()) + 1

    def read_declarations(self):
        places = {}
        for path in sorted(self.root.glob("engine/*/CMakeLists.txt")):
            for function, name, depends, line in self.calls(path):
                if function != "gyre_module":
                    continue
                if name != path.parent.name:
                    self.problem(path, line, f"module {name} is declared in folder {path.parent.name}")
                self.depends[name], places[name] = depends, (path, line)
        for name, depends in self.depends.items():
            for used in depends:
                if used not in self.depends:
                    self.problem(*places[name], f"{name} DEPENDS on {used}, which is no module of engine/")
        self.find_cycles(places)
        for folder in sorted(self.root.glob("engine/*/")):
            if folder.name not in self.depends and any(p.suffix in SOURCES for p in folder.glob("*")):
                self.problem(folder, 1, f"folder has sources but no gyre_module({folder.name} ...)")

    def find_cycles(self, places):
        done, path = set(), []

        def visit(name):
            if name in path:
                cycle = path[path.index(name):] + [name]
                self.problem(*places[name], "cycle of arrows: " + " -> ".join(cycle))
            elif name not in done:
                path.append(name)
                for used in self.depends.get(name, []):
                    visit(used)
                path.pop()
                done.add(name)

        for name in self.depends:
            visit(name)

    def closure(self, modules):
        seen, todo = set(), list(modules)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += self.depends.get(name, [])
        return seen

    def check_file(self, path, owner, allowed, declared_by):
        if TEST_FILE.search(path.name) and allowed is not None:
            allowed = allowed | self.closure(TEST_MODULES & self.depends.keys())
        for line, target, quoted in self.includes(path):
            if quoted:
                home = self.root / "engine" / owner if owner else None
                beside = (path.parent / target).resolve()
                if home and home not in beside.parents or (self.root / "engine") in beside.parents and not home:
                    self.problem(path, line, f'"{target}": reach another module by <gyre/MODULE/FILE>')
                continue
            if not target.startswith("gyre/"):
                continue
            parts = target.split("/")
            used = parts[1] if len(parts) > 2 else "module"  # <gyre/x.hpp> is the face of module/
            if used == owner:
                continue
            if used not in self.depends:
                self.problem(path, line, f"<{target}>: no module {used}")
            elif allowed is not None and used not in allowed:
                self.problem(path, line, f"<{target}>: arrow {declared_by} -> {used} is not declared "
                             f"(DEPENDS: {' '.join(sorted(self.depends.get(owner, allowed)))})")
            if "detail" in parts[2:-1] and allowed is not None:
                self.problem(path, line, f"<{target}>: detail/ belongs to {used} alone")

    def check_public_header(self, path, seen, because=""):
        """No third party in a public header, nor in what it includes of its own detail/."""
        if path in seen:
            return
        seen.add(path)
        for line, target, quoted in self.includes(path):
            if quoted or target.startswith("gyre/"):
                inner = path.parent / target if quoted else self.root / "engine" / target.removeprefix("gyre/")
                if "detail" in inner.parts and inner.is_file():
                    self.check_public_header(inner, seen, f" (public through {path.name}{because})")
            elif target not in STANDARD:
                self.problem(path, line, f"<{target}>: public headers include <gyre/...> and the "
                             f"standard library only{because}; move it to a .cpp or detail/")

    def files(self, folder):
        for path in sorted(folder.rglob("*")):
            if path.suffix in SOURCES and path.is_file() and not {"build", "node_modules"} & set(path.parts):
                yield path

    def run(self):
        self.read_declarations()
        seen = set()
        for name, depends in self.depends.items():
            folder, allowed = self.root / "engine" / name, self.closure(depends)
            for path in self.files(folder):
                self.check_file(path, name, allowed, name)
                if path.suffix == ".hpp" and path.parent == folder and not TEST_FILE.search(path.name):
                    self.check_public_header(path, seen)
        for top, modules in OUTER.items():
            base = self.root / top
            extra = {}  # folder -> modules its own CMakeLists.txt adds
            for path in sorted(base.rglob("CMakeLists.txt")):
                for _, name, depends, line in self.calls(path):
                    for used in depends:
                        if used not in self.depends:
                            self.problem(path, line, f"{name} DEPENDS on {used}, which is no module of engine/")
                    extra.setdefault(path.parent, set()).update(depends)
            for path in self.files(base):
                added = set().union(*(m for folder, m in extra.items() if folder in path.parents))
                allowed = None if modules is None else self.closure(modules | added)
                self.check_file(path, None, allowed, top)
        return self.problems


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    checker = Checker(root)
    problems = checker.run()
    print("\n".join(problems) if problems else
          f"{len(checker.depends)} modules, {len(checker.text)} files: every arrow is declared")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
