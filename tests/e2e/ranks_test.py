"""A server over ranks that mpirun started: it says what one process says, and when a rank dies every stream hears of it and nothing is left.
    SHARDLINE (the program), SHARDLINE_TEST_MODEL (SmolLM2-135M-Instruct)"""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
PROMPT = "The capital of France is"


def shared_memory():
    return {p.name for p in pathlib.Path("/dev/shm").iterdir() if "shardline" in p.name}


class Server:
    def __init__(self, ranks=0, options=()):
        self.log = tempfile.NamedTemporaryFile("r", suffix=".log")
        command = ["mpirun", "--bind-to", "none", "-np", str(ranks)] if ranks else []
        command += [os.environ["SHARDLINE"], "serve", os.environ["SHARDLINE_TEST_MODEL"], "--port", "0", *options]
        with open(self.log.name, "w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
        while not (found := re.search(r"serving .* on (http://\S+)", self.text())):
            assert self.process.poll() is None, self.text()
            time.sleep(0.05)
        self.url = found[1]

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def ranks(self):
        """Process ids, in the order of the ranks."""
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                variables = dict(v.split("=", 1) for v in (folder / "environ").read_text().split("\0") if "=" in v)
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and "OMPI_COMM_WORLD_RANK" in variables:
                found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(folder.name)
        return [found[rank] for rank in sorted(found)]

    def open(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}), timeout=120)

    def complete(self, **options):
        return json.load(self.open("/v1/completions", {"prompt": PROMPT, "max_tokens": 16, "temperature": 0, **options}))

    def stream(self):
        answer = self.open("/v1/completions", {"prompt": PROMPT, "max_tokens": 4000, "ignore_eos": True, "stream": True})
        assert answer.readline().startswith(b"data: ")
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Ranks(unittest.TestCase):
    def setUp(self):
        self.before = shared_memory()

    def assert_nothing_is_left(self, pids):
        deadline = time.monotonic() + 5
        while left := [p for p in pids if pathlib.Path(f"/proc/{p}").exists()]:
            self.assertLess(time.monotonic(), deadline, f"processes {left} are left")
            time.sleep(0.05)
        self.assertEqual(shared_memory() - self.before, set())

    def last_event(self, stream):
        lines = [line for line in stream.read().split(b"\n") if line.startswith(b"data: ")]
        self.assertNotIn(b"data: [DONE]", lines)
        return json.loads(lines[-1][6:])["error"]["message"]

    def test_ranks_say_what_one_process_says(self):
        with Server() as one:
            plain = one.complete(extra=1), one.complete(temperature=1, seed=5, n=3)
        with Server(4, ("--tp", "2", "--pp", "2")) as many:
            self.assertEqual(json.load(many.open("/version"))["tp"], 2)
            split = many.complete(), many.complete(temperature=1, seed=5, n=3)
        for a, b in zip(plain, split):
            self.assertEqual([c["text"] for c in a["choices"]], [c["text"] for c in b["choices"]])

    def end_of_a_rank(self, victim, number, busy=True):
        with Server(4, ("--tp", "2", "--pp", "2")) as server:
            pids = server.ranks()
            self.assertEqual(len(pids), 4)
            streams = [server.stream() for _ in range(3)] if busy else []
            os.kill(pids[victim], number)
            began = time.monotonic()
            for stream in streams:
                self.assertIn(f"rank {victim}", self.last_event(stream))
            self.assertNotEqual(server.process.wait(30), 0)
            self.assertLess(time.monotonic() - began, 15)
            self.assertRegex(server.text(), rf"the engine failed: rank {victim} ")
            self.assert_nothing_is_left(pids)

    def test_a_rank_that_dies(self):
        for victim in (1, 2, 3):
            with self.subTest(rank=victim):
                self.end_of_a_rank(victim, signal.SIGKILL)

    def test_a_rank_that_falls_silent(self):
        self.end_of_a_rank(3, signal.SIGSTOP)

    def test_a_rank_that_dies_while_nothing_runs(self):
        self.end_of_a_rank(2, signal.SIGKILL, busy=False)

    def test_rank_0_dies(self):
        with Server(4, ("--tp", "2", "--pp", "2")) as server:
            pids = server.ranks()
            os.kill(pids[0], signal.SIGKILL)
            self.assertNotEqual(server.process.wait(30), 0)
            self.assertEqual(len(re.findall(r"shardline: rank 0 .* died", server.text())), 1, server.text())
            self.assert_nothing_is_left(pids)

    def test_a_signal_to_mpirun(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number), Server(4, ("--tp", "2", "--pp", "2")) as server:
                pids = server.ranks()
                stream = server.stream()
                server.process.send_signal(number)
                self.assertIn("shutting down", self.last_event(stream))  # before mpirun kills
                server.process.wait(30)
                self.assertIn("info ended", server.text())
                self.assert_nothing_is_left(pids)


if __name__ == "__main__":
    unittest.main()
