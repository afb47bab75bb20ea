#!/usr/bin/env python3
"""Holds the documentation against the tree.

    check_docs.py [ROOT]     prints file:line: what is wrong; exit status 1 when anything is

- Relative links and their anchors exist.
- A C++ block after `<!-- code: FILE -->` stands in FILE as it is, but for its indent.
- README.zh.md has the headings, code blocks and links of README.md; the map of folders is complete.
- docs/errors.md has every error code of the sources, no other.
- Subcommands and options of `gyre` and `./dev` that are shown exist.
"""
import re
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*)$", re.M)
FENCE = re.compile(r"(?:^<!-- code: (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
# Codes that only tests of the engine or of other programs can see.
CODE_SOURCES = ("engine", "services", "games", "sdk", "cli")
CODES = (re.compile(r'\bError\(\s*"([a-z]+(?:_[a-z]+)*)"'),
         re.compile(r'\bResponse::error\(\s*\d+,\s*"([a-z]+(?:_[a-z]+)*)"'),
         re.compile(r'\b(?:refuse\(|fault = \{|fail\(\{)\s*\d{3},\s*"([a-z]+(?:_[a-z]+)*)"'),
         re.compile(r'inline constexpr std::string_view ([a-z]+(?:_[a-z]+)*)\s*=\s*"\1";'))
NOT_CODES = {"persist"}


class Docs:
    def __init__(self, root):
        self.root = Path(root)
        self.problems = []
        self.pages = sorted([*self.root.glob("*.md"), *self.root.glob("docs/**/*.md")])

    def problem(self, path, line, message):
        self.problems.append(f"{path.relative_to(self.root)}:{line}: {message}")

    def sources(self, *folders, suffixes=(".hpp", ".cpp")):
        for folder in folders:
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in suffixes and not re.search(r"_(test|bench|fuzz)\.\w+$", path.name):
                    yield path

    # ---- links, code, translation

    @staticmethod
    def prose(text):
        """The text without code blocks, lines kept."""
        return FENCE.sub(lambda m: "\n" * m[0].count("\n"), text)

    def anchors(self, path):
        names = set()
        for match in HEADING.finditer(self.prose(path.read_text())):
            name = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
            names.add(name)
        return names

    def check_links(self):
        for page in self.pages:
            text = self.prose(page.read_text())
            for match in LINK.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                if re.match(r"[a-z]+:", match[1]):
                    continue
                target, _, anchor = match[1].partition("#")
                path = (page.parent / target).resolve() if target else page
                if not path.exists():
                    self.problem(page, line, f"no file {target}")
                elif anchor and anchor not in self.anchors(path):
                    self.problem(page, line, f"no heading #{anchor} in {path.name}")

    @staticmethod
    def dedented(text):
        lines = [line.rstrip() for line in text.strip("\n").split("\n")]
        indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
        return [line[indent:] for line in lines]

    def check_code(self):
        for page in self.pages:
            text = page.read_text()
            for match in FENCE.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                if not match[1]:
                    if match[2] == "cpp":
                        self.problem(page, line, "C++ without <!-- code: FILE --> above it")
                    continue
                path = self.root / match[1]
                if not path.exists():
                    self.problem(page, line, f"no file {match[1]}")
                    continue
                wanted = self.dedented(match[3])
                whole = path.read_text().split("\n")
                if not any(self.dedented("\n".join(whole[at:at + len(wanted)])) == wanted
                           for at in range(len(whole)) if whole[at].strip() == wanted[0].strip()):
                    self.problem(page, line, f"this text is not in {match[1]}")

    def check_translation(self):
        english, chinese = self.root / "README.md", self.root / "README.zh.md"
        one, other = english.read_text(), chinese.read_text()

        def folders(code):
            return [line.split()[0] if line.split() else "" for line in code.split("\n")]

        levels = [[h.group().split(" ")[0] for h in HEADING.finditer(self.prose(t))] for t in (one, other)]
        if levels[0] != levels[1]:
            self.problem(chinese, 1, f"{len(levels[1])} headings, README.md has {len(levels[0])}, or other levels")
        blocks = [[(m[1], m[2], folders(m[3]) if not m[2] else m[3]) for m in FENCE.finditer(t)] for t in (one, other)]
        for at, (a, b) in enumerate(zip(*blocks)):
            if a != b:
                self.problem(chinese, 1, f"code block {at + 1} differs from README.md")
        if len(blocks[0]) != len(blocks[1]):
            self.problem(chinese, 1, f"{len(blocks[1])} code blocks, README.md has {len(blocks[0])}")
        links = [[m for m in LINK.findall(t) if not m.startswith("README")] for t in (one, other)]
        if links[0] != links[1]:
            self.problem(chinese, 1, f"links differ from README.md: {sorted(set(links[0]) ^ set(links[1]))}")

    def check_map(self):
        page = self.root / "README.md"
        text = page.read_text()
        shown = set()
        for match in FENCE.finditer(text):
            if match[2] == "" and match[3].startswith("engine/"):
                for line in match[3].split("\n"):
                    name = re.match(r"( *)([\w/]+)/", line)
                    if name:
                        shown.add(("engine/" if name[1] else "") + name[2])
        hidden = {"build", "include"}
        there = {p.name for p in self.root.iterdir()
                 if p.is_dir() and not p.name.startswith(".") and p.name not in hidden and any(p.iterdir())}
        there |= {f"engine/{p.name}" for p in (self.root / "engine").iterdir() if p.is_dir()}
        for name in sorted(there - shown):
            self.problem(page, 1, f"the map of the folders lacks {name}/")
        for name in sorted(shown - there):
            self.problem(page, 1, f"the map of the folders has {name}/, which does not exist")

    # ---- errors

    def check_errors(self):
        page = self.root / "docs/errors.md"
        text = page.read_text()
        shown = {m[1]: text.count("\n", 0, m.start()) + 1 for m in re.finditer(r"^\| `([a-z_]+)` \|", text, re.M)}
        there = {}
        for path in self.sources(*CODE_SOURCES):
            if "/sim/" in str(path) or "/ecs/" in str(path):
                continue
            source = path.read_text()
            errors_only = path.name in ("error.hpp", "documents.hpp")
            for pattern in CODES if errors_only else CODES[:3]:
                for code in pattern.findall(source):
                    there.setdefault(code, path)
        for code in sorted(there.keys() - shown.keys()):
            self.problem(page, 1, f"lacks {code} of {there[code].relative_to(self.root)}")
        for code in sorted(shown.keys() - there.keys()):
            self.problem(page, shown[code], f"{code}: no such code in the sources")
        if len(there) < 30:
            self.problem(page, 1, f"only {len(there)} codes were found in the sources: this check is broken")

    # ---- commands

    def check_commands(self):
        dev = set(re.findall(r"^    (\w+)(?: \| [\w-]+)*\)", (self.root / "dev").read_text(), re.M))
        cli = "".join(path.read_text() for path in self.sources("cli"))
        gyre = set(re.findall(r'add_subcommand\(\s*"(\w+)"', cli))
        options = set(re.findall(r'"(--[\w-]+)[",]', cli)) | {"--help"}
        for page in self.pages:
            text = page.read_text()
            for at, line in enumerate(text.split("\n"), 1):
                for command in re.findall(r"\./dev (\w+)", line):
                    if command not in dev:
                        self.problem(page, at, f"./dev has no command {command}")
                if not gyre:
                    continue
                for command, rest in re.findall(r"(?:^|[`/ ])gyre ([a-z]+)\b([^`|]*)", line):
                    quoted = "`" in line or line.startswith(("build/", "gyre ", "$ "))
                    if not quoted:
                        continue
                    if command not in gyre:
                        self.problem(page, at, f"gyre has no command {command}")
                    for option in re.findall(r"(?<!\S)(--[a-z-]+)", rest):
                        if option not in options:
                            self.problem(page, at, f"gyre has no option {option}")

    def run(self):
        for check in (self.check_links, self.check_code, self.check_translation, self.check_map,
                      self.check_errors, self.check_commands):
            check()
        return self.problems


def main():
    problems = Docs(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).run()
    print("\n".join(problems) or "the documentation agrees with the tree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
