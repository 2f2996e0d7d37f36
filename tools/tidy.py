#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that no compiler checks, as a test over the source tree.

    tools/tidy.py [ROOT]      prints FILE:LINE: RULE: what is wrong and what to do; exit 1 if any

An exception stands beside the code with its reason, on the line or the one above:
    // tidy: allow RULE because ...
and a long function or file says, inside it or in the file's first 30 lines:
    // tidy: long because ...
Rules are rows of the tables below. tools/tidy_test.py shows each of them firing.
"""

import dataclasses
import os
import re
import sys

import tidy_scan

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600

# Folder of src/ -> folders that it may include. Includes point left in: base < async < io < tls,
# base < http, base < config, all of them < proxy < server < cli.
INCLUDES = {
    "base": {"base"},
    "async": {"base", "async"},
    "io": {"base", "async", "io"},
    "tls": {"base", "async", "io", "tls"},
    "http": {"base", "http"},
    "config": {"base", "config"},
    "proxy": {"base", "async", "io", "tls", "http", "config", "proxy"},
    "server": {"base", "async", "io", "tls", "http", "config", "proxy", "server"},
    "cli": {"base", "async", "io", "tls", "http", "config", "proxy", "server", "cli"},
}
# Sans-I/O folders and the headers they have no use for. Configuration reads files at start, and
# nothing else.
IO_HEADERS = {
    "http": re.compile(r"^(sys/|netinet/|arpa/|unistd\.h|poll\.h|fcntl\.h|fstream$|coroutine$|"
                       r"thread$|mutex$)"),
    "config": re.compile(r"^(sys/socket\.h|sys/epoll\.h|poll\.h|coroutine$|thread$|mutex$)"),
}

# Of frames, and where OpenSSL calls with nothing of ours in hand.
THREAD_LOCAL_FILES = {"src/async/frame_pool.h", "src/tls/key_schedule.cc", "src/tls/secrets.cc"}


@dataclasses.dataclass(frozen=True)
class Ban:
    """Words that may not stand in code (comments and strings do not count)."""
    rule: str
    pattern: str
    where: str     # regular expression on the path
    unless: str    # paths that may
    reason: str    # why, and what to use instead


BANS = [
    Ban("number-parse",
        r"\b(?:std::)?(?:strtou?ll?|strto[dfl]d?|ato[ifl]l?|sscanf|sto(?:u?ll?|i|d|f))\s*\(",
        r"\.(cc|h)$", r"^$",
        "wraps, skips white space or throws on bad input; use parse_u64 or std::from_chars"),
    Ban("std-function", r"\bstd::function\b",
        r"^src/", r"^src/(server|cli|config)/|^src/main\.cc|_(test|bench|fuzz)\.cc$",
        "allocates and hides a call on the data path; use a template parameter or an interface"),
    Ban("mutex", r"\bstd::(?:recursive_|shared_|timed_)?(?:mutex|condition_variable|lock_guard|"
        r"unique_lock|scoped_lock|shared_lock)\b",
        r"^src/", r"^src/(io|server)/|^src/base/log|^src/proxy/log_sink|_test\.cc$",
        "workers share nothing; post a message to the other worker instead"),
    # A literal is thrown in constant evaluation only, where it is the text of a compile error.
    Ban("throw", r'\bthrow\b(?!\s*")',
        r"^src/", r"_test\.cc$", "errors are values; return a Result"),
    Ban("clock", r"\bstd::chrono::\w+_clock::now\b|\bclock_gettime\b|\bgettimeofday\b",
        r"^src/", r"^src/io/",
        "time comes from the loop, so that it can be simulated; use its now()"),
    Ban("sans-io", r"\bco_(?:await|return|yield)\b", r"^src/(http|config)/", r"^$",
        "protocol and configuration code does no I/O; take bytes and return values"),
    Ban("sleep", r"\b(?:sleep|usleep|nanosleep|sleep_for|sleep_until)\s*\(",
        r"_test\.cc$|^test/", r"^$", "tests wait for events, not for time"),
    Ban("skipped-test", r"\bDISABLED_\w*|\bGTEST_SKIP\b|\bunittest\.skip\s*\(|"
        r"\bpytest\.mark\.skip\b|\.skipTest\(", r"_test\.(cc|py)$|^test/", r"^tools/tidy",
        "a test that does not run proves nothing; repair or delete it"),
    Ban("thread-local", r"\bthread_local\b", r"^src/", r"^$",
        "the worker is passed, not looked up"),
    Ban("dynamic-cast", r"\bdynamic_cast\b", r"^src/", r"^$",
        "a class is an interface or final; add a virtual function"),
    Ban("task-variable", r"\bTask<[^;{}()]*>\s+\w+\s*(?:[=;]|\{(?!\s*$))", r"^src/", r"^src/async/",
        "a task is awaited in the expression that makes it, never kept"),
]

# Rules on the raw text, comments and strings included.
RAW_BANS = [
    Ban("todo-now", r"\bTODO\(now\)", r".", r"^tools/tidy", "do it now"),
    Ban("machine-path", r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+|tmp/wt)/",
        r".", r"^tools/tidy",
        "exists on one machine only; make a temporary directory or use a relative path"),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.MULTILINE)
CODE = re.compile(r"\.(cc|h)$")
NEEDS_SPDX = re.compile(r"\.(cc|h|def|py|sh|js|css|cmake)$|(^|/)CMakeLists\.txt$|^dev$|^\.ci/run$")
NEEDS_COLUMNS = re.compile(r"\.(cc|h|py|sh)$|^dev$|^\.ci/run$")
SKIPPED_FOLDERS = {".git", "build", "node_modules", "__pycache__", ".cache"}
TEXT = re.compile(r"\.(cc|h|def|py|sh|js|css|html|md|toml|json|cmake|txt|in|cfg|conf|yml|yaml)$"
                  r"|^dev$|^\.ci/run$|^\.clang-(tidy|format)$|^LICENSE$")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class File:
    """One source file: raw lines, and for C++ the same text with comments and strings blanked."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.is_code = bool(CODE.search(path))
        self.scan = tidy_scan.scan(text) if self.is_code else None
        self.code = self.scan.code if self.is_code else text

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def allows(self, rule, line):
        near = self.lines[max(0, line - 2):line]
        return any(re.search(rf"tidy: allow {rule} because \S", text) for text in near)

    def long_because(self, first, last):
        return any("tidy: long because " in text for text in self.lines[max(0, first - 1):last])


def check_bans(file):
    for bans, text in ((BANS, file.code), (RAW_BANS, file.text)):
        for ban in bans:
            if not re.search(ban.where, file.path) or re.search(ban.unless, file.path):
                continue
            if ban.rule == "thread-local" and file.path in THREAD_LOCAL_FILES:
                continue
            for match in re.finditer(ban.pattern, text):
                yield Finding(file.path, file.line_of(match.start()), ban.rule,
                              f"'{match.group().strip()}': {ban.reason}")


def check_columns(file):
    if not NEEDS_COLUMNS.search(file.path):
        return
    for number, line in enumerate(file.lines, 1):
        if len(line) > COLUMNS_MAX and "://" not in line:
            yield Finding(file.path, number, "columns", f"{len(line)} columns; {COLUMNS_MAX} fit")


def check_length(file):
    if not file.path.endswith((".cc", ".h", ".py")):
        return
    count = len(file.lines) - 1
    if count > FILE_LINES_MAX and not file.long_because(1, 30):
        yield Finding(file.path, 1, "file-length",
                      f"{count} lines, more than {FILE_LINES_MAX}; split it by idea")
    for function in file.scan.functions if file.scan else []:
        size = function.last - function.first + 1
        if size > FUNCTION_LINES_MAX and not file.long_because(function.first - 3, function.last):
            yield Finding(file.path, function.first, "function-length",
                          f"{size} lines, more than {FUNCTION_LINES_MAX}; name its parts")


def check_top(file):
    if NEEDS_SPDX.search(file.path):
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in file.lines[:3]):
            yield Finding(file.path, 1, "spdx", "no SPDX-License-Identifier in the first 3 lines")
    if file.path.endswith(".h"):
        top = file.text.split("#pragma once")[0]
        prose = re.findall(r"^//\s*(?!SPDX)(\S.*)$", top, re.MULTILINE)
        if sum(map(len, prose)) < 20:
            yield Finding(file.path, 1, "header-comment",
                          "a header begins with a comment: purpose, owner, thread, limits")
        if "#pragma once" not in file.text:
            yield Finding(file.path, 1, "pragma-once", "no #pragma once")


def allowed_includes(path):
    """The folders that `path` may include, or None where there is no rule."""
    parts = path.split("/")
    if parts[0] != "src" or len(parts) < 3:
        return None
    allowed = INCLUDES.get(parts[1], {parts[1]})
    if re.search(r"_(test|bench|fuzz)\.cc$", path):
        allowed = allowed | {"test"}
    return allowed


def check_includes(file):
    if not file.is_code:
        return
    folder = file.path.split("/")[1] if file.path.startswith("src/") else ""
    allowed = allowed_includes(file.path)
    if allowed is not None and folder not in INCLUDES:
        yield Finding(file.path, 1, "include-direction",
                      f"folder src/{folder} has no row in tools/tidy.py")
    for match in INCLUDE.finditer(file.text):
        kind, name = match.groups()
        line = file.line_of(match.start())
        target = name.split("/")[0]
        if kind == '"' and allowed is not None and target not in allowed and "/" in name:
            if target in INCLUDES or target in ("bench", "test"):
                yield Finding(file.path, line, "include-direction",
                              f"{folder} may not include {target}: {folder} may use "
                              f"{', '.join(sorted(allowed))}")
        if kind == "<" and folder in IO_HEADERS and IO_HEADERS[folder].search(name):
            if not file.path.endswith("_test.cc"):
                yield Finding(file.path, line, "sans-io", f"<{name}>: {folder} does no I/O")


def check_statics(file):
    """No variable outlives a call and changes. Constants are fine."""
    if not file.path.startswith("src/") or not file.scan:
        return
    reason = "state that changes has an owner; pass it, or make it constexpr"
    for function in file.scan.functions:
        body = file.code[function.begin:function.end]
        for match in re.finditer(r"\bstatic\s+(?!constexpr\b|const\b|constinit\s+const\b)", body):
            yield Finding(file.path, file.line_of(function.begin + match.start()), "mutable-static",
                          f"a static local: {reason}")
    for statement in file.scan.statements:
        if "thread_local" in statement.text:  # has a rule of its own
            continue
        if tidy_scan.is_mutable_variable(statement.text):
            yield Finding(file.path, file.line_of(statement.begin), "mutable-static",
                          f"'{' '.join(statement.text.split())[:60]}': {reason}")


def check_lambdas(file):
    if not file.path.startswith("src/") or not file.scan:
        return
    for begin, end in tidy_scan.lambda_bodies(file.code):
        if re.search(r"\bco_(?:await|return|yield)\b", file.code[begin:end]):
            yield Finding(file.path, file.line_of(begin), "lambda-coroutine",
                          "captures are not in the frame; write a named function")


CHECKS = [check_bans, check_columns, check_length, check_top, check_includes, check_statics,
          check_lambdas]


def check_file(path, text):
    file = File(path, text)
    found = {finding for check in CHECKS for finding in check(file)}
    return sorted(finding for finding in found if not file.allows(finding.rule, finding.line))


def text_files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            if TEXT.search(path):
                yield path


def main(arguments):
    root = arguments[0] if arguments else os.path.join(os.path.dirname(__file__), "..")
    findings, count = [], 0
    for path in text_files(root):
        with open(os.path.join(root, path), encoding="utf-8") as stream:
            findings += check_file(path, stream.read())
        count += 1
    for finding in findings:
        print(finding)
    print(f"tidy: {count} files, {len(findings)} findings")
    return 1 if findings or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
