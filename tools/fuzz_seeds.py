#!/usr/bin/env python3
"""Inputs a fuzzer begins with, made of the golden bytes: fuzz_seeds.py FUZZER FOLDER

codec_fuzz: each golden value as msgpack and as JSON, and both structs with each byte of heads changed.
rpc_fuzz: conversations of valid frames, with golden values as arguments.
config_fuzz: configurations with every part of the form, good and wrong.
noise_fuzz: the golden messages, each for a server and a client. records_fuzz: golden records, and sealed streams of
many forms. packets_fuzz: what a network does with packets. Other fuzzers: none.
"""
import hashlib
import sys
from pathlib import Path

import msgpack

GOLDEN = Path(__file__).resolve().parent.parent / "protocol" / "golden"


def lines(name):
    return [line for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def codec():
    for line in lines("msgpack.hex"):
        encoded, _, described = line.split(" ", 2)
        yield bytes.fromhex(encoded)
        yield described.encode()
    tree = [2, "Ada", 1.5, -300, [1, "text"], {"a": [1, 70_000], "b": []}, {0: 2**63, 2: 1}, []]
    named = dict(zip(["color", "name", "weight", "level", "choice", "notes", "counts", "inside"],
                     ["blue", *tree[1:6], {"red": 1}, [tree]]))
    for value in (tree, tree[:3], [*tree, "more"], [*tree[:7], [tree, tree]], named, {"name": "x", "unknown": [1, {}]}):
        yield msgpack.packb(value)
    for line in lines("struct.hex"):
        encoded = bytes.fromhex(line)
        yield encoded
        for at in range(len(encoded)):
            yield encoded[:at] + bytes([encoded[at] ^ 0x10]) + encoded[at + 1:]


def frame(*values):
    return b"".join(msgpack.packb(value) for value in values)


def rpc():
    arguments = [msgpack.unpackb(bytes.fromhex(line.split(" ", 1)[0]), strict_map_key=False)
                 for line in lines("msgpack.hex")]
    talks = []
    for index, value in enumerate(arguments):
        name = f"T.m{index % 5}"
        call = [1, 2 * index + 1, index % 2, name, 100 * (index % 3), 0, 7, [value]]
        again = [1, 2 * index + 3, index % 2, 0, 0, 1, 0, [value, value]]
        stamped = [1, 9, 5, 0, 0, 2, 5, 6, 0, []]
        talks += [[call], [call, again], [call, [4, 2 * index + 1]], [[2, 1, value], [2, 2, value]], [call, stamped],
                  [[3, 1, "not_found", "where"], [3, 2, "entity_moved", "5 127.0.0.1:1"]], [[5], [6], call, [7, "closed", ""]]]
    for talk in talks:
        for flag in (0, 1):
            out = bytes([flag])
            for one in talk:
                body = frame(*one)
                if len(body) < 240:
                    out += bytes([len(body)]) + body
            yield out + b"\xff"


def config():
    section = '''{"gate": {"port": 8000, "loss": 0.5, "tls": true, "pin": "x", "mode": "team", "most": null, "peers": ["a", "b"],
      "links": {"x": {"mtu_bytes": 600, "idle": "30s"}}, "more": [{}, {"mtu_bytes": 1300}], "key": "AQIDBA=="}}'''
    wrong = '''{"gate": {"prot": 1, "port": 70000, "loss": "x", "tls": 1, "pin": 7, "mode": "tem", "most": 1, "peers": [1, {}],
      "links": {"x": {"mtu_bytes": 6}}, "more": [{"idle": 3}], "key": "AQID"}, "gaet": {}, "gate": 1}'''
    macros = '''{ // a comment
      "$MACRO$": {"HOST": "a", "PORT": 8000, "URL": "tcp://$HOST$:$PORT$", "LIST": ["$HOST$", "$URL$"], "LOOP": "$LOOP$"},  # another
      "gate": {"port": "$PORT$", "pin": "$URL$", "peers": "$LIST$", "loss": "${env:A}", "most": "${env:B:-5}"}, /* and */
      "x": ["$$HOST$$", "$NONE$", "${env:B}", "${file:f}", "${no}", "$LOOP$", "$"],}'''
    files = '''{"$include": ["a", "b"], "$profiles": {"prod": {"gate": {"port": 1}}}, "gate": {"$include": "c"}}
=== a
{"$include": "b", "gate": {"tls": true}, "$profiles": {"prod": {"gate": {"loss": 1}}}}
=== b
{"$MACRO$": {"P": 5}, "gate": {"port": "$P$"}, "y": {"$include": "b"}}
=== c
{"peers": ["${file:f}"], "most": "$P$"}
=== f
secret
=== profile
prod
=== set
gate.links.x={"mtu_bytes": 700}'''
    yield from (text.encode() for text in (section, wrong, macros, files))
    for broken in ("{'a': 1}", "{a: NaN, b: 010, c: 10ms}", '{"a": 1 "b": [1 2], "c": [}', '{"a": "x\n"b": "\\q\\ud800"}', '{"a": {', "[]",
                   '\ufeff{"\u65e5": "\u202e\\u0041",}', '{"password": 1 2, "url": "x://a:b@c"}', "{" * 70, '{"a":' * 70):
        yield broken.encode()


def noise():
    for line in lines("handshake.hex"):
        name, encoded = line.rsplit(" ", 1)
        if encoded != "-" and any(word in name for word in ("first", "second", "refus", "key", "payload")):
            for how in range(6):
                yield bytes([how]) + bytes.fromhex(encoded)
    yield bytes([6]) + b"e06Qm75__kTEZaIgA31gjuNYl9Me8XLwf3SJLLD3PxM"


def records():
    stream = b"".join(bytes.fromhex(line.rsplit(" ", 1)[1]) for line in lines("handshake.hex") if "record_" in line)
    yield bytes(3) + stream
    for count in (1, 2, 5, 20, 100):
        for at in (0, 3, 19, 40):
            yield bytes([2 * count, 0, 0]) + stream
            yield bytes([2 * count + 1, at, 0]) + stream


def packets():
    for number_bytes in range(4):
        sent = bytes([number_bytes << 3 | 0x40, 1, 2]) * 6
        yield sent + bytes([3, 5, 3, 0, 3, 5, 3, 2])
        yield sent + bytes([2, 200, *sent, 3, 7, 3, 0, 4, 1, 9, 1, 5, 2, 9]) + bytes([6 | number_bytes << 3, 30]) + bytes(30)
    yield bytes([0, 2, 255, 0, 3, 1, 3, 0, 2, 10, 0x18, 3, 2, 3, 1])


if __name__ == "__main__":
    fuzzer, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in {"codec_fuzz": codec, "rpc_fuzz": rpc, "config_fuzz": config, "noise_fuzz": noise,
                 "records_fuzz": records, "packets_fuzz": packets}.get(fuzzer, tuple)():
        (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
