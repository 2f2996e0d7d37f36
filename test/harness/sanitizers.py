# SPDX-License-Identifier: Apache-2.0
"""What the sanitizers say of Weir, when it was built with one (run.py --sanitized)."""

import os
import pathlib

# What a process that was reported ends with. Weir itself uses none of these.
EXIT_CODE = 99

# An allocation that is too large is malloc's to refuse and Weir's to bear, as without a sanitizer.
COMMON = f"exitcode={EXIT_CODE}:allocator_may_return_null=1:log_path="
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:check_initialization_order=1:"
                    "detect_stack_use_after_return=1:",
    "UBSAN_OPTIONS": "print_stacktrace=1:",
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1:",
}


def inside(program):
    """Whether it was built with one whose reports are found here."""
    content = pathlib.Path(program).read_bytes()
    return b"__asan_init" in content or b"__tsan_init" in content


def listen(directory):
    """From now on every process that this one starts writes its reports into `directory`: reports
    are found however the process was started, and whatever became of its output. Any user may write
    there, as Weir may give up being root."""
    folder = pathlib.Path(directory) / "reports"
    folder.mkdir()
    os.chmod(folder, 0o777)
    for name, options in OPTIONS.items():
        os.environ[name] = f"{options}{COMMON}{folder}/of"


def reports(directory):
    """The text of all reports; empty when there is none."""
    folder = pathlib.Path(directory) / "reports"
    if not folder.exists():
        return ""
    return "\n".join(f"--- {path.name}:\n{path.read_text(errors='replace')}"
                     for path in sorted(folder.iterdir()))
