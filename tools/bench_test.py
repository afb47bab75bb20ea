#!/usr/bin/env python3
"""What bench.py must refuse and compute."""
import json
import unittest

import bench


def line(**row):
    return json.dumps(row)


class Bench(unittest.TestCase):
    def test_rows_without_peer_take_the_median(self):
        samples = bench.parse("starting\n" + "\n".join(line(name="a", value=v, unit="ms") for v in (9, 1, 2)))
        (row,) = bench.rows_of(samples, [{"name": "a", "asked": "<= 2"}])
        self.assertEqual((row["value"], row["unit"], row["met"]), (2, "ms", True))

    def test_ratio_is_the_median_of_pairs(self):
        samples = [{"name": "a", "value": v, "unit": "ns", "peer": "asio", "peer_value": 10} for v in (5, 20, 8)]
        (row,) = bench.rows_of(samples, [{"name": "a", "asked": "<= 0.7", "of": "ratio"}])
        self.assertEqual((row["ratio"], row["ratio_min"], row["ratio_max"]), (0.8, 0.5, 2.0))
        self.assertIs(row["met"], False)

    def test_missing_and_null_are_not_met(self):
        rows = bench.rows_of([{"name": "b", "value": None}],
                             [{"name": "a", "asked": "< 1"}, {"name": "b", "asked": "< 1"}])
        self.assertEqual([(row["name"], row["met"]) for row in rows], [("b", False), ("a", False)])

    def test_google_benchmark_pairs(self):
        runs = [{"run_name": name, "name": name, "run_type": "iteration", "real_time": time, "time_unit": "ns"}
                for name, time in (("call/64", 10), ("call/peer:asio/64", 20), ("call/64", 12), ("call/peer:asio/64", 20))]
        runs.append({"run_name": "call/64", "name": "call/64_mean", "run_type": "aggregate", "real_time": 99})
        (row,) = bench.rows_of(bench.parse(json.dumps({"benchmarks": runs})), [])
        self.assertEqual((row["value"], row["peer"], row["ratio"], row["met"]), (11, "asio", 0.55, None))

    def test_a_peer_alone_and_a_bad_row_are_errors(self):
        with self.assertRaises(ValueError):
            bench.google([{"run_name": "x/peer:asio", "real_time": 1, "time_unit": "ns"}])
        with self.assertRaises(ValueError):
            bench.parse('{"name": "a"}')

    def test_every_asked_entry_is_readable(self):
        for group in json.loads((bench.ROOT / "bench" / "asked.json").read_text()).values():
            for entry in group:
                sign, bound = entry["asked"].split()
                self.assertIn(sign, bench.COMPARE)
                float(bound)


if __name__ == "__main__":
    unittest.main()
