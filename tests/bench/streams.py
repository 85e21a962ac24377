"""What the streams of many clients cost beside the model: the CPU time of the server's threads while all of them decode."""
import contextlib
import json
import os
import pathlib
import selectors
import socket
import subprocess
import time
import urllib.request

from process import ENVIRONMENT, Failed, free_ports, wait_for_port

STREAMS, TOKENS = 64, 400
REQUEST = {"prompt": "Once upon a time there was a small town by the sea, and in it", "max_tokens": TOKENS, "stream": True, "temperature": 0.8, "top_p": 0.95, "top_k": 50,
           "ignore_eos": True}


def wait_until_loaded(port, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
        time.sleep(0.05)
    raise Failed(f"the model is not loaded after {seconds} s")


@contextlib.contextmanager
def server(program, model):
    port = free_ports(1)[0]
    command = [str(program), "serve", str(model), "--port", str(port), "--max-model-len", "1024"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        try:
            wait_for_port(port)
            wait_until_loaded(port)
            yield process.pid, port
        finally:
            process.terminate()


def ask(port, model):
    body = json.dumps({**REQUEST, "model": pathlib.Path(model).stem}).encode()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return connection


def cpu_of_threads(pid):
    """-> {thread: (name, seconds)}"""
    threads = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        threads[task.name] = ((task / "comm").read_text().strip(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    return threads


def read_on(selector, seen):
    """Reads what has come. -> False where a stream has ended"""
    for key, _ in selector.select(1):
        data = key.fileobj.recv(65536)
        if key.data not in seen and not data.startswith(b"HTTP/1.1 200"):
            raise Failed(f"the server answered {data[:400]!r}")
        if not data or b"[DONE]" in data:
            return False
        seen.setdefault(key.data, 0)
        seen[key.data] += data.count(b"data: ")
    return True


def seconds_by_thread(program, model):
    """-> {name of thread: CPU seconds} while all streams decode, and their tokens per second"""
    with server(program, model) as (pid, port), contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for i in range(STREAMS):
            selector.register(stack.enter_context(ask(port, model)), selectors.EVENT_READ, i)
        seen = {}  # events of each stream
        while len(seen) < STREAMS or min(seen.values()) < 8:
            if not read_on(selector, seen):
                raise Failed("a stream ended before all had begun")
        before, begin, first = cpu_of_threads(pid), time.monotonic(), sum(seen.values())
        while read_on(selector, seen):
            pass
        after, seconds, tokens = cpu_of_threads(pid), time.monotonic() - begin, sum(seen.values()) - first
        names = {}
        for thread, (name, total) in after.items():
            names[name] = names.get(name, 0) + total - before.get(thread, (name, 0))[1]
        return names, tokens / seconds


def share_beside_the_model(program, model):
    """-> per cent of the server's CPU time that is not its ranks' (they include sampling)"""
    names, _ = seconds_by_thread(program, model)
    ranks = sum(seconds for name, seconds in names.items() if name.startswith(("rank ", "worker ")))
    return 100 * (1 - ranks / sum(names.values()))


if __name__ == "__main__":
    import sys
    if len(sys.argv) != 3:
        sys.exit("usage: streams.py PROGRAM MODEL")
    by_name, rate = seconds_by_thread(*sys.argv[1:])
    total = sum(by_name.values())
    print(f"{STREAMS} streams, {rate:.0f} tokens/s")
    for thread, used in sorted(by_name.items(), key=lambda item: -item[1]):
        print(f"{thread:<16}{used:7.2f} s{100 * used / total:7.1f} %")
