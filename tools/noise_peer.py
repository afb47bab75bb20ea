#!/usr/bin/env python3
"""Sealed links through an independent Noise (python3-dissononce, python3-cryptography).

    noise_peer.py golden                     prints protocol/golden/handshake.hex
    noise_peer.py client|server nk|psk KEY   speaks with the program on stdin and stdout, a line of hex at a time

KEY: of a client of nk the server's public key, of its server the secret one; of psk what both share. After its side of the
handshake a peer prints what it heard and the transcript, sends three records and a packet, and prints what it opens of as many.
It ends with status 1 when anything is not as protocol/session.md has it.
"""
import hashlib
import hmac
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dissononce.cipher.aesgcm import AESGCMCipher
from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.public import PublicKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.hash.sha256 import SHA256Hash
from dissononce.processing.handshakepatterns.interactive.NK import NKHandshakePattern
from dissononce.processing.handshakepatterns.interactive.NN import NNHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier

NUMBER = {"nk": 1, "psk": 2}
RECORDS_PER_KEY, PACKETS_PER_KEY = 2**16, 2**20
HEAD = b"\x10\x20\x30"  # Of packets; here any three bytes.


class FixedDH(X25519DH):
    """With an ephemeral key that is known beforehand."""

    def __init__(self, secret=None):
        super().__init__()
        self.secret = secret

    def generate_keypair(self, privatekey=None):
        if privatekey is None and self.secret:
            privatekey = PrivateKey(self.secret)
        return super().generate_keypair(privatekey)


def pair(secret):
    return X25519DH().generate_keypair(PrivateKey(secret))


def head(pattern, kind):
    return b"gyre" + bytes([2, NUMBER[pattern], kind, 0])


def noise(pattern, client, key, ephemeral=None):
    state = HandshakeState(SymmetricState(CipherState(AESGCMCipher()), SHA256Hash()), FixedDH(ephemeral))
    if pattern == "psk":
        state.initialize(PSKPatternModifier(0).modify(NNHandshakePattern()), client, head(pattern, 1), psks=[key])
    elif client:
        state.initialize(NKHandshakePattern(), True, head(pattern, 1), rs=PublicKey(key))
    else:
        state.initialize(NKHandshakePattern(), False, head(pattern, 1), s=pair(key))
    return state


def write(state, begin, payload):
    """A message, and what Noise splits into when it was the last."""
    message = bytearray()
    split = state.write_message(payload, message)
    return begin + bytes(message), split


def read(state, begin, message):
    if message[:8] != begin:
        raise SystemExit(f"a head of {message[:8].hex()}, expected {begin.hex()}")
    payload = bytearray()
    split = state.read_message(message[8:], payload)
    return bytes(payload), split


def seal(key, number, associated, plain):
    return AESGCM(key).encrypt(bytes(4) + number.to_bytes(8, "big"), plain, associated)


def unseal(key, number, associated, sealed):
    return AESGCM(key).decrypt(bytes(4) + number.to_bytes(8, "big"), sealed, associated)


def next_key(key):
    return seal(key, 2**64 - 1, b"", bytes(32))[:32]


def key_after(key, times):
    for _ in range(times):
        key = next_key(key)
    return key


def record(key, number, plain, kind=0):
    begin = (len(plain) + 16).to_bytes(3, "little") + bytes([kind])
    return begin + seal(key_after(key, number // RECORDS_PER_KEY), number % RECORDS_PER_KEY, begin, plain)


def packet(key, number, number_bytes, plain):
    begin = HEAD + (number % 256**number_bytes).to_bytes(number_bytes, "little")
    return begin + seal(key_after(key, number // PACKETS_PER_KEY), number, begin, plain)


# ---- golden

COMMENT = """\
# Sealed links (protocol/session.md), as an independent Noise writes them: tools/noise_peer.py golden.
# Each line: the handshake (nk, psk), what it is, its bytes in hex. record_N: the client's record of number N; packet_N_B: the
# client's packet of number N, of which B bytes are sent, behind the head 102030. key derived: of nodes, from a cluster.key of zeros.
# The data: record_0 nothing, record_2 300 zero bytes, other records "hello", packets "tick"; second_refused: maintenance, "back at noon"."""


def golden():
    print(COMMENT)
    print("key derived", hmac.new(bytes(32), b"node link 2", hashlib.sha256).hexdigest())
    for pattern, key in (("nk", bytes([0x11] * 32)), ("psk", bytes([0x22] * 32))):
        def line(name, value):
            print(pattern, name, value.hex() or "-")
        secrets = {"client": bytes(range(0x40, 0x60)), "server": bytes(range(0x80, 0xA0))}
        known = pair(key).public.data if pattern == "nk" else key
        if pattern == "nk":
            line("server_secret", key)
            line("server_public", known)
        else:
            line("shared", key)
        for end, secret in secrets.items():
            line(f"{end}_ephemeral", secret)
        payloads = [b"build 7", b"welcome"]
        line("client_payload", payloads[0])
        line("server_payload", payloads[1])
        for refused in (False, True):
            client, server = noise(pattern, True, known, secrets["client"]), noise(pattern, False, key, secrets["server"])
            first, _ = write(client, head(pattern, 1), payloads[0])
            assert read(server, head(pattern, 1), first)[0] == payloads[0]
            answer = b"\x01maintenance\0back at noon" if refused else b"\0" + payloads[1]
            second, split = write(server, head(pattern, 2), answer)
            assert read(client, head(pattern, 2), second)[0] == answer
            if refused:
                line("second_refused", second)
                continue
            line("first", first)
            line("second", second)
            up, down = (state._key for state in split)
            line("transcript", server.symmetricstate.get_handshake_hash())
            line("client_key", up)
            line("server_key", down)
        line("record_0", record(up, 0, b""))
        line("record_1", record(up, 1, b"hello"))
        line("record_2", record(up, 2, bytes(300)))
        for number in (RECORDS_PER_KEY - 1, RECORDS_PER_KEY, 2 * RECORDS_PER_KEY):
            line(f"record_{number}", record(up, number, b"hello"))
        line(f"record_{2 * RECORDS_PER_KEY + 1}_close", record(up, 2 * RECORDS_PER_KEY + 1, b"", kind=1))
        for number, size in ((0, 1), (1, 2), (2, 3), (PACKETS_PER_KEY - 1, 4), (PACKETS_PER_KEY, 4), (PACKETS_PER_KEY + 1, 2)):
            line(f"packet_{number}_{size}", packet(up, number, size, b"tick"))
    print("clear refusal", (head("nk", 3) + b"update_required\0get the new one").hex())


# ---- a peer

def talk(role, pattern, key):
    def say(value):
        print(value.hex() or "-", flush=True)

    def hear():
        text = sys.stdin.readline().strip()
        return b"" if text == "-" else bytes.fromhex(text)

    state = noise(pattern, role == "client", key)
    if role == "client":
        say(write(state, head(pattern, 1), b"a client in Python")[0])
        heard, split = read(state, head(pattern, 2), hear())
        if heard[:1] != b"\0":
            raise SystemExit(f"refused: {heard!r}")
        heard = heard[1:]
        mine, theirs = (one._key for one in split)
    else:
        heard, _ = read(state, head(pattern, 1), hear())
        answer, split = write(state, head(pattern, 2), b"\0a server in Python")
        say(answer)
        theirs, mine = (one._key for one in split)
    say(heard)
    say(state.symmetricstate.get_handshake_hash())
    for number, plain in enumerate((b"", b"from Python", bytes(16_384))):
        say(record(mine, number, plain))
    say(packet(mine, 0, 2, b"a packet from Python"))
    for number in range(3):
        sealed = hear()
        if int.from_bytes(sealed[:3], "little") != len(sealed) - 4 or sealed[3] != 0:
            raise SystemExit(f"record {number}: a head of {sealed[:4].hex()}")
        say(unseal(theirs, number, sealed[:4], sealed[4:]))
    sealed = hear()
    if sealed[:5] != HEAD + bytes(2):
        raise SystemExit(f"packet 0: a head of {sealed[:5].hex()}")
    say(unseal(theirs, 0, sealed[:5], sealed[5:]))


if __name__ == "__main__":
    if sys.argv[1:] == ["golden"]:
        golden()
    elif len(sys.argv) == 4 and sys.argv[1] in ("client", "server") and sys.argv[2] in NUMBER:
        talk(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))
    else:
        sys.exit(__doc__)
