#!/usr/bin/env python3
"""The real model against Hugging Face transformers in float32 (tests/data/smollm2): greedy texts and perplexity, through the program.

Environment: SHARDLINE the program, SHARDLINE_TEST_MODEL the GGUF file. A greedy text may leave the reference only where the reference's two best
tokens are within 0.3 nats, and only into the second. Perplexity is that of Debian's GPL-3, by the convention of llama-perplexity.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "smollm2"
TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")
PROGRAM, MODEL = os.environ["SHARDLINE"], os.environ["SHARDLINE_TEST_MODEL"]
TABLES = ["avx512", "avx2"]  # the reference table takes minutes for a perplexity; the small models hold it


def shardline(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments), "--json"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_greedy(prompt, answer):
    for step, (got, want) in enumerate(zip(answer["token_ids"], prompt["greedy_ids"])):
        if got == want:
            continue
        gap = prompt["gaps"][step]
        assert gap < 0.3 and got == prompt["second_ids"][step], f"{prompt['name']}: token {got} at step {step}, not {want} (gap {gap})"
        return f"equal up to step {step}, then the second best, {gap} nats behind"
    assert len(answer["token_ids"]) == len(prompt["greedy_ids"]), f"{prompt['name']}: {len(answer['token_ids'])} tokens"
    return "equal"


def main():
    supported = shardline("version")["kernels"]
    prompts = json.loads((DATA / "prompts.json").read_text())
    want = json.loads((DATA / "perplexity.json").read_text())["perplexity_second_half"]
    for table in ["scalar", *TABLES]:
        if table not in supported:
            print(f"{table}: skipped, this CPU lacks it")
            continue
        for prompt in prompts if table in TABLES else prompts[:3]:
            answer = shardline("generate", MODEL, "--prompt", prompt["text"], "--max-tokens", len(prompt["greedy_ids"]), "--temperature", 0, "--kernels", table)
            assert answer["kernels"] == table
            print(f"{table} {prompt['name']}: {check_greedy(prompt, answer)}", flush=True)
    assert hashlib.sha256(TEXT.read_bytes()).hexdigest().startswith("3972dc97"), f"{TEXT} is another text"
    for table in TABLES:
        if table in supported:
            got = shardline("perplexity", MODEL, TEXT, "--kernels", table)["perplexity"]
            print(f"{table} perplexity {got:.4f}, reference {want:.4f}", flush=True)
            assert abs(got / want - 1) < 0.01


if __name__ == "__main__":
    sys.exit(main())
