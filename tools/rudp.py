"""RUDP once more, made from protocol/rudp.md and protocol/udp.md: packets, both directions of a link, sealing.

Neither sockets nor clocks. Sealing takes python3-dissononce and python3-cryptography, nothing else does.
"""
from dataclasses import dataclass, field
from typing import Optional

PLAIN_BYTES, FRAGMENT_BYTES, LOOSE_BYTES, WINDOW, SEGMENTS_MAX = 1175, 1120, 1100, 1024, 30
BITMAP_BYTES = (0, 1, 2, 3, 4, 8, 16, 32)
NONE, BITMAP, FEW, LIST = range(4)
ORDERED, UNORDERED, SEQUENCED, UNRELIABLE = range(4)
HISTORY, UNKNOWN_DELAY, DELAY_UNIT_S = 7, 255, 0.00025


class Refused(Exception):
    """The packet counts for nothing as a whole."""


class Broken(Exception):
    """What came in order makes no messages."""


def u16(value):
    return (value % 65536).to_bytes(2, "little")


def expand(near, low):
    number = near - 32768
    return number + (low - number) % 65536


# ---- GF(256)

EXP, LOG = [0] * 510, [0] * 256
power = 1
for exponent in range(255):
    EXP[exponent] = EXP[exponent + 255] = power
    LOG[power] = exponent
    power = power << 1 ^ (0x11D if power & 0x80 else 0)


def multiply(a, b):
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def inverse(a):
    return EXP[255 - LOG[a]]


def add_scaled(to, factor, record):
    for i, byte in enumerate(record):
        to[i] ^= multiply(factor, byte)


def coefficient(packet, index, segment):
    h = (packet * 0x9E3779B1 + index * 0x85EBCA77 + segment % 65536 * 0xC2B2AE3D) % 2**32
    h ^= h >> 15
    h = h * 0x2C1B3C6D % 2**32
    h ^= h >> 13
    return 1 + h % 255


# ---- frames and plains

@dataclass
class Segment:
    number: int
    data: bytes
    begins: bool = True
    ends: bool = True
    order: Optional[tuple] = None  # (ORDERED, UNORDERED or SEQUENCED, lane, distance or loose number); none: ordered, lane 0, distance 1
    packet: Optional[int] = None  # that carried it last

    def record(self):
        head = self.ends << 13 | self.begins << 12 | (self.order is not None) << 11 | len(self.data)
        info = bytes([self.order[0] << 4 | self.order[1]]) + u16(self.order[2]) if self.order else b""
        return u16(head) + info + self.data

    def frame(self):
        record = self.record()
        return record[:2] + u16(self.number) + record[2:]

    @staticmethod
    def of_record(number, record):
        """And how long the record is: zeros may follow."""
        head = int.from_bytes(record[:2], "little")
        at, size, order = 2, head & 0x7FF, None
        if len(record) < 2 or head >> 14 or not 1 <= size <= FRAGMENT_BYTES:
            raise Refused("segment")
        begins, ends = bool(head & 0x1000), bool(head & 0x2000)
        if head & 0x800:
            if not begins or len(record) < 5 or record[2] > 0x2F:
                raise Refused("order")
            order = (record[2] >> 4, record[2] & 15, int.from_bytes(record[3:5], "little"))
            at = 5
        if len(record) < at + size:
            raise Refused("segment")
        return Segment(number, bytes(record[at:at + size]), begins, ends, order), at + size


@dataclass
class Repair:
    first: int
    span: int
    symbol: bytes

    def frame(self):
        return u16(1 << 14 | self.span - 1 << 11 | len(self.symbol)) + u16(self.first) + self.symbol


@dataclass
class Loose:
    number: int
    data: bytes
    lane: Optional[int] = None  # of a sequenced one

    def frame(self):
        if self.lane is None:
            return u16(2 << 14 | len(self.data)) + u16(self.number) + self.data
        return u16(2 << 14 | 1 << 13 | len(self.data)) + u16(self.number) + bytes([self.lane]) + self.data


@dataclass
class Plain:
    acks: int = NONE
    delay: int = 0
    listed: list = field(default_factory=list)  # of a bitmap the newest alone
    bitmap: bytes = b""
    una: Optional[int] = None
    ask: bool = False
    full: bool = False
    frames: list = field(default_factory=list)

    def write(self):
        code = {NONE: 0, BITMAP: BITMAP_BYTES.index(len(self.bitmap)), FEW: len(self.listed) - 1, LIST: 0}[self.acks]
        out = bytes([self.acks | (self.una is not None) << 2 | self.ask << 3 | self.full << 4 | code << 5])
        if self.acks:
            out += bytes([self.delay])
        if self.acks == LIST:
            out += bytes([len(self.listed)])
        out += b"".join(u16(number) for number in self.listed) + self.bitmap
        if self.una is not None:
            out += u16(self.una)
        return out + b"".join(frame.frame() for frame in self.frames)

    @staticmethod
    def read(plain):
        """Numbers are their low bits."""
        at = 0

        def take(size):
            nonlocal at
            if len(plain) - at < size:
                raise Refused("cut")
            at += size
            return plain[at - size:at]

        def number():
            return int.from_bytes(take(2), "little")

        flags = take(1)[0]
        out = Plain(acks=flags & 3, ask=bool(flags & 8), full=bool(flags & 16))
        code = flags >> 5
        if out.acks in (NONE, LIST) and code or out.acks == FEW and code > 2:
            raise Refused("flags")
        if out.acks:
            out.delay = take(1)[0]
            count = {BITMAP: 1, FEW: code + 1}.get(out.acks) or take(1)[0]
            if count == 0:
                raise Refused("a list of none")
            out.listed = [number() for _ in range(count)]
            if out.acks == BITMAP:
                out.bitmap = bytes(take(BITMAP_BYTES[code]))
        if flags & 4:
            out.una = number()
        while at < len(plain):
            head = number()
            size, low = head & 0x7FF, number()
            if head >> 14 == 0:
                segment, used = Segment.of_record(low, u16(head) + plain[at:])
                take(used - 2)
                out.frames.append(segment)
            elif head >> 14 == 1:
                if size < 3:
                    raise Refused("symbol")
                out.frames.append(Repair(low, (head >> 11 & 7) + 1, bytes(take(size))))
            elif head >> 14 == 2:
                lane = take(1)[0] if head & 0x2000 else None
                if head & 0x1800 or size == 0 or (lane or 0) > 15:
                    raise Refused("loose")
                out.frames.append(Loose(low, bytes(take(size)), lane))
            else:
                raise Refused("class 3")
        if sum(isinstance(frame, Segment) for frame in out.frames) > SEGMENTS_MAX:
            raise Refused("segments")
        return out


# ---- one end

class Sent:
    def __init__(self, number, now, segments):
        self.number, self.at, self.segments = number, now, segments


class End:
    """Both directions of a link, without a socket and a clock."""

    def __init__(self, form=BITMAP, repairs=False, max_message_bytes=2**16):
        self.form, self.repairs, self.max_message_bytes = form, repairs, max_message_bytes
        self.count = {"refused": 0, "recovered": 0, "lost": 0, "repairs": 0}
        self.forms_heard = set()
        # out
        self.next_number = 0
        self.queue, self.segments, self.una, self.next_segment = [], {}, 0, 0
        self.loose, self.next_loose, self.lane_last = [], 0, {}
        self.flying, self.acked_end, self.newest_acked_at, self.lost = {}, 0, 0, []
        self.srtt, self.variance, self.latest, self.peer_delay = None, 0, 0, 0
        self.peer_full, self.ask, self.backoff, self.last_ack = False, False, 1, 0
        # in
        self.lacking, self.highest, self.records, self.delivered = 0, 0, {}, set()
        self.floor = 0  # all below were delivered and forgotten
        self.equations, self.waiting = [], []
        self.open = None  # bytes of the message that goes on at `lacking`
        self.loose_newest, self.loose_any, self.loose_seen, self.loose_lanes = 65536, False, set(), {}
        self.newest_peer = -1
        # acknowledgements to write
        self.got, self.got_end, self.got_at = set(), 0, 0
        self.told, self.fresh, self.older = [0] * 4, [], []
        self.ack_at, self.unacked_bytes, self.tell_una = None, 0, 0

    # ---- in

    def input(self, number, plain, now):
        """Of a packet that opened. Returns the messages it brought."""
        if not plain:
            self.note(number, None, 0, now)
            return []
        try:
            packet = Plain.read(plain)
            acked, una = self.sensible_acks(packet)
            frames = self.sensible_frames(packet)
        except Refused:
            self.count["refused"] += 1
            raise
        self.forms_heard.add(packet.acks)
        self.take_acks(packet, acked, una, now)
        if number > self.newest_peer:
            self.newest_peer, self.peer_full = number, packet.full
        heard = self.take_frames(number, frames)
        self.note(number, packet, len(plain), now)
        return heard

    def sensible_acks(self, packet):
        last = self.next_number - 1
        acked = [expand(last, low) for low in packet.listed]
        if any(not 0 <= number <= last for number in acked):
            raise Refused("a packet never sent")
        una = None
        if packet.una is not None:
            una = expand(self.una, packet.una)
            if una > self.una and any(s.packet is None for n, s in self.segments.items() if n < una) or una > self.next_segment:
                raise Refused("a segment never sent")
        if packet.acks == BITMAP:
            bits = packet.bitmap or b"\xff"
            acked += [acked[0] - 1 - i for i in range(8 * len(bits)) if bits[i // 8] >> i % 8 & 1]
        return acked, una

    def sensible_frames(self, packet):
        frames = []
        for frame in packet.frames:
            if isinstance(frame, Segment):
                frame.number = expand(self.lacking, frame.number)
                if not 0 <= frame.number < self.lacking + WINDOW:
                    raise Refused("a segment far off")
            elif isinstance(frame, Repair):
                frame.first = expand(self.lacking, frame.first)
                if frame.first < 0 or frame.first + frame.span > self.lacking + WINDOW:
                    raise Refused("a repair far off")
            frames.append(frame)
        return frames

    def take_acks(self, packet, acked, una, now):
        first = self.flying.get(acked[0]) if acked else None
        if first and packet.delay != UNKNOWN_DELAY:
            self.measured(max(now - first.at - packet.delay * DELAY_UNIT_S, 0.000001), packet.delay * DELAY_UNIT_S)
        for number in acked:
            sent = self.flying.pop(number, None)
            if sent:
                self.acked_end = max(self.acked_end, number + 1)
                self.newest_acked_at = max(self.newest_acked_at, sent.at)
                self.backoff, self.last_ack = 1, now
                for segment in sent.segments:
                    self.segments.pop(segment, None)
        for segment in range(self.una, una if una is not None else 0):
            self.segments.pop(segment, None)
        while self.una < self.next_segment and self.una not in self.segments:
            self.una += 1

    def measured(self, rtt, delay):
        self.latest = rtt
        if self.srtt is None:
            self.srtt, self.variance = rtt, rtt / 4
        else:
            self.variance += (abs(rtt - self.srtt) - self.variance) / 4
            self.srtt += (rtt - self.srtt) / 8
        self.peer_delay = max(delay, self.peer_delay - (self.peer_delay - delay) / 32)

    def take_frames(self, packet, frames):
        heard = []
        for frame in frames:
            if isinstance(frame, Segment):
                heard += self.take_segment(frame)
            elif isinstance(frame, Loose):
                heard += self.take_loose(frame)
        repairs = [frame for frame in frames if isinstance(frame, Repair)]
        for index, repair in enumerate(repairs):
            self.take_repair(packet, index, repair)
        while True:
            segment = self.solve()
            if segment is None:
                return heard
            self.count["recovered"] += 1
            self.tell_una = 8
            heard += self.take_segment(segment)

    def take_segment(self, segment):
        number = segment.number
        if number < self.lacking or number in self.records:
            return []
        self.records[number] = segment
        self.highest = max(self.highest, number + 1)
        while self.lacking in self.records:
            one = self.records[self.lacking]
            if one.begins != (self.open is None):
                raise Broken("segments that make no message")
            self.open = (self.open or 0) + len(one.data)
            if self.open > self.max_message_bytes:
                raise Broken("a message above the limit")
            if one.ends:
                self.open = None
            self.lacking += 1
        self.complete(number)
        heard, progress = [], True
        while progress:
            progress = False
            for begin, end in list(self.waiting):
                if self.ready(begin):
                    self.waiting.remove((begin, end))
                    self.delivered.add(end)
                    if self.newest(begin):
                        heard.append(b"".join(self.records[n].data for n in range(begin, end + 1)))
                    progress = True
        self.forget()
        return heard

    def complete(self, number):
        begin = end = number
        while not self.records[begin].begins:
            begin -= 1
            if begin not in self.records:
                return
        while not self.records[end].ends:
            end += 1
            if end not in self.records:
                return
        self.waiting.append((begin, end))
        self.waiting.sort()

    def ready(self, begin):
        order, _, distance = self.records[begin].order or (ORDERED, 0, 1)
        before = begin - distance
        return order != ORDERED or distance == 0 or before < 0 or before in self.delivered or before < self.floor

    def newest(self, begin):
        """False of a sequenced message in segments when its lane delivered a newer one."""
        order, lane, low = self.records[begin].order or (ORDERED, 0, 1)
        return order != SEQUENCED or self.overtakes(lane, self.loose_number(low))

    def loose_number(self, low):
        number = expand(self.loose_newest, low)
        if number > self.loose_newest or not self.loose_any:
            self.loose_newest, self.loose_any = number, True
        return number

    def overtakes(self, lane, number):
        if number <= self.loose_lanes.get(lane, -1):
            return False
        self.loose_lanes[lane] = number
        return True

    def forget(self):
        floor = self.floor
        waits = min((begin for begin, _ in self.waiting), default=self.lacking)
        below = min(self.lacking - HISTORY, waits)
        for end in range(floor, below):
            if self.records[end].ends:  # a whole message
                for number in range(floor, end + 1):
                    del self.records[number]
                self.delivered.discard(end)
                floor = end + 1
        self.floor = floor

    def take_loose(self, frame):
        number = self.loose_number(frame.number)
        if frame.lane is not None:
            if not self.overtakes(frame.lane, number):
                return []
        elif number <= self.loose_newest - 64 or number in self.loose_seen:
            return []
        self.loose_seen = {n for n in self.loose_seen if n > self.loose_newest - 64} | {number}
        return [frame.data]

    # ---- the repair code: equations are (factors by segment, symbol), solved by elimination

    def take_repair(self, packet, index, repair):
        factors = {}
        for number in range(repair.first, repair.first + repair.span):
            known = self.records.get(number)
            if known and len(known.record()) > len(repair.symbol):
                return
            if not known and not self.lacking <= number:
                return
            factors[number] = coefficient(packet, index, number)
        self.equations.append((factors, repair.symbol))
        self.equations = self.equations[-16:]

    def solve(self):
        """One more segment, or none."""
        rows = []
        for factors, symbol in self.equations:
            left, rest = {}, bytearray(symbol)
            for number, factor in factors.items():
                known = self.records.get(number)
                if known and len(known.record()) <= len(rest):
                    add_scaled(rest, factor, known.record())
                elif known or number < self.lacking:
                    break  # of no use any more
                else:
                    left[number] = factor
            else:
                if left:
                    rows.append((left, rest))
        self.equations = [one for one in self.equations if any(n not in self.records and n >= self.lacking for n in one[0])]
        solved = []
        while rows:
            left, rest = rows.pop()
            pivot = min(left)
            by = inverse(left[pivot])
            left = {n: multiply(f, by) for n, f in left.items()}
            rest = bytearray(multiply(byte, by) for byte in rest)

            def without(row):
                factors, symbol = row
                factor = factors.get(pivot, 0)
                if not factor:
                    return row
                symbol = bytearray(symbol) + bytes(max(0, len(rest) - len(symbol)))
                add_scaled(symbol, factor, rest)
                factors = {n: factors.get(n, 0) ^ multiply(factor, left.get(n, 0)) for n in factors.keys() | left.keys()}
                return {n: f for n, f in factors.items() if f}, symbol

            rows = [row for row in map(without, rows) if row[0]]
            solved = [without(row) for row in solved] + [(left, rest)]
        for left, rest in sorted(solved, key=lambda row: min(row[0])):
            if len(left) == 1:
                number = next(iter(left))
                try:
                    return Segment.of_record(number, bytes(rest))[0]
                except Refused:
                    self.equations = [one for one in self.equations if number not in one[0]]
        return None

    # ---- acknowledgements

    def note(self, number, packet, size, now):
        hole = number > self.got_end
        self.got.add(number)
        if number >= self.got_end:
            self.got_end, self.got_at = number + 1, now
        self.got = {n for n in self.got if n >= self.got_end - 300}
        if packet is None or not (packet.ask or packet.frames):
            return
        self.fresh.append(number)
        self.unacked_bytes += size
        at_once = packet.ask or self.unacked_bytes >= 2400 or hole and self.gap()
        due = now if at_once else now + 0.015
        self.ack_at = due if self.ack_at is None else min(self.ack_at, due)

    def gap(self):
        return self.lacking < self.highest

    def acks(self, now):
        out = Plain(ask=self.ask)
        self.ask = False
        delay = min(int((now - self.got_at + 1e-9) / DELAY_UNIT_S), UNKNOWN_DELAY)
        if self.form == BITMAP and self.got_end and (self.told[0] != self.got_end or self.ack_at is not None):
            newest = self.got_end - 1
            bits = min(newest - min(newest, self.told[0]), 255)
            out.acks, out.delay, out.listed = BITMAP, delay, [newest]
            if bits > 8 or any(n >= 0 and n not in self.got for n in range(newest - 8, newest)):
                while bits > 1 and newest - bits not in self.got:
                    bits -= 1
                size = next(size for size in BITMAP_BYTES[1:] if 8 * size >= bits)
                bitmap = bytearray(size)
                for i in range(8 * size):
                    bitmap[i // 8] |= (newest - 1 - i in self.got) << i % 8
                out.bitmap = bytes(bitmap)
            self.told = self.told[1:] + [self.got_end]
        elif self.form == LIST and self.fresh:
            self.fresh.sort(reverse=True)
            out.delay = delay if self.fresh[0] == self.got_end - 1 else UNKNOWN_DELAY
            out.acks = FEW if len(self.fresh) <= 3 else LIST
            out.listed = self.fresh[:255]
            if out.acks == LIST:
                out.listed = out.listed + self.older[:255 - len(out.listed)]
            self.older = (self.fresh + self.older)[:64]
            self.fresh = []
        if self.gap() or self.tell_una:
            out.una = self.lacking
            self.tell_una -= not self.gap()
        self.ack_at, self.unacked_bytes = None, 0
        return out

    # ---- out

    def send(self, message, order=ORDERED, lane=0):
        number = self.next_loose
        if order in (SEQUENCED, UNRELIABLE) and len(message) <= LOOSE_BYTES:
            self.loose.append(Loose(number, message, lane if order == SEQUENCED else None))
            self.next_loose += 1
        elif order == SEQUENCED:
            self.queue.append((message, order, lane, number))
            self.next_loose += 1
        else:
            self.queue.append((message, ORDERED if order == ORDERED else UNORDERED, lane, 0))

    def left(self):
        """Bytes that are not known to have arrived."""
        return sum(len(s.data) for s in self.segments.values()) + sum(len(message) for message, *_ in self.queue)

    def cut(self):
        """Gives numbers to the next message. False: none, or the window has no room."""
        if not self.queue or self.peer_full:
            return False
        message, order, lane, number = self.queue[0]
        parts = [message[i:i + FRAGMENT_BYTES] for i in range(0, len(message), FRAGMENT_BYTES)]
        if self.next_segment + len(parts) > self.una + WINDOW:
            return False
        self.queue.pop(0)
        info = (order, lane, number)
        if order == ORDERED:
            last = self.lane_last.get(lane, -1)
            info = (ORDERED, lane, self.next_segment - last if last >= self.una else 0)
            if lane == 0 and last == self.next_segment - 1:
                info = None
            self.lane_last[lane] = self.next_segment + len(parts) - 1
        for i, part in enumerate(parts):
            one = Segment(self.next_segment, part, i == 0, i + 1 == len(parts), info if i == 0 else None)
            self.segments[self.next_segment] = one
            self.next_segment += 1
        return True

    def deadline(self):
        known = 0.2 if self.srtt is None else max(self.srtt, self.latest) + max(4 * self.variance, 0.006)
        return min((known + self.peer_delay) * self.backoff, 3)

    def detect(self, now):
        late = False
        for number in sorted(self.flying):
            sent = self.flying[number]
            overtaken = number + 1 < self.acked_end and self.newest_acked_at - sent.at >= 0.001
            if not overtaken and now < sent.at + self.deadline():
                continue
            late |= not overtaken
            del self.flying[number]
            self.count["lost"] += 1
            self.lost += [n for n in sent.segments if n in self.segments and self.segments[n].packet == number]
        if late and now - self.last_ack >= self.deadline():
            self.backoff *= 1.5

    def flush(self, now):
        """Packets to send: (number, how many bytes of it, plain)."""
        self.detect(now)
        out = []
        while len(out) < 64:
            self.lost = [n for n in self.lost if n in self.segments]
            unsent = [n for n, s in self.segments.items() if s.packet is None]
            new = self.loose or unsent or self.cut()
            if not (new or self.lost or self.ask or self.ack_at is not None and now >= self.ack_at):
                break
            before = [n for n, s in self.segments.items() if s.packet is not None and len(s.data) <= 256][-8:]
            asked, number = self.ask, self.next_number
            packet, segments = self.acks(now), []
            room = PLAIN_BYTES - len(packet.write())

            def put(frame):
                nonlocal room
                if len(frame.frame()) > room or isinstance(frame, Segment) and len(segments) == SEGMENTS_MAX:
                    return False
                packet.frames.append(frame)
                room -= len(frame.frame())
                if isinstance(frame, Segment):
                    frame.packet = number
                    segments.append(frame.number)
                return True

            while self.lost and put(self.segments[self.lost[0]]):
                self.lost.pop(0)
            while self.loose and put(self.loose[0]):
                self.loose.pop(0)
            while not self.lost and not self.loose:
                unsent = [n for n, s in self.segments.items() if s.packet is None]
                if not unsent and not self.cut():
                    break
                if unsent and not put(self.segments[unsent[0]]):
                    break  # else one was cut
            if self.repairs and before and before[-1] - before[0] < 8:
                span = range(before[0], before[-1] + 1)
                if all(n in self.segments for n in span):
                    self.count["repairs"] += put(repair_of(number, 0, [self.segments[n] for n in span]))
            number_bytes = 1 if number - self.acked_end < 64 else 2 if number - self.acked_end < 16384 else 4
            out.append((number, number_bytes, packet.write()))
            self.next_number += 1
            if packet.frames or asked:
                self.flying[number] = Sent(number, now, segments)
        return out

    def wake_at(self):
        times = [sent.at + self.deadline() for sent in self.flying.values()]
        if self.ack_at is not None:
            times.append(self.ack_at)
        return min(times, default=None)


def repair_of(packet, index, segments):
    records = [one.record() for one in segments]
    symbol = bytearray(max(map(len, records)))
    for one, record in zip(segments, records):
        add_scaled(symbol, coefficient(packet, index, one.number), record)
    return Repair(segments[0].number, len(segments), bytes(symbol))


# ---- sealed packets

DATA, CLOSE, CHALLENGE, RESPONSE = 4, 5, 6, 7
PACKETS_PER_KEY = 2**20


def noise():
    import noise_peer
    return noise_peer


class Sealer:
    def __init__(self, key, receiver):
        self.key, self.receiver, self.epoch = key, receiver, 0

    def seal(self, kind, number, number_bytes, plain):
        while self.epoch < number // PACKETS_PER_KEY:
            self.key, self.epoch = noise().next_key(self.key), self.epoch + 1
        short = self.receiver < 256
        begin = bytes([kind << 4 | short << 2 | number_bytes - 1]) + self.receiver.to_bytes(1 if short else 4, "little")
        begin += (number % 256**number_bytes).to_bytes(number_bytes, "little")
        return begin + noise().seal(self.key, number, begin, plain)


class Opener:
    def __init__(self, key):
        self.key, self.next, self.seen = key, 0, set()

    def open(self, datagram):
        """(kind, number, plain), or None."""
        kind, short, number_bytes = datagram[0] >> 4, datagram[0] >> 2 & 1, (datagram[0] & 3) + 1
        at = 2 if short else 5
        if kind not in (DATA, CLOSE, CHALLENGE, RESPONSE) or len(datagram) < at + number_bytes + 16:
            return None
        # Nearest to one above the newest; the greater of two that are as near.
        period = 256**number_bytes
        low = int.from_bytes(datagram[at:at + number_bytes], "little")
        number = self.next - (period // 2 - 1)
        number += (low - number) % period
        number += period if number < 0 else 0
        if number in self.seen or number < self.next - 1024:
            return None
        begin = datagram[:at + number_bytes]
        try:
            plain = noise().unseal(noise().key_after(self.key, number // PACKETS_PER_KEY), number, begin, datagram[len(begin):])
        except Exception:
            return None
        self.next = max(self.next, number + 1)
        self.seen = {n for n in self.seen if n >= self.next - 1024} | {number}
        return kind, number, plain
