#!/usr/bin/env python3
"""Writes dequantize.safetensors beside itself: for every storage type random and extreme blocks and the values that PyPI `gguf` makes of them.

    pip install gguf==0.19.0 && ./make_dequantize.py
"""
import json
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

SCALES = np.array([1.0, -1.0, 0.0, -0.0, 65504, -65504, 2**-24, -(2**-24), 2**-14, 0.0123, 3.7, np.inf, -np.inf, np.nan], np.float16)
rng = np.random.default_rng(1)


def halves(*rows):  # (blocks, n) of float16 as bytes
    return np.stack(rows, 1).astype(np.float16).view(np.uint8)


def blocks(scales, quants, count=20):
    """All pairs of extreme scales with quants of all zeros, all ones and anything; then random blocks."""
    parts = [np.array(a, np.float16) for a in np.meshgrid(*[SCALES] * scales)] if scales > 1 else [SCALES]
    heads = np.concatenate([halves(*[p.ravel() for p in parts]), halves(*[rng.normal(0, 0.1, count) for _ in range(scales)])])
    data = rng.integers(0, 256, (len(heads), quants), dtype=np.uint8)
    data[0::3][: len(data) // 6], data[1::3][: len(data) // 6] = 0, 255
    return np.concatenate([heads, data], 1)


def k_blocks(scales_first, scales, rest, count=6):
    """Extreme scales with anything after (or before) them; then random blocks."""
    heads = np.concatenate([halves(*[np.roll(SCALES, i) for i in range(scales)]), halves(*[rng.normal(0, 0.1, count) for _ in range(scales)])])
    data = rng.integers(0, 256, (len(heads), rest), dtype=np.uint8)
    data[0], data[1] = 0, 255
    return np.concatenate([heads, data] if scales_first else [data, heads], 1)


out = {}
quantised = {T.Q4_0: blocks(1, 16), T.Q4_1: blocks(2, 16), T.Q8_0: blocks(1, 32)}
quantised |= {T.Q4_K: k_blocks(True, 2, 140), T.Q5_K: k_blocks(True, 2, 172), T.Q6_K: k_blocks(False, 1, 208)}
for kind, raw in quantised.items():
    with np.errstate(all="ignore"):
        out[f"{kind.name}.values"] = dequantize(raw.copy(), kind).astype(np.float32)
    out[f"{kind.name}.blocks"] = raw
for kind in (T.F16, T.BF16):
    raw = np.concatenate([np.arange(0, 65536, 37), [0x7C00, 0xFC00, 0x7F80, 0xFF80, 1, 0x8001, 0x3FF, 0x7FFF]]).astype(np.uint16)
    out[f"{kind.name}.values"] = dequantize(raw.view(np.uint8) if kind == T.BF16 else raw.view(np.float16), kind).astype(np.float32).ravel()
    out[f"{kind.name}.blocks"] = raw.view(np.uint8)

header, data = {}, b""
for name, array in out.items():
    header[name] = {"dtype": {"uint8": "U8", "float32": "F32"}[array.dtype.name], "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
    data += array.tobytes()
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
pathlib.Path(__file__).with_name("dequantize.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
print({name: array.shape for name, array in out.items()})
