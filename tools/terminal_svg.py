#!/usr/bin/env python3
"""What a terminal shows, as a picture for docs/.

    tmux capture-pane -ep -t PANE | tools/terminal_svg.py [--title TEXT] > docs/NAME.svg

Colours (16, 256 and RGB), bold and dim; other escapes are left out. Lines at the end that are empty are cut.
"""
import argparse
import html
import re
import sys
import unicodedata

FACE, BACK, DIM = "#d4d4d4", "#1e1e1e", "#808080"
PALETTE = ["#1e1e1e", "#f14c4c", "#23d18b", "#e5c07b", "#3b8eea", "#d670d6", "#29b8db", "#d4d4d4"]
WIDTH, HEIGHT, SIZE = 7.83, 17, 13  # of a character, of a line, of the type: pixels


def colour_256(number):
    if number < 16:
        return DIM if number == 8 else PALETTE[number % 8]
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return f"#{grey:02x}{grey:02x}{grey:02x}"
    parts = [(number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6]
    return "#" + "".join(f"{55 + 40 * part if part else 0:02x}" for part in parts)


class Style:
    def __init__(self):
        self.face, self.back, self.bold, self.dim = None, None, False, False

    def take(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.__init__()
            elif code == 1:
                self.bold = True
            elif code == 2:
                self.dim = True
            elif code == 22:
                self.bold = self.dim = False
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.face = DIM if code == 90 else PALETTE[code % 10]
            elif code == 39:
                self.face = None
            elif 40 <= code <= 47:
                self.back = PALETTE[code - 40]
            elif code == 49:
                self.back = None
            elif code in (38, 48) and codes:
                kind = codes.pop(0)
                colour = colour_256(codes.pop(0)) if kind == 5 else "#%02x%02x%02x" % tuple(codes.pop(0) for _ in range(3))
                if code == 38:
                    self.face = colour
                else:
                    self.back = colour

    def attributes(self):
        fill = self.face or (DIM if self.dim else FACE)
        return f'fill="{fill}"' + (' font-weight="bold"' if self.bold else "")


def cells(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def draw(text, title):
    style, out = Style(), []
    lines = text.replace("\r", "").rstrip("\n ").split("\n")
    columns = 0
    for row, line in enumerate(lines):
        column, y = 0, 34 + HEIGHT * (row + 1)
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if code := re.fullmatch(r"\x1b\[([0-9;]*)m", part):
                style.take(code[1])
                continue
            part = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()].|\][^\x07]*\x07)", "", part)
            if part:
                x, width = 12 + WIDTH * column, WIDTH * cells(part)
                if style.back:
                    out.append(f'<rect x="{x:.1f}" y="{y - 13}" width="{width:.1f}" height="{HEIGHT}" fill="{style.back}"/>')
                if part.strip():
                    out.append(f'<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" xml:space="preserve" {style.attributes()}>'
                               f"{html.escape(part)}</text>")
                column += cells(part)
        columns = max(columns, column)
    width, height = 24 + WIDTH * max(columns, 40), 34 + HEIGHT * (len(lines) + 1)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-size="{SIZE}" '
            f'font-family="DejaVu Sans Mono,Menlo,Consolas,monospace">\n'
            f'<rect width="100%" height="100%" rx="6" fill="{BACK}"/>\n'
            f'<text x="12" y="22" fill="{DIM}">{html.escape(title)}</text>\n' + "\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--title", default="")
    print(draw(sys.stdin.read(), parser.parse_args().title), end="")
