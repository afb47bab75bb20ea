#!/usr/bin/env python3
"""Golden bytes through an independent msgpack (python3-msgpack): what it reads and writes.

    msgpack_peer.py golden FILE    checks each line of protocol/golden/msgpack.hex (`hex = json`, `hex ~ json`) and prints
                                   `hex<TAB>json` with the value as it writes it
    msgpack_peer.py echo           hex lines from stdin: prints the value as JSON and as it writes it, `hex<TAB>json`

JSON is that of protocol/msgpack.md. Exit status 1 with the line when a golden value differs.
"""
import base64
import json
import math
import struct
import sys

import msgpack


def plain(value):
    """The value as JSON has it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) <= 2**53 else str(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(plain(key)): plain(one) for key, one in value.items()}
    return value


def read(encoded):
    return msgpack.unpackb(encoded, raw=False, strict_map_key=False)


def same(found, described, encoded):
    if encoded[:1] == b"\xca" and described is not None:  # The nearest float 32 is printed short.
        return struct.pack(">f", found) == struct.pack(">f", described)
    if found == 0 and described == 0:
        return str(found) == str(described)  # -0.0 is not 0.0, and 0 is no float.
    return type(found) is type(described) and found == described


def line_of(encoded):
    value = read(encoded)
    return msgpack.packb(value, use_bin_type=True).hex() + "\t" + json.dumps(plain(value), ensure_ascii=False)


def golden(path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if line.startswith("#"):
            continue
        encoded, mode, described = line.rstrip("\n").split(" ", 2)
        encoded = bytes.fromhex(encoded)
        value = read(encoded)
        if not same(plain(value), json.loads(described), encoded):
            sys.exit(f"{path}:{number}: msgpack {msgpack.version} reads {plain(value)!r}")
        if mode == "=" and msgpack.packb(value, use_bin_type=True) != encoded:
            sys.exit(f"{path}:{number}: msgpack {msgpack.version} writes {msgpack.packb(value).hex()}")
        print(line_of(encoded))


if __name__ == "__main__":
    if sys.argv[1:2] == ["golden"]:
        golden(sys.argv[2])
    else:
        for text in sys.stdin:
            if not text.startswith("#"):
                print(line_of(bytes.fromhex(text)))
