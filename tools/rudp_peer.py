#!/usr/bin/env python3
"""A peer of Gyre's sealed links over UDP that shares no code with it: tools/rudp.py behind a socket.

    rudp_peer.py echo ADDRESS SECRET [OPTIONS]       serves one client, and sends back whatever it hears
    rudp_peer.py client ADDRESS PUBLIC [OPTIONS]     sends messages of all sizes and kinds, and compares what comes back

    --acks bitmap|list     how it acknowledges
    --drop-in N            of the datagrams that arrive each N-th is dropped; --drop-out N: of those it sends
    --messages N           of the client, of each kind
    --move                 the client goes on from another port halfway

ADDRESS is HOST:PORT, keys are hex. `echo` prints `listening HOST:PORT`. At the end, which comes soon, each prints a line of
JSON. Exit status 1: anything was not as those pages have it.
"""
import argparse
import hashlib
import hmac
import json
import os
import select
import socket
import sys
import time

from rudp import (BITMAP, Broken, CHALLENGE, CLOSE, DATA, End, LIST, ORDERED, Opener, RESPONSE, Refused, SEQUENCED, Sealer, UNORDERED,
                  UNRELIABLE, noise, u16)


class Failed(Exception):
    pass


class Wire:
    """A socket that loses datagrams, one after the other so many."""

    def __init__(self, drop_in, drop_out):
        self.move()
        self.drop = {"in": drop_in, "out": drop_out}
        self.seen = {"in": 0, "out": 0}
        self.dropped = {"in": 0, "out": 0}
        self.losing = False

    def move(self):
        """To a port that nobody knows; the old one is gone."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def drops(self, way):
        if not self.losing:
            return False
        self.seen[way] += 1
        lost = self.drop[way] and self.seen[way] % self.drop[way] == 0
        self.dropped[way] += bool(lost)
        return lost

    def send(self, datagram, to):
        if not self.drops("out"):
            self.socket.sendto(datagram, to)

    def receive(self, until):
        """(datagram, from), or None once it is so late."""
        while True:
            wait = until - time.monotonic()
            if not select.select([self.socket], [], [], max(wait, 0))[0]:
                return None
            try:
                datagram, peer = self.socket.recvfrom(2048)
            except ConnectionRefusedError:
                continue
            if datagram and not self.drops("in"):
                return datagram, peer


class Live:
    """A link over a socket."""

    def __init__(self, wire, end, own_id, peer, peer_id, send_key, receive_key, limit):
        self.wire, self.end, self.own_id, self.peer, self.limit = wire, end, own_id, peer, limit
        self.sealer, self.opener = Sealer(send_key, peer_id), Opener(receive_key)
        self.closed = None
        self.heard, self.challenges = [], 0
        self.say(DATA, b"")

    def say(self, kind, plain, number_bytes=4):
        self.wire.send(self.sealer.seal(kind, self.end.next_number, number_bytes, plain), self.peer)
        self.end.next_number += 1

    def take(self, datagram, peer):
        if peer != self.peer or len(datagram) < 5 or datagram[0] >> 4 < DATA:
            return
        short = datagram[0] & 4
        if (datagram[1] if short else int.from_bytes(datagram[1:5], "little")) != self.own_id:
            return
        if bool(short) != (self.own_id < 256):
            raise Failed(f"an id of {self.own_id} in the other form")
        packet = self.opener.open(datagram)
        if packet is None:
            raise Failed(f"a packet that does not open: {datagram.hex()}")
        kind, number, plain = packet
        if kind == DATA:
            self.heard += self.end.input(number, plain, time.monotonic())
            return
        self.end.input(number, b"", time.monotonic())
        if kind == CLOSE:
            self.closed = plain
        elif kind == CHALLENGE:
            self.challenges += 1
            self.say(RESPONSE, plain)

    def turn(self, until=None):
        """Sends what is due, and receives one datagram if one comes in time."""
        now = time.monotonic()
        if now > self.limit:
            raise Failed(f"took too long: {self.end.left()} bytes are left, segment {self.end.lacking} lacks, {self.summary()}")
        for number, number_bytes, plain in self.end.flush(now):
            self.wire.send(self.sealer.seal(DATA, number, number_bytes, plain), self.peer)
        got = self.wire.receive(min(self.end.wake_at() or self.limit, until or self.limit, self.limit))
        if got:
            self.take(*got)

    def close(self):
        for _ in range(3):
            self.say(CLOSE, b"closed\0that is all")

    def summary(self):
        forms = sorted(("none", "bitmap", "few", "list")[form] for form in self.end.forms_heard)
        return {**self.end.count, "dropped_in": self.wire.dropped["in"], "dropped_out": self.wire.dropped["out"],
                "heard_acks": forms, "challenges": self.challenges, "rtt_ms": round(1000 * (self.end.srtt or 0), 2)}


def dial(options, wire, limit):
    server = address(options.address)
    state = noise().noise("nk", True, bytes.fromhex(options.key))
    first, _ = noise().write(state, noise().head("nk", 1), b"a client in Python")
    own_id, cookie, wait = 7, bytes(20), 0.2
    while time.monotonic() < limit:
        hello = b"\x10" + own_id.to_bytes(4, "little") + cookie + len(first).to_bytes(2, "little") + first
        wire.send(hello + bytes(1200 - len(hello)), server)
        again = time.monotonic() + wait
        wait = min(1.5 * wait, 2)
        while got := wire.receive(again):
            datagram, peer = got
            if peer != server or int.from_bytes(datagram[1:5], "little") != own_id:
                continue
            if datagram[0] == 0x20 and len(datagram) == 25 and cookie == bytes(20):
                cookie = datagram[5:25]
                break
            if datagram[0] == 0x30:
                heard, split = noise().read(state, noise().head("nk", 2), datagram[9:])
                if heard[:1] != b"\0":
                    raise Failed(f"refused: {heard!r}")
                if len(heard) < 17:
                    raise Failed(f"no token for resets: {heard!r}")
                peer_id = int.from_bytes(datagram[5:9], "little")
                if peer_id < 256:
                    raise Failed(f"a server's id of {peer_id}")
                up, down = (one._key for one in split)
                return own_id, server, peer_id, up, down
    raise Failed("no answer")


def await_client(options, wire, limit):
    wire.socket.bind(address(options.address))
    print("listening %s:%d" % wire.socket.getsockname(), flush=True)
    secret, own_id = os.urandom(32), int.from_bytes(os.urandom(3), "little") << 8 | 1 << 31
    while got := wire.receive(limit):
        datagram, peer = got
        if datagram[0] != 0x10 or len(datagram) < 1200:
            continue
        size = int.from_bytes(datagram[25:27], "little")
        first = datagram[27:27 + size]
        bound = repr(peer).encode() + datagram[1:5] + first[:40]
        cookie = hmac.new(secret, bound, hashlib.sha256).digest()[:20]
        if datagram[5:25] != cookie:
            wire.send(b"\x20" + datagram[1:5] + cookie, peer)
            continue
        state = noise().noise("nk", False, bytes.fromhex(options.key))
        noise().read(state, noise().head("nk", 1), first)
        answer, split = noise().write(state, noise().head("nk", 2), b"\0" + os.urandom(16) + b"a server in Python")
        wire.send(b"\x30" + datagram[1:5] + own_id.to_bytes(4, "little") + answer, peer)
        up, down = (one._key for one in split)
        return own_id, peer, int.from_bytes(datagram[1:5], "little"), down, up
    raise Failed("no client")


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


# ---- messages that both programs of the test know: tests/rudp/peer.cpp

SIZES = (8, 30, 64, 200, 700, 1100, 64, 2500, 20, 90)


def message(kind, lane, number):
    """kind and lane, its number, bytes that depend on where they are."""
    size = 40_000 if kind == ORDERED and lane == 0 and number == 5 else SIZES[number % len(SIZES)]
    body = bytes((number * 31 + i * 7 + (i >> 8)) % 256 for i in range(size))
    return bytes([kind << 4 | lane]) + u16(number) + body


KINDS = ((ORDERED, 0), (ORDERED, 3), (UNORDERED, 0), (SEQUENCED, 2), (UNRELIABLE, 0))


class Check:
    """What came back, against what a kind promises."""

    def __init__(self, count):
        self.count, self.heard = count, {kind: [] for kind in KINDS}

    def take(self, data):
        kind, lane, number = data[0] >> 4, data[0] & 15, int.from_bytes(data[1:3], "little")
        if (kind, lane) not in self.heard or data != message(kind, lane, number):
            raise Failed(f"message {number} of kind {kind}, lane {lane} differs")
        numbers = self.heard[kind, lane]
        if kind == ORDERED and number != len(numbers):
            raise Failed(f"message {number} of lane {lane} came after {len(numbers) - 1}")
        if kind == SEQUENCED and numbers and number <= numbers[-1]:
            raise Failed(f"a sequenced {number} came after {numbers[-1]}")
        if number in numbers:
            raise Failed(f"message {number} of kind {kind} came twice")
        numbers.append(number)

    def done(self):
        return all(len(numbers) == self.count for (kind, _), numbers in self.heard.items() if kind in (ORDERED, UNORDERED))

    def summary(self):
        loose = [len(self.heard[kind]) for kind in KINDS if kind[0] in (SEQUENCED, UNRELIABLE)]
        if min(loose) == 0:
            raise Failed(f"of {self.count} messages that may be lost, {loose} came back")
        return {"reliable": 3 * self.count, "loose": sum(loose)}


def run(options):
    limit = time.monotonic() + 12
    wire = Wire(options.drop_in, options.drop_out)
    end = End(LIST if options.acks == "list" else BITMAP, repairs=True)
    link = Live(wire, end, *(dial if options.role == "client" else await_client)(options, wire, limit), limit)
    wire.losing = True
    if options.role == "echo":
        while link.closed is None:
            link.turn()
            while link.heard:
                data = link.heard.pop(0)
                end.send(data, data[0] >> 4, data[0] & 15)
        print(json.dumps(link.summary()))
        return
    check, sent, due = Check(options.messages), 0, time.monotonic()
    while not check.done() or end.left():
        while sent < options.messages and time.monotonic() >= due:
            if options.move and sent == options.messages // 2:
                wire.move()
            for kind, lane in KINDS:
                end.send(message(kind, lane, sent), kind, lane)
            sent, due = sent + 1, due + 0.02
        link.turn(due if sent < options.messages else None)
        while link.heard:
            check.take(link.heard.pop(0))
    link.close()
    print(json.dumps({**check.summary(), **link.summary()}))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("role", choices=("echo", "client"))
    parser.add_argument("address")
    parser.add_argument("key")
    parser.add_argument("--acks", choices=("bitmap", "list"), default="bitmap")
    parser.add_argument("--drop-in", type=int, default=0)
    parser.add_argument("--drop-out", type=int, default=0)
    parser.add_argument("--messages", type=int, default=60)
    parser.add_argument("--move", action="store_true")
    try:
        run(parser.parse_args())
    except (Failed, Refused, Broken) as wrong:
        sys.exit(f"rudp_peer: {type(wrong).__name__}: {wrong}")


if __name__ == "__main__":
    main()
