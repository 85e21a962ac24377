"""Programs that the benchmarks run."""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "shardline"
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
TIMEOUT = 1800  # seconds of one measurement


class Failed(Exception):
    """A program ended with an error. Its row is left out, the others go on."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def outputs(command):
    """-> (standard output, standard error)"""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=TIMEOUT, env=ENVIRONMENT)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}\nran for more than {TIMEOUT} s") from None
    if done.returncode:
        raise Failed(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr


def output(command):
    return outputs(command)[0]


def under_mpirun(ranks, command):
    return ["mpirun", "--bind-to", "none", "-np", ranks, *command]


def first_byte(command):
    """-> seconds from a program's start to the first byte of its output"""
    begin = time.monotonic()
    with subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as program:
        byte = program.stdout.read(1)
        seconds = time.monotonic() - begin
        error = program.communicate(timeout=TIMEOUT)[1]
    if program.returncode or not byte:
        raise Failed(f"{' '.join(map(str, command))}\nended with {program.returncode}:\n{error.decode()[-2000:]}")
    return seconds


@contextlib.contextmanager
def in_background(commands):
    programs = [subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def busy_loop():
    """A foreign program that wants one whole core."""
    return in_background([[sys.executable, "-c", "while True: pass"]])


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_port(port, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Failed(f"nobody listens at port {port} after {seconds} s")
