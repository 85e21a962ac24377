#!/usr/bin/env python3
"""Fails where a hot loop of the kernels keeps vectors on the stack: disassembles the program and looks into the innermost loops of the listed functions.

    tests/style/spills.py PROGRAM [--list]
"""
import re
import subprocess
import sys

# Functions by kernel table, demangled and without namespaces. A loop that multiplies and has no other inside is hot.
MULTIPLIES = re.compile(r"vpdpbusd|vdpbf16ps|vfn?madd|vpmaddubsw")
HOT = {
    "avx512": [r"quant_tile<Q(4_0|4_1|8_0|4_K|5_K), 12, 1>", r"quant_tile<Q\w+, (1|4|8), 1>", r"float_tile<(Bf16|F16|F32), (1|4|8|12), 2>", r"AttentionTile<KvBf16>::(scores|values)<(1|3|4|8|12), 2>"],
    "avx2": [r"quant_tile<Q4_[01], (1, 2|4, 1)>", r"float_tile<(Bf16|F16|F32), (1, 2|4, 2)>", r"AttentionTile<KvBf16>::(scores|values)<(1|3|4), 2>"],
}
SPILL = re.compile(r"[yz]mm.*\(%rsp|\(%rsp.*[yz]mm|-0x[0-9a-f]+\(%rbp\).*[yz]mm|[yz]mm.*-0x[0-9a-f]+\(%rbp\)")


def functions(program):
    """-> {name: [(address, instruction)]} of the kernels"""
    text = subprocess.run(["objdump", "-dC", "--no-show-raw-insn", program], capture_output=True, text=True, check=True).stdout
    found, body = {}, None
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            name = head[1].replace("(anonymous namespace)::", "").replace("shardline::", "")
            table = next((t for t in HOT if f"{t}::" in name), None)
            short = re.sub(r"^void |\(.*", "", name.replace(f"{table}::", "")) if table else ""
            body = found.setdefault((table, short), []) if table and any(re.fullmatch(p, short) for p in HOT[table]) else None
        elif body is not None and (instruction := re.match(r"\s+([0-9a-f]+):\s+(.*)", line)):
            body.append((int(instruction[1], 16), instruction[2]))
    return found


def innermost_loops(body):
    first, last = body[0][0], body[-1][0]
    loops = []
    for address, instruction in body:
        jump = re.match(r"j\w+\s+([0-9a-f]+)", instruction)
        if jump and first <= int(jump[1], 16) <= address <= last:
            loops.append((int(jump[1], 16), address))
    inner = [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    inside = [[i for address, i in body if begin <= address <= end] for begin, end in inner]
    return [loop for loop in inside if any(MULTIPLIES.match(i) for i in loop)]


def main():
    program = sys.argv[1]
    found = functions(program)
    failures = 0
    for table, patterns in HOT.items():
        for pattern in patterns:
            if not any(t == table and re.fullmatch(pattern, name) for t, name in found):
                print(f"{table}: no function {pattern}")
                failures += 1
    for (table, name), body in sorted(found.items()):
        loops = innermost_loops(body)
        spills = [i for loop in loops for i in loop if SPILL.search(i)]
        if "--list" in sys.argv or spills or not loops:
            print(f"{table} {name}: {len(loops)} hot loops, {len(spills)} vectors on the stack")
        failures += bool(spills) or not loops
    print(f"{len(found)} functions, {failures} faults")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
