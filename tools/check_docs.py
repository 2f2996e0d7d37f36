#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the documentation to what is there: tools/check_docs.py FOLDER [WEIR]

Every relative link of a Markdown file leads to a file, and to a heading in it; every block of TOML
is a good configuration for WEIR, given the frame that it is a piece of. In the threat model every
promise names a test, and each test that is named (`path:Name`) is there.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

FILES = ("*.md", "docs/**/*.md", "test/**/*.md", "bench/*.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TEST = re.compile(r"`((?:src|test)/[\w./]+)(?::(\w+))?`")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def anchor(heading):
    """As GitHub makes it."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


def anchors(path):
    text = BLOCK.sub("", path.read_text())
    return {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


def broken_links(path, root):
    for target in LINK.findall(BLOCK.sub("", path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, part = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or not file.is_relative_to(root):
            yield f"{target}: there is no such file"
        elif part and part not in anchors(file):
            yield f"{target}: there is no such heading"


def framed(block):
    """The piece of a configuration, and what it leaves out."""
    text = block
    for name in sorted(set(re.findall(r'upstream = "(\w+)"', block))):
        if not re.search(rf"^\[?upstream\.{name}\b", block, re.M):
            text += f'\n[upstream.{name}]\nservers = ["127.0.0.1:3000"]\n'
    if not re.search(r"^listen\b|^\[\[listen", block, re.M):
        text += '\n[[listen]]\naddress = ":8080"\n'
    if not re.search(r"^route\b|^\[\[route", block, re.M):
        text += "\n[[route]]\nrespond = 404\n"
    return text


def certified(block, folder):
    """The block with a certificate that is there in place of each that it names."""
    if not re.search(r"\bcert = ", block):
        return block
    both, key = pathlib.Path(folder) / "example.pem", pathlib.Path(folder) / "example.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", both, "-days",
                    "30", "-subj", "/CN=example.com", "-addext",
                    "subjectAltName=DNS:example.com"], capture_output=True, check=True)
    block = re.sub(r'\b(cert|client_ca|ca) = "[^"]*"', rf'\1 = "{both}"', block)
    block = re.sub(r'\bclient_crl = "[^"]*"\n', "", block)
    return re.sub(r'\bkey = "[^"]*"', f'key = "{key}"', block)


def bad_blocks(path, weir):
    for language, block in BLOCK.findall(path.read_text()):
        if language != "toml":
            continue
        with tempfile.TemporaryDirectory() as folder, \
                tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(certified(framed(block), folder))
            file.flush()
            run = subprocess.run([weir, "check", file.name], capture_output=True, text=True,
                                 check=False)
        if run.returncode != 0:
            yield f"a block is no good configuration:\n{block}{run.stderr}"


def unheld_promises(path, root):
    """Of tables whose last column is "Held by"."""
    holds = False
    for line in path.read_text().splitlines():
        if not line.startswith("|"):
            holds = False
        elif line.endswith("| Held by |"):
            holds = True
        elif holds and not line.startswith("|---"):
            tests = TEST.findall(line)
            if not tests:
                yield f"no test holds: {line}"
            for file, name in tests:
                there = root / file
                if not there.exists():
                    yield f"{file}: there is no such test"
                elif name and name not in there.read_text():
                    yield f"{file}: nothing there is called {name}"


def main(root, weir=None):
    root = pathlib.Path(root).resolve()
    files = sorted({file for pattern in FILES for file in root.glob(pattern)})
    problems = []
    for file in files:
        found = list(broken_links(file, root)) + (list(bad_blocks(file, weir)) if weir else [])
        found += list(unheld_promises(file, root))
        problems += [f"{file.relative_to(root)}: {problem}" for problem in found]
    print("\n".join(problems + [f"{len(files)} files, {len(problems)} problems"]))
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
