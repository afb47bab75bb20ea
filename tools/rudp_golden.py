#!/usr/bin/env python3
"""Prints protocol/golden/rudp.hex: what one end hears and says by protocol/rudp.md, as tools/rudp.py has it."""
import sys

sys.dont_write_bytecode = True
from rudp import (BITMAP, Broken, CHALLENGE, CLOSE, DATA, End, FEW, LIST, Loose, ORDERED, PACKETS_PER_KEY, Plain, RESPONSE,
                       Refused, Repair, SEQUENCED, Sealer, Segment, UNORDERED, UNRELIABLE, WINDOW, coefficient, repair_of, u16)

COMMENT = """\
# RUDP (protocol/rudp.md), as an independent implementation writes it: tools/rudp_golden.py. Bytes are hex, `-` is none.
#
# sealed KEY KIND NUMBER BYTES RECEIVER PLAIN DATAGRAM   a packet of so many number bytes to the id RECEIVER
# factor PACKET INDEX SEGMENT COEFFICIENT                of repairs
# case NAME [list]       an end that nothing has happened to, which repairs nothing ahead; list: it acknowledges by lists, not bitmaps
# next NUMBER            so many packets of another kind went: its next packet has this number
# many FIRST COUNT       packets FIRST, FIRST + 1, ... arrive with COUNT segments in order, 30 in each, flags 0, each a whole message of one byte,
#                        the low one of its number, and are delivered. After each packet the end sends what is due. Not looked at
# in NUMBER PLAIN        a packet arrives
# refused NUMBER PLAIN   so, and counts for nothing
# ends NUMBER CODE PLAIN so, and ends the link; nothing follows
# heard MESSAGE          the next message that the end delivers; between two packets it delivers these and no other
# send ORDER LANE BYTES  the end sends a message; orders: 0 ordered, 1 unordered, 2 sequenced, 3 unreliable
# at MS                  so late it is; the end sends what is due: exactly what follows
# out NUMBER BYTES PLAIN
# left N                 of what it sent, so many bytes of segments are not known to have arrived
"""


class Case:
    def __init__(self, name, form=BITMAP):
        self.lines, self.end, self.now = [f"case {name}" + (" list" if form == LIST else "")], End(form, max_message_bytes=2**20), 0
        CASES.append(self)

    def arrives(self, number, plain, *heard):
        plain = plain if isinstance(plain, bytes) else plain.write()
        self.lines.append(f"in {number} {plain.hex() or '-'}")
        told = self.end.input(number, plain, self.now / 1000)
        assert told == list(heard), (self.lines[0], number, told, heard)
        self.lines += [f"heard {message.hex()}" for message in told]

    def refused(self, number, plain):
        plain = plain if isinstance(plain, bytes) else plain.write()
        self.lines.append(f"refused {number} {plain.hex()}")
        try:
            self.end.input(number, plain, self.now / 1000)
        except Refused:
            return
        raise AssertionError((self.lines[0], plain.hex()))

    def ends(self, number, plain):
        self.lines.append(f"ends {number} bad_data {plain.write().hex()}")
        try:
            self.end.input(number, plain.write(), self.now / 1000)
        except Broken:
            return
        raise AssertionError(self.lines[0])

    def many(self, first, count):
        self.lines.append(f"many {first} {count}")
        for at in range(0, count, 30):
            segments = [Segment(n, bytes([n % 256])) for n in range(at, min(at + 30, count))]
            assert len(self.end.input(first + at // 30, Plain(frames=segments).write(), self.now / 1000)) == len(segments)
            self.end.flush(self.now / 1000)

    def next(self, number):
        self.lines.append(f"next {number}")
        self.end.next_number = number

    def send(self, data, order=ORDERED, lane=0):
        self.lines.append(f"send {order} {lane} {data.hex()}")
        self.end.send(data, order, lane)

    def at(self, ms, *plains):
        """plains: what is looked at beside the numbers, when given."""
        self.now = ms
        out = self.end.flush(ms / 1000)
        assert not plains or [plain for _, _, plain in out] == list(plains), (self.lines[0], ms, [p.hex() for _, _, p in out])
        self.lines.append(f"at {ms}")
        self.lines += [f"out {number} {number_bytes} {plain.hex()}" for number, number_bytes, plain in out]

    def left(self, count):
        assert self.end.left() == count, (self.lines[0], self.end.left())
        self.lines.append(f"left {count}")


CASES = []


def one(number, text, **more):
    return Segment(number, text.encode(), **more)


def plain(*frames, **more):
    return Plain(frames=list(frames), **more)


def asked(*frames):
    return Plain(frames=list(frames), ask=True)


def segments():
    case = Case("segments")
    case.arrives(0, b"")
    case.arrives(1, plain(one(0, "whole")), b"whole")
    case.arrives(2, plain(one(1, "in ", ends=False), one(2, "three", begins=False, ends=False), one(3, " parts", begins=False)), b"in three parts")
    case.arrives(3, plain(one(5, "second")))
    case.arrives(4, plain(one(4, "first"), one(5, "second")), b"first", b"second")
    case.arrives(4, plain(one(0, "whole")))  # as one would that was delivered twice; sealed packets are not
    case.arrives(6, plain(one(8, "c", begins=False)))
    case.arrives(5, plain(one(7, "b", begins=False, ends=False)))
    case.arrives(7, plain(one(6, "a", ends=False)), b"abc")

    case = Case("order")
    case.arrives(0, plain(one(1, "lane 3", order=(ORDERED, 3, 0))), b"lane 3")
    case.arrives(1, plain(one(2, "waits for nobody", order=(UNORDERED, 0, 0))), b"waits for nobody")
    case.arrives(2, plain(one(3, "after 0", order=(ORDERED, 0, 3)), one(4, "after 1", order=(ORDERED, 3, 3))), b"after 1")
    case.arrives(3, plain(one(6, "after 5")))
    case.arrives(4, plain(one(0, "zero")), b"zero", b"after 0")
    case.arrives(5, plain(one(5, "five", order=(ORDERED, 0, 2))), b"five", b"after 5")
    case.arrives(6, plain(one(7, "below 0", order=(ORDERED, 15, 100))), b"below 0")


def loose():
    case = Case("loose")
    case.arrives(0, plain(Loose(65535, b"last before the wrap")), b"last before the wrap")
    case.arrives(1, plain(Loose(0, b"first behind it"), Loose(65534, b"late")), b"first behind it", b"late")
    case.arrives(2, plain(Loose(0, b"first behind it"), Loose(65535, b"last before the wrap")))
    case.arrives(3, plain(Loose(70, b"b", lane=4), Loose(69, b"a", lane=4), Loose(3, b"other lane", lane=5)), b"b", b"other lane")
    case.arrives(4, plain(Loose(70, b"b", lane=4), Loose(6, b"64 before"), Loose(7, b"63 before")), b"63 before")
    case.arrives(5, plain(Loose(71, b"c", lane=4), one(0, "a segment beside it")), b"c", b"a segment beside it")

    case = Case("long_sequenced")
    long = [one(0, "a long ", ends=False, order=(SEQUENCED, 4, 7)), one(1, "one", begins=False)]
    late = [one(2, "late ", ends=False, order=(SEQUENCED, 4, 8)), one(3, "one", begins=False)]
    case.arrives(0, plain(*long), b"a long one")
    case.arrives(1, plain(late[0], Loose(9, b"newer", lane=4)), b"newer")
    case.arrives(2, plain(late[1]))
    case.arrives(3, plain(Loose(6, b"older than the long one", lane=4), one(4, "behind it")), b"behind it")
    case.arrives(4, plain(one(5, "of another lane", order=(SEQUENCED, 15, 5))), b"of another lane")


def repairs():
    hi, yes = one(0, "hi"), one(1, "yes")
    case = Case("repair")
    case.arrives(0, plain(hi), b"hi")
    case.arrives(2, plain(repair_of(2, 0, [hi, yes])), b"yes")  # packet 1 was lost
    case.at(60)
    case.arrives(3, plain(one(3, "three")))
    case.arrives(4, plain(one(4, "four"), repair_of(4, 0, [one(2, "two, which is longer"), one(3, "three"), one(4, "four")])),
                 b"two, which is longer", b"three", b"four")
    case.at(120)

    for n in range(8):  # una goes with eight
        case.arrives(5 + n, asked())
        case.at(121 + n)

    case = Case("repair_of_many_delivered")
    row = [one(n, "%d" % n, ends=n > 2, begins=n in (0, 4, 5, 6, 7, 8)) for n in range(9)]
    case.arrives(0, plain(*row[:8]), b"0123", b"4", b"5", b"6", b"7")
    case.arrives(2, plain(repair_of(2, 0, row[1:])), b"8")

    case = Case("two_repairs")
    row = [one(n, "message %d" % n) for n in range(8)]
    lost = (1, 4, 5)
    for n in range(8):
        if n not in lost:
            case.arrives(n, plain(row[n]), *([b"message 0"] if n == 0 else []))
    case.arrives(8, plain(repair_of(8, 0, row), repair_of(8, 1, row)))
    case.arrives(9, plain(repair_of(9, 0, row)), *[b"message %d" % n for n in range(1, 8)])
    case.at(60)

    case = Case("repair_of_order")
    row = [one(0, "x" * 40, order=(UNORDERED, 0, 0)), one(1, "lane 2", order=(ORDERED, 2, 0)), one(2, "part", ends=False, order=(ORDERED, 2, 1)),
           one(3, "ed", begins=False)]
    case.arrives(1, plain(row[1]), b"lane 2")
    case.arrives(3, plain(row[3]))
    case.arrives(4, plain(repair_of(4, 0, row[:2]), repair_of(4, 1, row[2:])), b"x" * 40, b"parted")

    case = Case("repairs_passed_over")
    case.arrives(0, plain(hi), b"hi")
    case.arrives(1, plain(Repair(0, 2, b"abc")))                       # shorter than a record it counts on
    case.arrives(2, plain(Repair(2, 1, b"\xff\xff\xff\xff")))            # no record comes of it
    case.arrives(3, plain(Repair(1023, 1, bytes(20)), Repair(1, 1, bytes(3))))
    case.arrives(4, plain(yes), b"yes")
    case.arrives(5, plain(repair_of(5, 0, [hi, yes])))                # nothing new
    case.arrives(6, plain(one(3, "three"), repair_of(6, 0, [one(2, "padded"), one(3, "three")])), b"padded", b"three")
    symbol = repair_of(7, 0, [one(4, "zeros behind")]).symbol
    case.arrives(7, plain(Repair(4, 1, symbol + bytes(9))), b"zeros behind")


def acknowledging():
    case = Case("bitmaps")
    case.arrives(0, asked())
    case.at(0, bytes([1, 0]) + u16(0))
    case.arrives(1, asked(one(0, "x")), b"x")
    case.at(2, bytes([1, 8]) + u16(1))
    case.arrives(2, plain())  # one byte of flags: nothing to acknowledge
    case.at(60)
    for last in (11, 24, 41, 70, 130, 250, 480):
        for number in range(case.end.got_end + 2, last, 3):
            case.arrives(number, asked())
        case.arrives(last, asked())
        case.at(60 + last)
    case.arrives(479, b"")
    case.arrives(478, asked())
    case.at(600)
    case.arrives(1000, asked())
    case.at(700)

    case = Case("delays")
    for number, ms, wait in ((0, 0, 0.25), (1, 100, 63.5), (2, 200, 63.75), (3, 300, 90)):
        case.at(ms)
        case.arrives(number, asked())
        case.now = ms + wait
        out = case.end.flush(case.now / 1000)
        assert out[-1][2][1] == min(int(wait * 4), 255)
        case.lines.append(f"at {case.now:g}")
        case.lines += [f"out {n} {size} {text.hex()}" for n, size, text in out]

    case = Case("una")
    case.arrives(0, asked(one(0, "a"), one(2, "c")), b"a")
    case.at(0, bytes([1 | 4, 0]) + u16(0) + u16(1))
    case.arrives(2, asked())
    case.at(10)
    case.arrives(3, asked(one(1, "b")), b"b", b"c")
    case.at(20)

    case = Case("few", LIST)
    case.arrives(0, asked())
    case.at(0, bytes([2, 0]) + u16(0))
    case.arrives(1, plain(one(0, "a")), b"a")
    case.arrives(2, b"")
    case.arrives(3, plain(one(1, "b")), b"b")
    case.at(60, bytes([2 | 1 << 5, 240]) + u16(3) + u16(1))
    for number in (9, 8, 4):
        case.arrives(number, asked())
    case.at(61, bytes([2 | 2 << 5, 4]) + u16(9) + u16(8) + u16(4))
    case.arrives(5, asked())
    case.at(62, bytes([2, 255]) + u16(5))

    case = Case("list", LIST)
    for number in range(0, 12, 2):
        case.arrives(number, asked())
    case.at(0, bytes([3, 0, 6]) + b"".join(map(u16, (10, 8, 6, 4, 2, 0))))
    for number in (11, 13, 12, 15):
        case.arrives(number, asked())
    case.at(10, bytes([3, 40, 10]) + b"".join(map(u16, (15, 13, 12, 11, 10, 8, 6, 4, 2, 0))))
    for number in range(20, 120):
        case.arrives(number, asked())
    case.at(20)
    for number in range(120, 124):
        case.arrives(number, asked())
    case.at(30)


def sending():
    case = Case("sends")
    case.at(0)
    case.send(b"first")
    case.send(b"second")
    case.at(0, bytes([0]) + one(0, "first").frame() + one(1, "second").frame())
    case.send(b"lane 7", ORDERED, 7)
    case.send(b"third")
    case.send(b"free", UNORDERED)
    case.send(b"lane 7 again", ORDERED, 7)
    case.at(0, bytes([0]) + one(2, "lane 7", order=(ORDERED, 7, 0)).frame() + one(3, "third", order=(ORDERED, 0, 2)).frame() +
            one(4, "free", order=(UNORDERED, 0, 0)).frame() + one(5, "lane 7 again", order=(ORDERED, 7, 3)).frame())
    case.left(38)
    case.arrives(0, plain(acks=BITMAP, listed=[1]))
    case.left(0)
    case.send(b"behind what arrived", ORDERED, 7)
    case.send(b"and so")
    case.at(1, bytes([1, 4]) + u16(0) + one(6, "behind what arrived", order=(ORDERED, 7, 0)).frame() +
            one(7, "and so", order=(ORDERED, 0, 0)).frame())

    case = Case("sends_loose")
    case.send(b"newest wins", SEQUENCED, 9)
    case.send(b"once at most", UNRELIABLE)
    case.at(0, bytes([0]) + Loose(0, b"newest wins", 9).frame() + Loose(1, b"once at most").frame())
    case.left(0)
    case.send(b"n" * 1101, SEQUENCED, 9)
    case.at(0, bytes([0]) + one(0, "n" * 1101, order=(SEQUENCED, 9, 2)).frame())
    case.send(b"l" * 1101, UNRELIABLE)
    case.at(0, bytes([0]) + one(1, "l" * 1101, order=(UNORDERED, 0, 0)).frame())
    case.send(b"short again", SEQUENCED, 9)
    case.at(0, bytes([0]) + Loose(3, b"short again", 9).frame())
    case.left(2202)

    case = Case("fragments")
    case.send(bytes(i % 251 for i in range(2500)))
    case.at(0)
    case.left(2500)
    for number in range(3):
        case.arrives(number, plain(acks=FEW, listed=[number]))
    case.left(0)

    case = Case("hears_acks")
    for number in range(10):
        case.send(bytes([number]) * (number + 1))
        case.at(number / 8)  # sooner than the reorder window: nothing counts as lost
    case.left(55)
    case.arrives(0, plain(acks=FEW, listed=[0]))
    case.left(54)
    case.arrives(1, plain(acks=FEW, delay=255, listed=[3, 1]))
    case.left(48)
    case.arrives(2, plain(acks=FEW, listed=[4, 4, 0]))
    case.left(43)
    case.arrives(3, plain(acks=LIST, listed=[6, 4, 3, 1]))
    case.left(36)
    case.arrives(4, plain(acks=BITMAP, listed=[6], bitmap=b"\x11"))  # 5 and 1
    case.left(30)
    case.arrives(5, plain(acks=BITMAP, listed=[3], bitmap=b"\xfc\xff\xff"))  # what is below 0 means nothing
    case.left(30)
    case.arrives(6, plain(una=3))
    case.left(27)
    case.arrives(7, plain(una=1))
    case.left(27)
    case.arrives(8, plain(acks=BITMAP, listed=[9]))
    case.left(0)

    case = Case("lost")
    case.send(b"lost")
    case.at(0, bytes([0]) + one(0, "lost").frame())
    case.send(b"not lost")
    case.at(10, bytes([0]) + one(1, "not lost").frame())
    case.arrives(0, plain(acks=BITMAP, listed=[1], bitmap=b"\0", una=0))
    case.left(4)
    case.at(60)
    assert case.end.segments[0].packet == 2
    case.arrives(1, plain(acks=FEW, listed=[2]))
    case.left(0)

    case = Case("full")
    case.arrives(0, plain(full=True))
    case.send(b"waits")
    case.send(b"goes", UNRELIABLE)
    case.at(0)
    case.arrives(1, plain())
    case.at(1)
    case.left(5)

    for number in (63, 64, 16383, 16384, 65535, 65536, 2**32):
        case = Case(f"number_bytes_{number}")
        case.next(number)
        case.send(b"x", UNRELIABLE)
        case.at(0)
    case.arrives(0, plain(acks=FEW, listed=[0]))  # the low bits of 2^32
    for number in (64, 65, 65 + 16384, 65 + 16385):
        if number == 65 + 16384:
            case.arrives(1, plain(acks=FEW, listed=[65, 64]))
        case.next(2**32 + number)
        case.send(b"x", UNRELIABLE)
        case.at(1)
    case.refused(2, plain(acks=FEW, listed=[65 + 16386]))


def wraps():
    case = Case("wrap_of_packets")
    case.arrives(65530, asked())
    case.at(0)
    for number in (65534, 65535, 65536, 65537):
        case.arrives(number, asked())
    case.at(1)
    case.next(65535)
    for text in (b"a", b"b", b"c"):
        case.send(text)
        case.at(2)
    case.left(3)
    case.arrives(65538, plain(acks=BITMAP, listed=[65537], bitmap=b"\x03"))
    case.left(0)

    case = Case("wrap_of_segments")
    case.many(0, 65530)
    row = [one(65530 + n, "around %d" % n) for n in range(12)]
    case.arrives(3000, plain(*row[:3]), *[b"around %d" % n for n in range(3)])
    case.arrives(3001, plain(row[4], row[6]))
    case.arrives(3002, plain(*row[7:], repair_of(3002, 0, row[3:11]), repair_of(3002, 1, row[2:10])), *[b"around %d" % n for n in range(3, 12)])
    case.arrives(3003, plain(one(65542, "lane", order=(ORDERED, 1, 0)), one(65544, "next", order=(ORDERED, 1, 2))), b"lane", b"next")
    case.refused(3004, plain(one(65543 + WINDOW, "far")))
    case.arrives(3005, plain(one(65542 + WINDOW, "far", order=(UNORDERED, 0, 0))), b"far")


def nonsense():
    case = Case("refused")
    case.send(b"one")
    case.at(0)
    case.send(b"two")
    case.at(0)
    x = one(0, "x").frame()
    for why in (
            bytes([0x20]), bytes([0xE0]) + x,                       # bits 5-7
            bytes([2 | 3 << 5, 0]) + bytes(8),                      # four of few
            bytes([3 | 1 << 5, 0, 1, 0, 0]),
            bytes([3, 0, 0]),                                       # a list of none
            bytes([1]), bytes([1, 0]), bytes([1, 0, 0]), bytes([1 | 1 << 5, 0, 0, 0]), bytes([2, 0]), bytes([3, 0]), bytes([3, 0, 2, 0, 0]),
            bytes([4]), bytes([4, 0]),
            bytes([1, 0]) + u16(2), bytes([1, 0]) + u16(65535),     # never sent
            bytes([2 | 1 << 5, 0]) + u16(1) + u16(2), bytes([3, 0, 1]) + u16(40000),
            bytes([4]) + u16(3),
            bytes([0]) + x[:1], bytes([0]) + x[:3], bytes([0]) + x[:4],
            bytes([0]) + x + b"\0",
            bytes([0]) + u16(0x3000) + u16(0),                      # empty
            bytes([0]) + u16(0x3000 | 1121) + u16(0) + bytes(1121),
            bytes([0]) + u16(0x3805) + u16(0) + bytes([0x30, 0, 0]) + b"order",
            bytes([0]) + u16(0x2805) + u16(0) + bytes([0x00, 0, 0]) + b"order",  # where no message begins
            bytes([0]) + u16(0x3805) + u16(0) + bytes([0x00, 0]),
            bytes([0]) + u16(0x4002) + u16(0) + b"ab",              # symbols
            bytes([0]) + u16(0x4004) + u16(0) + b"abc",
            bytes([0]) + u16(0x8000) + u16(0),                      # loose
            bytes([0]) + u16(0x9001) + u16(0) + b"a", bytes([0]) + u16(0x8801) + u16(0) + b"a",
            bytes([0]) + u16(0xA001) + u16(0) + bytes([16]) + b"a", bytes([0]) + u16(0xA001) + u16(0) + bytes([0]),
            bytes([0]) + u16(0xA001) + u16(0), bytes([0]) + u16(0x8002) + u16(0) + b"a",
            bytes([0]) + u16(0xC001) + u16(0) + b"a",               # class 3
            plain(*[one(n, "x") for n in range(31)]),
            plain(one(WINDOW, "far")), plain(one(65535, "below 0")), plain(one(40000, "far")),
            plain(Repair(WINDOW - 7, 8, bytes(9))), plain(Repair(65535, 8, bytes(9))),
            plain(one(0, "not taken"), one(WINDOW, "far")), bytes([1, 0]) + u16(0) + b"\xff",
    ):
        case.refused(7, why)
    case.left(6)
    case.at(50)
    case.arrives(7, plain(*[one(n, "x") for n in range(30)], acks=BITMAP, listed=[0]), *[b"x"] * 30)
    case.left(3)
    case.arrives(8, plain(Repair(30 + WINDOW - 8, 8, bytes(9))))


    case = Case("begins_within_another")
    case.arrives(0, plain(one(0, "a", ends=False)))
    case.arrives(1, plain(one(2, "c")))
    case.ends(2, plain(one(1, "b")))
    case = Case("goes_on_where_none_began")
    case.arrives(0, plain(one(0, "a")), b"a")
    case.arrives(1, plain(one(2, "c")))
    case.ends(2, plain(one(1, "b", begins=False)))


def main():
    for build in (segments, loose, repairs, acknowledging, sending, wraps, nonsense):
        build()
    lines = [COMMENT.rstrip()]
    key = bytes(range(32))
    for kind, number, size, receiver, text in (
            (DATA, 0, 1, 1, b""), (DATA, 1, 1, 255, plain(one(0, "hi")).write()), (CLOSE, 2, 4, 256, b"closed\0bye"),
            (CHALLENGE, 3, 4, 7, b"12345678"), (RESPONSE, 4, 4, 0xFFFFFFFF, b"12345678"), (DATA, 130, 1, 0x89ABCDEF, b"\x00"),
            (DATA, 300, 2, 7, b"\x08"), (DATA, 40000, 3, 7, b"\x08"), (DATA, PACKETS_PER_KEY - 1, 4, 7, b""),
            (DATA, PACKETS_PER_KEY, 4, 7, b""), (DATA, PACKETS_PER_KEY + 1, 1, 7, b""), (DATA, PACKETS_PER_KEY + 300, 2, 7, b"")):
        datagram = Sealer(key, receiver).seal(kind, number, size, text)
        lines.append(f"sealed {key.hex()} {kind} {number} {size} {receiver} {text.hex() or '-'} {datagram.hex()}")
    for packet, index, segment in ((0, 0, 0), (0, 0, 1), (2, 0, 0), (2, 0, 1), (2, 1, 1), (65536, 0, 65535), (2**32 + 2, 0, 65537), (2**40, 3, 2**40)):
        lines.append(f"factor {packet} {index} {segment} {coefficient(packet, index, segment)}")
    for case in CASES:
        lines += ["", *case.lines]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
