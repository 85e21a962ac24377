"""The peer: llama.cpp from the source package of llama-cpp-python, built once, outside the repository. One build per kernel table, so that like
meets like: for this machine, or for AVX2 without AVX-512. Where a clang of version 19 or later is installed, it builds too, and the faster is taken."""
import json
import re
import shutil
import subprocess
import sys
import tarfile

from process import CACHE, output, say

PACKAGE = "llama-cpp-python==0.3.36"
PROGRAMS = ["llama-bench", "llama-batched-bench", "llama-quantize"]
OLDEST_CLANG = 19
OPTIONS = ["CMAKE_BUILD_TYPE=Release", "GGML_RPC=ON", "GGML_CCACHE=OFF", "LLAMA_CURL=OFF", "LLAMA_BUILD_TESTS=OFF", "LLAMA_BUILD_EXAMPLES=OFF", "LLAMA_BUILD_SERVER=OFF",
           "BUILD_SHARED_LIBS=OFF"]
VARIANTS = {
    "native": ["GGML_NATIVE=ON"],
    "avx2": ["GGML_NATIVE=OFF", "GGML_SSE42=ON", "GGML_AVX=ON", "GGML_AVX2=ON", "GGML_FMA=ON", "GGML_F16C=ON", "GGML_BMI2=ON", "GGML_AVX512=OFF"],
}


def rpc_server(programs):
    """The program's path; its name changed between versions."""
    return next((programs / name for name in ("ggml-rpc-server", "rpc-server") if (programs / name).exists()), None)


def description(programs):
    """What is known of the build that these programs come from."""
    cache = programs.parent / "CMakeCache.txt"
    if not cache.exists():
        return f"llama.cpp in {programs.name}, build unknown"
    entries = dict(re.findall(r"^(\w+):\w+=(.*)$", cache.read_text(), re.M))
    compiler = output([entries["CMAKE_CXX_COMPILER"], "--version"]).splitlines()[0]
    native = entries.get("GGML_NATIVE") == "ON"
    return f"llama.cpp of {PACKAGE.replace('==', ' ')}, {'native' if native else 'AVX2 without AVX-512'}, {compiler}"


def is_native(programs):
    cache = programs.parent / "CMakeCache.txt"
    return not cache.exists() or "GGML_NATIVE:BOOL=ON" in cache.read_text()


def compilers():
    found = [("g++", "gcc")]
    for number in range(40, OLDEST_CLANG - 1, -1):
        if shutil.which(f"clang++-{number}"):
            return found + [(f"clang++-{number}", f"clang-{number}")]
    return found


def source(folder):
    unpacked = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"), None)
    if unpacked:
        return unpacked
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([folder / "venv/bin/pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "--no-binary", "llama-cpp-python", "--dest", folder, PACKAGE],
                   check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(folder)
    return next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))


def build(folder, variant, cxx, cc):
    programs = folder / f"build-{variant}-{cxx}/bin"
    if all((programs / name).exists() for name in PROGRAMS) and rpc_server(programs):
        return programs
    say(f"building the peer ({variant}, {cxx}) in {programs.parent}: once, about ten minutes")
    tree = source(folder)
    server = "ggml-rpc-server" if "ggml-rpc-server" in (tree / "tools/rpc/CMakeLists.txt").read_text() else "rpc-server"
    options = [*OPTIONS, *VARIANTS[variant], f"CMAKE_CXX_COMPILER={cxx}", f"CMAKE_C_COMPILER={cc}"]
    with open(folder / f"build-{variant}-{cxx}.log", "w") as log:
        for command in (["cmake", "-S", tree, "-B", programs.parent, "-G", "Ninja", *(f"-D{o}" for o in options)], ["ninja", "-C", programs.parent, *PROGRAMS, server]):
            subprocess.run(command, check=True, stdout=log, stderr=log)
    return programs


def prefill_speed(programs, model, threads):
    command = [programs / "llama-bench", "-m", model, "-t", threads, "-p", 256, "-n", 0, "-r", 3, "-o", "json"]
    return json.loads(output(command))[0]["avg_ts"]


def fastest(variant, model, threads):
    """-> the folder with the programs of the faster build; each is built where the cache does not hold it, and measured once."""
    folder = CACHE / "peer" / PACKAGE.replace("==", "-")
    builds = {cxx: build(folder, variant, cxx, cc) for cxx, cc in compilers()}
    choice = folder / f"fastest-{variant}.json"
    if choice.exists() and (speeds := json.loads(choice.read_text())).keys() == builds.keys():
        return builds[max(speeds, key=speeds.get)], speeds
    speeds = {}
    for _ in range(3):  # in turns: the machine is noisy
        for cxx, programs in builds.items():
            speeds[cxx] = max(speeds.get(cxx, 0), prefill_speed(programs, model, threads))
    choice.write_text(json.dumps(speeds))
    return builds[max(speeds, key=speeds.get)], speeds
