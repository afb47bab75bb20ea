"""docs/change-a-rule.md, its commands as they stand there, in a folder that looks like the repository after ./dev up."""
import json
import os
import re
import shutil
import subprocess
import time
import unittest
from pathlib import Path

import cluster
from cluster import ClusterTest, wait_until

ROOT = Path(__file__).parents[2]
BUILD = Path(cluster.GYRE).parents[1]
BLOCK = re.compile(r"(?:<!-- test: (?P<hint>.*?) -->\n)?```sh\n(?P<script>.*?)```", re.S)


class ChangeARule(ClusterTest):
    def run_ok(self, *command):
        done = subprocess.run([str(c) for c in command], cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}")

    def like_the_repository(self):
        """games/arena and build/release with the installed engine; the arena is built here, as a studio's game would be."""
        release = self.folder / "build/release"
        self.run_ok("cmake", "--install", BUILD, "--prefix", release)
        shutil.copytree(ROOT / "games/arena", self.folder / "games/arena")
        compiler = re.search(r"CMAKE_CXX_COMPILER:\w+=(.*)", (BUILD / "CMakeCache.txt").read_text())[1]
        self.run_ok("cmake", "-S", "games/arena", "-B", release, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                    f"-DCMAKE_PREFIX_PATH={release}", f"-DCMAKE_CXX_COMPILER={compiler}")
        self.run_ok("cmake", "--build", release)
        cluster.GYRE = str(release / "bin/gyre")

    def test_every_command_does_what_the_page_says(self):
        before = cluster.GYRE
        self.addCleanup(setattr, cluster, "GYRE", before)
        self.like_the_repository()
        self.up("--ports", "0", config={"arena": {"seconds": 8}})
        shell = subprocess.Popen(["bash"], cwd=self.folder, env=self.environment, text=True, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(self.end_shell, shell)
        blocks = list(BLOCK.finditer((ROOT / "docs/change-a-rule.md").read_text()))
        self.assertGreaterEqual(len(blocks), 8)
        bots = None
        for block in blocks:
            hint, script = block["hint"] or "", block["script"]
            if hint == "in the background":
                bots = subprocess.Popen(script.strip() + " --json", shell=True, cwd=self.folder, env=self.environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.addCleanup(bots.communicate)
                self.addCleanup(bots.kill)
                continue
            if hint == "players are there":
                wait_until("avatars", lambda: len(self.call("lobby_0", "NodeService.entities", '"Avatar"', 20)) == 20, 60)
            tries = time.monotonic() + (90 if hint == "gold" else 0)
            while True:
                status, output = self.typed(shell, script)
                if hint != "gold" or json.loads(output)["gold"] >= 500 or time.monotonic() > tries:
                    break
                time.sleep(0.5)
            self.assertEqual(status, 0, f"{script}: {output}")
            if hint.startswith("prints "):
                self.assertIn(hint.removeprefix("prints "), output)
            if hint == "gold":
                self.assertGreaterEqual(json.loads(output)["gold"], 500, "a kill is worth 500 now")
            print(f"$ {script}{output}", flush=True)
        out, err = bots.communicate(timeout=180)
        report = json.loads(out.splitlines()[-1])
        self.assertEqual(bots.returncode, 0, err[-2000:])
        self.assertEqual(report["errors"], 0, report)
        self.assertGreater(report["matches_finished"], 0)

    def end_shell(self, shell):
        shell.stdin.close()
        shell.stdout.close()
        shell.wait(20)

    def typed(self, shell, script):
        """What one block prints, and how its last command ends."""
        joined = " &&\n".join(line for line in script.splitlines() if line)
        shell.stdin.write(f"{{ {joined}\n}} 2>&1; status=$?; echo; echo __end $status\n")
        shell.stdin.flush()
        lines = []
        for line in shell.stdout:
            if line.startswith("__end "):
                return int(line.split()[1]), "".join(lines).strip()
            lines.append(line)
        self.fail("the shell has ended: " + "".join(lines))


if __name__ == "__main__":
    unittest.main()
