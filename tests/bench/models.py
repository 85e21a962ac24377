"""The files that both engines measure: the real model and a synthetic one of 1,000 million parameters, in every format, made once in the cache."""
import os
import pathlib

from process import CACHE, Failed, output, say

FOLDER = CACHE / "bench"


class Skipped(Exception):
    """The program does not load this format."""


class Models:
    def __init__(self, program, programs, real):
        self.program, self.quantize, self.real = program, programs / "llama-quantize", pathlib.Path(real)
        self.loadable = set()

    def path(self, shape, form):
        """`shape`: "SmolLM2" or "1B"; `form`: Q4_0, BF16, ... -> a file; Skipped where the program does not load it"""
        path = self.real_in(form) if shape == "SmolLM2" else self.synthetic_in(form)
        if path not in self.loadable:
            try:
                output([self.program, "inspect", path, "--json"])
            except Failed as failure:
                if "not supported" in str(failure):
                    raise Skipped(str(failure).strip().splitlines()[-1]) from None
                raise
            self.loadable.add(path)
        return path

    def real_in(self, form):
        if f".{form}." in self.real.name:
            return self.real
        return self.made(FOLDER / f"{self.real.stem}-as-{form}.gguf", self.real, lambda out: [self.quantize, "--allow-requantize", self.real, out, form])

    def synthetic_in(self, form):
        whole = self.made(FOLDER / "1b-F16.gguf", self.real, lambda out: [self.program, "synthesize", out, "--shape", "1b", "--tokenizer", self.real])
        if form == "F16":
            return whole
        return self.made(FOLDER / f"1b-{form}.gguf", whole, lambda out: [self.quantize, "--pure", whole, out, form])

    def made(self, path, source, command):
        if path.exists() and path.stat().st_mtime >= source.stat().st_mtime:
            return path
        say(f"making {path} (once)")
        FOLDER.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.gguf")
        temporary.unlink(missing_ok=True)
        output(command(temporary))
        os.replace(temporary, path)
        return path
