#!/usr/bin/env python3
"""The tables of keys in docs/configuration.md, made of what `gyre config schema` prints.

    config_tables.py GYRE [--write]     without --write: exit status 1 when the page is not fresh

Under each heading `## SECTION` the table is the schema's; the text around it is the author's.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/configuration.md"
HEAD = "| key | type | default | range | effect | meaning |\n|---|---|---|---|---|---|\n"
TABLE = re.compile(r"^\| key \|.*\n\|[-|]+\n(?:\|.*\n)*", re.M)
LONG = 40


def schema(gyre):
    with tempfile.TemporaryDirectory() as folder:  # no gyre.json there
        return json.loads(subprocess.run([str(Path(gyre).resolve()), "config", "schema"], cwd=folder, check=True,
                                         capture_output=True, text=True).stdout)


def value_of(key):
    return key["anyOf"][0] if "anyOf" in key else key


def rows(properties, prefix=""):
    """(path, the key's schema) of all that are no objects, and of lists of objects with what is in them."""
    for name, key in properties.items():
        if name.startswith("$"):
            continue
        value = value_of(key)
        if value.get("type") == "object" and "properties" in value:
            yield from rows(value["properties"], f"{prefix}{name}.")
            continue
        yield prefix + name, key
        inner = value.get("items", value.get("additionalProperties"))
        if isinstance(inner, dict) and "properties" in inner:
            yield from rows(inner["properties"], f"{prefix}{name}{'[]' if 'items' in value else '.*'}.")


def cell(text):
    return text.replace("|", "\\|")


def default_of(key):
    if key.get("writeOnly"):
        return "(secret)"
    if "default" not in key:
        return ""
    default = key["default"]
    text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    if isinstance(default, list) and len(text) > LONG:
        return f"{len(default)} of them, see below"
    return f"`{text}`" if text not in ("", "[]", "{}") else "none"


def row(path, key):
    kind = key["x-gyre-type"]
    if "enum" in value_of(key):
        kind = ", ".join(f"`{one}`" for one in value_of(key)["enum"] if one is not None)
    unit = key.get("x-gyre-unit", "")
    if unit:
        kind += f", {unit}"
    return (f"| `{path}` | {kind} | {default_of(key)} | {key.get('x-gyre-range', '')} | {key['x-gyre-effect']} | "
            f"{cell(key.get('x-gyre-about', ''))} |")


def made(page, found):
    """The page with fresh tables; names what it lacks."""
    lacks = []
    for name, section in found["$defs"]["sections"]["properties"].items():
        if name.startswith("$"):
            continue
        table = HEAD + "".join(row(*one) + "\n" for one in rows(section["properties"]))
        at = re.search(rf"^## {re.escape(name)}$.*?(?=^## |\Z)", page, re.M | re.S)
        old = TABLE.search(page, at.start(), at.end()) if at else None
        if not old:
            lacks.append(name)
            continue
        page = page[:old.start()] + table + page[old.end():]
    return page, lacks


def main():
    arguments = [one for one in sys.argv[1:] if one != "--write"]
    old = PAGE.read_text()
    new, lacks = made(old, schema(arguments[0]))
    for name in lacks:
        print(f"{PAGE.name}: no heading `## {name}` with a table below it")
    if new != old and "--write" in sys.argv:
        PAGE.write_text(new)
        print(f"{PAGE.name}: tables written")
    elif new != old:
        print(f"{PAGE.name}: its tables are not those of the configuration: ./dev docs")
    return 1 if lacks or (new != old and "--write" not in sys.argv) else 0


if __name__ == "__main__":
    sys.exit(main())
