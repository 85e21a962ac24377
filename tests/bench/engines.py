"""How each engine is asked for one number."""
import contextlib
import json
import re
import time

from peer import rpc_server
from process import Failed, first_byte, free_ports, in_background, output, outputs, under_mpirun, wait_for_port
from streams import share_beside_the_model

CONTEXT, STEPS = 128, 64  # of a decode: tokens before, where nothing else is said, and tokens measured


class Ours:
    def __init__(self, program):
        self.program = program

    def machine(self):
        return json.loads(output([self.program, "bench", "--machine", "--json"]))

    def bench(self, model, work, threads, tp=1, pp=1, processes=False):
        """-> (tokens/s, {what the machine has limits of: 10^9 operations or bytes per second})"""
        command = [self.program, "bench", model, "--json", "--threads", threads, "--tp", tp, "--pp", pp, "--repeat", 1]
        if prompt := work.get("prefill"):
            command += ["--prefill", prompt, "--steps", 0]
        else:
            command += ["--batch", work.get("streams", 1), "--context", work.get("context", CONTEXT), "--steps", STEPS]
        report = json.loads(output(under_mpirun(tp * pp, command) if processes else command))
        if prompt:
            return report["prefill"]["tokens_per_second"], {"products": report["prefill"]["gops"], "attention": report["prefill"]["attention_gops"]}
        return report["decode"]["tokens_per_second"], {"memory": report["decode"]["gbps"], "products": report["decode"]["gops"]}

    def start(self, model, tp=1, pp=1):
        """-> seconds from the start of the program to the first token"""
        command = [self.program, "generate", model, "--prompt", "hi", "--max-tokens", 1, "--tp", tp, "--pp", pp]
        return first_byte(under_mpirun(tp * pp, command) if tp * pp > 1 else command)

    def loading(self, model):
        """-> seconds until the weights are in place"""
        _, notes = outputs([self.program, "generate", model, "--prompt", "hi", "--max-tokens", 1])
        found = re.search(r"loaded in ([\d.]+) s", notes)
        if not found:
            raise Failed(f"{self.program} generate does not say how long it loaded:\n{notes}")
        return float(found[1])

    def beside_the_model(self, model):
        """-> per cent of the server's CPU time that its ranks do not take"""
        return share_beside_the_model(self.program, model)


class Theirs:
    """Flash attention and repacking are left to themselves, which is the peer's faster way."""

    def __init__(self, programs):
        self.programs = programs

    def bench(self, model, work, threads, *more):
        """-> tokens/s"""
        prompt, streams, context = work.get("prefill"), work.get("streams", 1), work.get("context", CONTEXT)
        if prompt or streams == 1:
            sizes = ["-p", prompt, "-n", 0] if prompt else ["-p", 0, "-n", STEPS, "-d", context]
            return json.loads(output([self.programs / "llama-bench", "-m", model, "-t", threads, *sizes, "-r", 1, "-o", "json", *more]))[0]["avg_ts"]
        lines = output([self.programs / "llama-batched-bench", "-m", model, "-t", threads, "-c", streams * (context + STEPS), "-npp", context, "-ntg", STEPS, "-npl", streams,
                        "--output-format", "jsonl", *more])
        return json.loads(lines.strip().splitlines()[-1])["speed_tg"]

    def split(self, model, work, mode):
        """-> tokens/s over two servers of one thread each. `mode`: tensor or layer"""
        server = rpc_server(self.programs)
        if not server:
            raise Failed(f"no rpc-server in {self.programs}")
        ports = free_ports(2)
        with in_background([server, "-t", 1, "-p", port] for port in ports):
            for port in ports:
                wait_for_port(port)
            return self.bench(model, work, 1, "-ngl", 99, "-sm", mode, "-rpc", ",".join(f"127.0.0.1:{port}" for port in ports))


def reading(path):
    """-> seconds to read a file"""
    begin = time.monotonic()
    output(["bash", "-c", f'cat "{path}" > /dev/null'])
    return time.monotonic() - begin


@contextlib.contextmanager
def beside(noise):
    with noise() if noise else contextlib.nullcontext():
        yield
