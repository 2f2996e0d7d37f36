#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzzers; ./dev fuzz builds them first.

    run.py                           lists them
    run.py TARGET [ARGS...]          goes on until stopped or something is found; libFuzzer's ARGS
    run.py all SECONDS [--jobs N]    each of them for so long, the seeds first

Seeds are test/fuzz/corpus/TARGET, words test/fuzz/TARGET.dict. What a run finds worth keeping goes
to build/asan/corpus/TARGET, what breaks to build/asan/found. The last line printed of "all" is
"fuzz: N passed, M failed".
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "asan"
FOUND = BUILD / "found"

# Seconds for one input, and MiB. An input that takes this long is a finding.
BOUNDS = ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
# Seeds that stand elsewhere.
SEEDS = {"load_fuzz": HERE.parent / "golden"}
SIZES = {"load_fuzz": 4096, "records_fuzz": 512, "server_fuzz": 8192}  # of an input; else a head
SIZE = 2048


def targets():
    return sorted(path.name for path in (BUILD / "fuzzers").glob("*_fuzz"))


def command(target, *more):
    """The fuzzer with its bounds and words; its own corpus and the seeds come behind."""
    FOUND.mkdir(parents=True, exist_ok=True)
    words = HERE / f"{target}.dict"
    return [str(BUILD / "fuzzers" / target), *BOUNDS, f"-max_len={SIZES.get(target, SIZE)}",
            f"-artifact_prefix={FOUND}/{target}-", *([f"-dict={words}"] if words.exists() else []),
            *more]


def corpora(target):
    own = BUILD / "corpus" / target
    own.mkdir(parents=True, exist_ok=True)
    return [str(own), str(SEEDS.get(target, HERE / "corpus" / target))]


def environment():
    return {**os.environ, "ASAN_OPTIONS": "detect_stack_use_after_return=0:handle_abort=1",
            "UBSAN_OPTIONS": "print_stacktrace=1"}


def found(target):
    return set(FOUND.glob(f"{target}-*"))


def how_to_replay(target, artifacts):
    for artifact in sorted(artifacts):
        print(f"fuzz: {target} found {artifact.relative_to(ROOT)}; to see it again:\n"
              f"    ./dev fuzz {target} {artifact.relative_to(ROOT)}")


def go_on(target, arguments):
    """In the foreground. With a file: only that input, once."""
    before = found(target)
    files = [argument for argument in arguments if os.path.isfile(argument)]
    inputs = [] if files else corpora(target)
    try:
        status = subprocess.call([*command(target), *arguments, *inputs], env=environment())
    except KeyboardInterrupt:
        status = 130
    how_to_replay(target, found(target) - before)
    return status


def for_a_while(target, seconds):
    """Returns (output, artifacts) of a run that failed, otherwise (last line, None)."""
    before = found(target)
    run = subprocess.run([*command(target, f"-max_total_time={seconds}"), *corpora(target)],
                         env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if run.returncode != 0:
        return run.stdout, found(target) - before
    runs = [line for line in run.stdout.splitlines() if line.startswith("Done ")]
    return (runs or ["no run"])[-1], None


def all_for_a_while(seconds, jobs):
    failed = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(for_a_while, target, seconds): target for target in targets()}
        for done in concurrent.futures.as_completed(running):
            target = running[done]
            text, artifacts = done.result()
            print(f"{target:20} {'FAILED' if artifacts is not None else text}", flush=True)
            if artifacts is not None:
                failed.append(target)
                print("\n".join("    " + line for line in text.splitlines()[-60:]))
                how_to_replay(target, artifacts)
    for target in failed:
        print(f"fuzz: {target} failed")
    print(f"fuzz: {len(targets()) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not targets() else 0


def main():
    sys.stdout.reconfigure(line_buffering=True)
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?")
    parser.add_argument("--jobs", type=int, default=2)
    options, arguments = parser.parse_known_args()
    if options.target is None:
        print("\n".join(targets()))
        return 0
    if options.target == "all":
        if len(arguments) != 1 or not arguments[0].isdigit():
            parser.error("all SECONDS")
        return all_for_a_while(int(arguments[0]), options.jobs)
    if options.target not in targets():
        parser.error(f"there is no fuzzer {options.target}: {', '.join(targets())}")
    return go_on(options.target, arguments)


if __name__ == "__main__":
    sys.exit(main())
