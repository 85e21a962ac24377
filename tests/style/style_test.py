"""The rules of CONTRIBUTING.md that a program can check. Run by ctest (label style), or: python3 tests/style/style_test.py"""
import pathlib
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cpp_source import blank_literals, functions  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("engine", "parallel", "scheduler", "launcher", "tests", "scripts")
MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 70

# A folder may include itself and what stands to its right here.
MAY_INCLUDE = {
    "engine/base": ("engine/base",),
    "engine": ("engine",),
    "parallel": ("parallel", "engine"),
    "scheduler": ("scheduler", "engine"),
    "launcher": ("launcher", "parallel", "scheduler", "engine"),
}
# Headers that only one folder may know.
ONLY_IN = {
    r"<mpi\.h>": "parallel/mpi/",
    r"<boost/(beast|asio)": "launcher/http/",
    r"<CLI/": "launcher/options",
    r"<boost/": ("launcher/", "engine/weights/", "engine/text/", "tests/"),
}


def files(*suffixes, folders=CODE_FOLDERS):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file() and not {"__pycache__", "data"} & set(path.parts):
                yield path


def name(path):
    return path.relative_to(ROOT).as_posix()


class Style(unittest.TestCase):
    maxDiff = None

    def none(self, faults):
        self.assertFalse(faults, "\n" + "\n".join(faults))

    def test_files_are_short(self):
        lengths = {name(p): len(p.read_text().splitlines()) for p in files(".h", ".cpp", ".py", ".cu")}
        self.none([f"{n}: {lines} lines, at most {MAX_FILE_LINES}" for n, lines in lengths.items() if lines > MAX_FILE_LINES])

    def test_functions_are_short(self):
        self.none([f"{name(p)}:{line}: {function}() has {lines} lines, at most {MAX_FUNCTION_LINES}"
                   for p in files(".h", ".cpp", ".cu") for function, line, lines in functions(blank_literals(p.read_text()))
                   if lines > MAX_FUNCTION_LINES])

    def test_function_measure(self):
        code = "namespace a {\nstruct B {\n  int f() const {\n    return 1;\n  }\n};\nint B::g(int x) {\n  if (x) {\n  }\n  return '{';\n}\n}\n"
        self.assertEqual([(n, line, lines) for n, line, lines in functions(blank_literals(code))], [("f", 3, 3), ("B::g", 7, 5)])

    def test_folders_include_only_what_is_below_them(self):
        faults = []
        for path in files(".h", ".cpp", folders=("engine", "parallel", "scheduler", "launcher")):
            own = next(folder for folder in MAY_INCLUDE if name(path).startswith(folder + "/"))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if (include := re.match(r'#include "([^"]+)"', line)) and not include[1].startswith(tuple(f"{f}/" for f in MAY_INCLUDE[own])):
                    faults.append(f"{name(path)}:{number}: {own} may not include {include[1]}")
        self.none(faults)

    def test_headers_that_one_folder_keeps_to_itself(self):
        faults = []
        for path in files(".h", ".cpp"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for header, place in ONLY_IN.items():
                    if re.match(rf"#include\s*{header}", line) and not name(path).startswith(place):
                        faults.append(f"{name(path)}:{number}: {line.strip()} belongs in {place}")
        self.none(faults)

    def test_headers_begin_with_what_they_are(self):
        self.none([name(p) for p in files(".h", folders=("engine", "parallel", "scheduler", "launcher"))
                   if not p.read_text().startswith("//")])
        self.none([name(p) for p in files(".h") if "kernels/cpu/" not in name(p)  # those are compiled once per instruction set
                   and not re.search(r"^#pragma once$", p.read_text(), re.M)])

    def test_no_unfinished_work(self):
        marks = re.compile("|".join(["TO" + "DO", "FIX" + "ME", r"\bXX" + r"X\b", r"\bHA" + r"CK\b", "not " + "implemented", "place" + "holder"]))
        self.none([f"{name(p)}:{number}: {line.strip()}" for p in files(".h", ".cpp", ".py", ".txt", ".sh", ".cu")
                   for number, line in enumerate(p.read_text().splitlines(), 1) if marks.search(line)])

    def test_only_check_is_a_macro(self):
        self.none([f"{name(p)}:{number}: {line}" for p in files(".h", ".cpp", folders=("engine", "parallel", "scheduler", "launcher"))
                   for number, line in enumerate(p.read_text().splitlines(), 1)
                   if (macro := re.match(r"#define\s+(\w+)", line)) and macro[1] != "CHECK" and macro[1] != "PCRE2_CODE_UNIT_WIDTH"])

    def test_every_test_is_registered(self):
        cmake = "".join(path.read_text() for path in files(".txt", folders=("tests",)))
        folders = re.findall(r"^add_test_folder\((\S+)", cmake, re.M)
        self.none([name(p) for p in files(".cpp", folders=("tests",)) if p.name.endswith("_test.cpp")
                   and p.name not in cmake and not any(name(p).startswith(f"tests/{folder}/") for folder in folders)])
        self.none([name(p) for p in files(".py", folders=("tests",)) if p.name.endswith("_test.py") and p.name not in cmake])

    def test_readme_names_the_two_commands(self):
        readme = (ROOT / "README.md").read_text()
        for command in ("./quickstart", "tests/run"):
            self.assertIn(command, readme)

    def test_scripts_are_sound(self):
        for script in ("quickstart", "tests/run", ".ci/run", "scripts/setup.sh"):
            subprocess.run(["bash", "-n", ROOT / script], check=True)


if __name__ == "__main__":
    unittest.main()
