"""gyre link between real sockets: loss, delay, NAT, limits, counters, and how it ends."""
import json
import os
import re
import select
import signal
import socket
import statistics
import subprocess
import threading
import time
import unittest

from cluster import GYRE


def udp():
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind(("127.0.0.1", 0))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return end


class Echo(threading.Thread):
    """Sends back what it gets, and remembers from which ports."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = udp()
        self.ports = []
        self.got = 0
        self.start()

    def run(self):
        while True:
            data, sender = self.socket.recvfrom(4096)
            if data == b"end":
                return
            self.got += 1
            if sender[1] not in self.ports:
                self.ports.append(sender[1])
            self.socket.sendto(data, sender)


class Link(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.server = self.echo.socket.getsockname()
        self.client = udp()
        self.addCleanup(self.client.close)

        def end():
            self.client_end = udp()
            self.client_end.sendto(b"end", self.server)
            self.echo.join()
            self.client_end.close()
            self.echo.socket.close()
        self.addCleanup(end)

    def link(self, *words):
        """A relay that runs, and where it listens."""
        run = subprocess.Popen([GYRE, "link", "--listen", "127.0.0.1:0", "--to", "%s:%d" % self.server, "--json", *words],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.stderr.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        told = run.stderr.readline()
        where = re.search(r"link (127\.0\.0\.1):(\d+) -> ", told)
        self.assertTrue(where, told + run.stderr.read() if run.poll() is not None else told)
        return run, ("127.0.0.1", int(where[2]))

    def end(self, run):
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
        self.assertEqual(run.returncode, 0, err)
        return json.loads(out)

    def receive(self, count, limit_s=20, quiet_s=1.0):
        """Up to `count` datagrams and when each came; fewer when it is quiet for so long."""
        got = []
        end = time.monotonic() + limit_s
        while len(got) < count and time.monotonic() < end:
            if not select.select([self.client], [], [], quiet_s)[0]:
                break
            got.append((self.client.recv(4096), time.monotonic()))
        return got

    def test_loses_its_share_each_way(self):
        run, door = self.link("--up", "loss=20%", "--down", "loss=10%")
        sent, back = 3000, []
        for i in range(sent):
            self.client.sendto(b"%d" % i, door)
            if i % 50 == 49:
                back += self.receive(50, quiet_s=0.02)
        back += self.receive(sent)
        told = self.end(run)
        up, down = told["up"], told["down"]
        self.assertEqual(up["received"], sent)
        self.assertEqual(up["delivered"] + up["loss"], sent)
        self.assertEqual(up["delivered"], self.echo.got)
        self.assertAlmostEqual(up["loss"] / sent, 0.20, delta=0.04)
        self.assertAlmostEqual(down["loss"] / down["received"], 0.10, delta=0.04)
        self.assertEqual(len(back), down["delivered"])
        self.assertEqual((told["clients"], told["under_way"]), (1, 0))

    def test_equal_seeds_lose_the_same(self):
        lost = []
        for seed in ("7", "7", "8"):
            run, door = self.link("--up", "loss=30%,burst=3", "--seed", seed)
            client = udp()
            arrived = set()
            for i in range(200):
                client.sendto(b"%d" % i, door)
                if select.select([client], [], [], 0.01 if i % 10 else 0.05)[0]:
                    arrived.add(client.recv(100))
            while select.select([client], [], [], 0.5)[0]:
                arrived.add(client.recv(100))
            client.close()
            self.assertGreater(self.end(run)["up"]["burst"], 10)
            lost.append(arrived)
        self.assertEqual(lost[0], lost[1])
        self.assertNotEqual(lost[0], lost[2])

    def test_delays_by_half_the_round_trip_each_way(self):
        run, door = self.link("--link", "rtt=60ms")
        times = []
        for i in range(30):
            begin = time.monotonic()
            self.client.sendto(b"x", door)
            times.append(self.receive(1)[0][1] - begin)
        self.assertGreaterEqual(min(times), 0.060)
        self.assertLess(statistics.median(times), 0.090)
        self.end(run)

    def test_a_rate_bounds_what_passes(self):
        run, door = self.link("--up", "rate=64kB/s,queue=100ms")
        for _ in range(200):  # 100 ms carry 6 of them
            self.client.sendto(bytes(1000), door)
        self.receive(200)
        told = self.end(run)["up"]
        self.assertGreater(told["queue"], 150)
        self.assertLess(told["delivered"], 50)

    def test_a_nat_changes_the_port_and_drops_what_is_sent_to_the_old(self):
        run, door = self.link("--up", "rebind=300ms")
        end = time.monotonic() + 20
        while len(self.echo.ports) < 3 and time.monotonic() < end:
            self.client.sendto(b"x", door)
            self.receive(1, quiet_s=0.05)
        self.assertGreaterEqual(len(self.echo.ports), 3)
        old = self.echo.ports[0]
        self.receive(10, quiet_s=0.2)
        self.echo.socket.sendto(b"late", ("127.0.0.1", old))
        self.assertEqual(self.receive(1, quiet_s=0.2), [])
        self.assertGreaterEqual(self.end(run)["rebinds"], 2)

    def test_large_datagrams_vanish_and_others_come_twice(self):
        run, door = self.link("--up", "mtu=1200", "--down", "duplicate=100%")
        self.client.sendto(bytes(1201), door)
        self.client.sendto(bytes(1800), door)
        self.client.sendto(bytes(1200), door)
        self.assertEqual([len(data) for data, _ in self.receive(2)], [1200, 1200])
        told = self.end(run)
        self.assertEqual((told["up"]["mtu"], told["up"]["relay"], told["down"]["duplicated"]), (1, 1, 1))

    def test_clients_do_not_mix_and_are_bounded(self):
        run, door = self.link("--clients", "2")
        clients = [udp() for _ in range(3)]
        for i, client in enumerate(clients):
            self.addCleanup(client.close)
            client.sendto(b"%d" % i, door)
            if i < 2:
                self.assertTrue(select.select([client], [], [], 10)[0])
                self.assertEqual(client.recv(10), b"%d" % i)
        self.assertFalse(select.select([clients[2]], [], [], 0.3)[0])
        self.assertEqual(len(self.echo.ports), 2)
        told = self.end(run)
        self.assertEqual((told["clients"], told["refused"], told["up"]["relay"]), (2, 1, 1))

    def test_a_server_that_is_away_is_only_silence(self):
        nobody = udp()
        there = nobody.getsockname()
        nobody.close()
        self.server, kept = there, self.server
        run, door = self.link()
        self.server = kept
        for _ in range(5):
            self.client.sendto(b"x", door)
            self.assertEqual(self.receive(1, quiet_s=0.05), [])
        self.assertEqual(self.end(run)["up"]["delivered"], 5)

    def test_ends_by_itself_with_a_table(self):
        begin = time.monotonic()
        done = subprocess.run([GYRE, "link", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--for", "300ms"],
                              capture_output=True, text=True, timeout=20)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0].split()[:3], ["DIRECTION", "RECEIVED", "DELIVERED"])
        self.assertEqual([line.split()[0] for line in lines[1:3]], ["up", "down"])
        self.assertIn("0 clients", lines[3])

    def test_what_is_wrong_is_told(self):
        taken = udp()
        self.addCleanup(taken.close)
        for words, told in (
            (["--to", "127.0.0.1:9", "--link", "loss=150%"], "loss=150%: expected a share"),
            (["--to", "127.0.0.1:9", "--up", "los=1%"], '--up: link: no knob "los"'),
            (["--to", "127.0.0.1:0"], "--to 127.0.0.1:0"),
            (["--to", "127.0.0.1:9", "--for", "soon"], "--for soon"),
            (["--to", "127.0.0.1:9", "--listen", "127.0.0.1:%d" % taken.getsockname()[1]], "127.0.0.1:%d" % taken.getsockname()[1]),
        ):
            with self.subTest(words):
                done = subprocess.run([GYRE, "link", *words], capture_output=True, text=True, timeout=20)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(told, done.stderr)


if __name__ == "__main__":
    unittest.main()
