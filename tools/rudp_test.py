#!/usr/bin/env python3
"""rudp.py against what was worked out by hand, protocol/rudp.md and itself."""
import random
import re
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from rudp import (BITMAP, End, FEW, LIST, Loose, ORDERED, Plain, Refused, Repair, SEQUENCED, Segment, UNORDERED, UNRELIABLE,
                       coefficient, expand, inverse, multiply, repair_of, u16)

PAGE = " ".join((Path(__file__).resolve().parent.parent / "protocol" / "rudp.md").read_text().split())


class Arithmetic(unittest.TestCase):
    def test_the_field(self):
        # x^7 * x = x^8 = x^4 + x^3 + x^2 + 1; x^9 = x^5 + x^4 + x^3 + x; (x + 1)^2 = x^2 + 1
        self.assertEqual([multiply(0x80, 2), multiply(0x80, 4), multiply(3, 3), multiply(0, 7), multiply(1, 0xC5)], [0x1D, 0x3A, 5, 0, 0xC5])
        self.assertEqual({multiply(a, inverse(a)) for a in range(1, 256)}, {1})

    def test_coefficients(self):
        self.assertEqual(coefficient(0, 0, 0), 1)  # h is 0 all the way
        # 0xC2B2AE3D ^ 0x18565 = 0xC2B32B58, the low 32 bits of 0x2C1B3C6D times that, xor 13 to the right
        h = 0xC2B32B58 * 0x2C1B3C6D % 2**32
        self.assertEqual(coefficient(0, 0, 1), (h ^ h >> 13) % 255 + 1)
        self.assertEqual(coefficient(2**32 + 5, 1, 65536 + 9), coefficient(5, 1, 9))

    def test_the_example_of_the_page(self):
        repair = repair_of(2, 0, [Segment(0, b"hi"), Segment(1, b"yes")])
        for text in (Segment(0, b"hi").frame()[:2].hex(), repair.symbol.hex(), repair.symbol.hex(" "), f"| {coefficient(2, 0, 0)} |",
                     f"| {coefficient(2, 0, 1)} |", Segment(1, b"yes").record().hex()):
            self.assertIn(text, PAGE)
        self.assertEqual(Plain(frames=[repair]).write().hex(), "000548000083f3032d17")
        end = End()
        self.assertEqual(end.input(0, Plain(frames=[Segment(0, b"hi")]).write(), 0), [b"hi"])
        self.assertEqual(end.input(2, Plain(frames=[repair]).write(), 0), [b"yes"])

    def test_low_bits(self):
        self.assertEqual(expand(0, 5), 5)
        self.assertEqual(expand(0, 65535), -1)
        self.assertEqual(expand(65530, 3), 65539)
        self.assertEqual(expand(65540, 65535), 65535)
        self.assertEqual(expand(100_000, (100_000 + 32768) % 65536), 100_000 - 32768)
        self.assertEqual(expand(100_000, (100_000 + 32767) % 65536), 100_000 + 32767)


class Packets(unittest.TestCase):
    def test_what_is_written_is_read(self):
        for plain in (
                Plain(), Plain(ask=True, full=True, una=7), Plain(acks=BITMAP, delay=3, listed=[9]),
                *[Plain(acks=BITMAP, listed=[65535], bitmap=bytes(range(size)), una=65535) for size in (1, 2, 3, 4, 8, 16, 32)],
                Plain(acks=FEW, listed=[1]), Plain(acks=FEW, delay=255, listed=[3, 2, 1]), Plain(acks=LIST, listed=list(range(255))),
                Plain(frames=[Segment(1, b"a"), Segment(2, b"b" * 1120, True, False, (UNORDERED, 15, 65535)), Repair(3, 8, b"abc"),
                              Loose(4, b"c"), Loose(5, b"d", 15), Segment(6, b"e", False, False)])):
            self.assertEqual(Plain.read(plain.write()), plain)

    def test_by_hand(self):
        for text, plain in (
                ("00", Plain()),
                ("0c 0102", Plain(una=0x201, ask=True)),
                ("41 10 ff00 0180", Plain(acks=BITMAP, delay=16, listed=[255], bitmap=b"\x01\x80")),
                ("42 ff 0300 0200 0100", Plain(acks=FEW, delay=255, listed=[3, 2, 1])),
                ("03 00 01 0500", Plain(acks=LIST, listed=[5])),
                ("00 0338 0900 17 0200 616263", Plain(frames=[Segment(9, b"abc", order=(UNORDERED, 7, 2))])),
                ("00 0378 0100 aabbcc", Plain(frames=[Repair(1, 8, b"\xaa\xbb\xcc")])),
                ("00 02a0 0500 0f 6869", Plain(frames=[Loose(5, b"hi", 15)]))):
            self.assertEqual(plain.write().hex(), text.replace(" ", ""))
            self.assertEqual(Plain.read(bytes.fromhex(text)), plain)

    def test_nothing_but_refused_comes_of_any_bytes(self):
        chance = random.Random(1)
        good = Plain(acks=FEW, listed=[1], una=0, frames=[Segment(1, b"abc", order=(ORDERED, 1, 1)), Loose(3, b"x", 1), Repair(0, 2, b"abc")]).write()
        read = refused = 0
        for _ in range(20_000):
            bad = bytearray(good[:chance.choice((len(good), chance.randint(1, len(good))))])
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            end = End()
            end.next_number = 3
            try:
                end.input(0, bytes(bad), 0)
                read += 1
            except Refused:
                refused += 1
                self.assertEqual((end.got_end, end.records, end.loose_any), (0, {}, False))
        self.assertGreater(min(read, refused), 1000)


class Ends(unittest.TestCase):
    def run_pair(self, form, seed, loss, repairs):
        """Two ends, 10 ms apart, packets lost and late. Returns both."""
        chance, ends, way, now = random.Random(seed), [End(form, repairs), End(form, repairs)], [], 0.0
        sent, heard = [[], []], [[], []]
        for step in range(20_000):
            now = step / 1000
            for side, end in enumerate(ends):
                if step % 10 == 0 and len(sent[side]) < 200:
                    data = bytes([side]) + u16(len(sent[side])) + chance.randbytes(chance.choice((1, 30, 200, 3000)))
                    sent[side].append(data)
                    end.send(data, ORDERED if len(sent[side]) % 3 else UNORDERED, len(sent[side]) % 2)
                for number, _, plain in end.flush(now):
                    if chance.random() >= loss:
                        way.append((now + 0.01 + chance.choice((0, 0, 0.004)), 1 - side, number, plain))
            for packet in [packet for packet in way if packet[0] <= now]:
                way.remove(packet)
                heard[packet[1]] += ends[packet[1]].input(packet[2], packet[3], now)
            if step > 3000 and all(end.left() == 0 for end in ends):
                break
        for side in (0, 1):
            self.assertEqual(sorted(heard[side]), sorted(sent[1 - side]))
            for lane in (0, 1):
                of_lane = [data for at, data in enumerate(sent[1 - side], 1) if at % 3 and at % 2 == lane]
                self.assertEqual([data for data in heard[side] if data in of_lane], of_lane)
            self.assertEqual(ends[side].count["refused"], 0)
        return ends

    def test_messages_arrive_in_order_despite_loss(self):
        for form in (BITMAP, LIST):
            for seed, loss in enumerate((0, 0.05, 0.3)):
                with self.subTest(form=form, loss=loss):
                    ends = self.run_pair(form, seed, loss, repairs=False)
                    self.assertEqual(ends[0].count["recovered"], 0)

    def test_repairs_bring_what_was_lost(self):
        for form in (BITMAP, LIST):
            ends = self.run_pair(form, 7, 0.2, repairs=True)
            self.assertGreater(min(end.count["recovered"] for end in ends), 5)

    def test_loose_messages_come_once_and_newest_wins(self):
        one, other = End(), End()
        one.send(b"old", SEQUENCED, 1)
        (first,) = one.flush(0)
        one.send(b"new", SEQUENCED, 1)
        one.send(b"any", UNRELIABLE)
        (second,) = one.flush(0)
        self.assertEqual(other.input(second[0], second[2], 0), [b"new", b"any"])
        self.assertEqual(other.input(first[0], first[2], 0), [])
        self.assertEqual(other.input(5, second[2], 0), [])


class Constants(unittest.TestCase):
    def test_the_page_and_the_engine_have_the_same(self):
        source = "".join(path.read_text() for path in sorted((Path(__file__).resolve().parent.parent / "engine" / "net" / "detail").glob("rudp_*")))
        for name, value, said in (("fragment_bytes_max", 1120, "1 to 1120 bytes"), ("window", 1024, "una + 1024"), ("segments_max", 30, "At most 30 segments"),
                                  ("delay_unit_us", 250, "units of 250 us"), ("max_span", 8, "1 to 8 of them"), ("una_told_after_recovery", 8, "at least 8 packets after"), ("older_max", 64, "up to 64 that"),
                                  ("max_equations", 16, "16 equations")):
            self.assertIn(said, PAGE)
            self.assertRegex(source, rf"\b{name} = {value}\b", name)
        self.assertIn("ack_now_bytes = 2'400", source)
        self.assertIn("2400 bytes", PAGE)
        self.assertEqual(re.findall(r"0x[0-9A-F]{8}", PAGE)[:4], ["0x9E3779B1", "0x85EBCA77", "0xC2B2AE3D", "0x2C1B3C6D"])


if __name__ == "__main__":
    unittest.main()
