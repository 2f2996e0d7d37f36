#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plants the defects of defects.toml, one at a time, in a copy of the sources, and sees whether the
simulator catches each.

    plant.py [NAME...] [--seeds N] [--folder DIRECTORY]
    plant.py --check       only: every defect still has its place in the code

A defect is caught when a seed breaks a property or ends in an assertion. The last line printed is
"planted: N caught, M missed".
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ["CMakeLists.txt", "cmake", "src", "test/sim"]


def edits(defect):
    return [defect, *defect.get("also", [])]


def load():
    table = tomllib.loads((pathlib.Path(__file__).parent / "defects.toml").read_text())
    return table["defect"]


def misplaced(defects):
    """What stands not once in its file."""
    wrong = []
    for defect in defects:
        for edit in edits(defect):
            count = (ROOT / edit["file"]).read_text().count(edit["old"])
            if count != 1:
                wrong.append(f"{defect['name']}: 'old' stands {count} times in {edit['file']}")
    names = [defect["name"] for defect in defects]
    wrong += [f"{name}: twice in the list" for name in set(names) if names.count(name) > 1]
    return wrong


def write(path, data):
    """Leaves a file alone that is as it should be: its objects stay valid."""
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class Plot:
    """The copy of the sources, and its build."""

    def __init__(self, folder):
        self.tree = folder / "tree"
        self.build = folder / "build"
        self.log = folder / "log"
        # So that the compiler's cache knows the objects of the sources themselves.
        self.environment = {**os.environ, "CCACHE_BASEDIR": str(self.tree), "CCACHE_NOHASHDIR": "1"}

    def copy(self):
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *COPIED], cwd=ROOT,
                                check=True, capture_output=True, text=True).stdout.splitlines()
        kept = {self.tree / name for name in listed if (ROOT / name).exists()}
        for path in list(self.tree.rglob("*")) if self.tree.exists() else []:
            if path.is_file() and path not in kept:
                path.unlink()
        for path in kept:
            write(path, (ROOT / path.relative_to(self.tree)).read_bytes())

    def plant(self, defect):
        """Returns what is to be given to restore()."""
        paths = [self.tree / edit["file"] for edit in edits(defect)]
        before = {path: path.read_bytes() for path in paths}
        for path, edit in zip(paths, edits(defect)):
            write(path, path.read_text().replace(edit["old"], edit["new"]).encode())
        return before

    def restore(self, before):
        for path, data in before.items():
            write(path, data)

    def make(self):
        """None, or what the build said."""
        commands = [["ninja", "-C", str(self.build), "sim_test"]]
        if not (self.build / "build.ninja").exists():
            commands.insert(0, ["cmake", "-G", "Ninja", "-S", str(self.tree), "-B", str(self.build),
                                "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_COMPILER=clang++-19",
                                "-DWEIR_BENCH=OFF"])
        for command in commands:
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
            if done.returncode:
                return done.stdout[-3000:] + done.stderr[-1000:]
        return None

    def simulate(self, seeds, seconds):
        """The first seed that failed and why, or None when all are well."""
        environment = {**os.environ, "WEIR_SIM_SEEDS": str(seeds), "WEIR_SIM_FAILURES": "1"}
        program = [str(self.build / "test/sim/sim_test"), "--gtest_filter=*EverySeed*"]
        try:
            done = subprocess.run(program, env=environment, capture_output=True, text=True,
                                  timeout=seconds, errors="replace")
        except subprocess.TimeoutExpired:
            return "it hangs, and the simulator does not say so"
        self.log.write_text(done.stdout + done.stderr)
        if done.returncode == 0:
            return None
        text = done.stdout + done.stderr
        seed = re.search(r"^seed (\d+)", text, re.MULTILINE)
        why = (re.search(r"^weir: (internal error: .*)$", text, re.MULTILINE) or
               re.search(r"^seed \d+\n.*\n  (?!replay)(.+)$", text, re.MULTILINE))
        return f"seed {seed[1] if seed else '?'}: {why[1].strip() if why else 'it crashes'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="*", help="of a defect; all of them by default")
    parser.add_argument("--seeds", type=int, default=3_000, metavar="N",
                        help="per defect at most; as many as sim_test plays")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build" / "planted")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    defects = load()
    if wrong := misplaced(defects):
        sys.exit("\n".join(wrong))
    if options.check:
        print(f"planted: {len(defects)} have their place")
        return 0
    known = {defect["name"] for defect in defects}
    if strange := [name for name in options.name if name not in known]:
        sys.exit(f"no such defect: {', '.join(strange)}; there are: {', '.join(sorted(known))}")
    chosen = [defect for defect in defects if not options.name or defect["name"] in options.name]

    plot = Plot(options.folder.resolve())
    plot.copy()
    if said := plot.make():
        sys.exit(f"the sources as they are do not build:\n{said}")
    if failure := plot.simulate(options.seeds, 1200):
        sys.exit(f"the sources as they are fail: {failure}")
    missed = []
    for defect in chosen:
        began = time.monotonic()
        before = plot.plant(defect)
        try:
            said = plot.make()
            failure = None if said else plot.simulate(options.seeds, 600)
        finally:
            plot.restore(before)
        if said:
            sys.exit(f"{defect['name']} does not build:\n{said}")
        if failure is None or failure.startswith("it hangs"):
            missed.append(defect["name"])
        word = "MISSED" if defect["name"] in missed else "caught"
        seconds = time.monotonic() - began
        print(f"{word} {seconds:4.0f} s  {defect['name']}: {failure or defect['what']}", flush=True)
    for name in missed:
        print(f"missed: {name}")
    print(f"planted: {len(chosen) - len(missed)} caught, {len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
