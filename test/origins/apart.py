# SPDX-License-Identifier: Apache-2.0
"""The scripted origin in a process of its own, which can be stopped, killed or put into another
network: apart.py ADDRESS BACKLOG PORT. Prints its port, then a line for each request."""

import hashlib
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness.message import chunk  # noqa: E402
from origins import scripts  # noqa: E402
from origins.origin import Origin  # noqa: E402

BLOCK = hashlib.shake_256(b"apart").digest(65536)
BLOCKS = 256


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def download(x):
    """16 MiB in chunks."""
    x.body()
    x.send(scripts.head(200, "Transfer-Encoding: chunked"))
    for _ in range(BLOCKS):
        x.send(chunk(BLOCK))
    x.send(b"0\r\n\r\n")


def upload(x):
    data = x.body()
    scripts.text(f"{len(data)} {hashlib.sha256(data).hexdigest()}")(x)


SCRIPTS = {"/download": download, "/endless": scripts.endless, "/upload": upload,
           "/tunnel": scripts.upgrade("echo/1"), "/never": scripts.until_gone}


def announced(script):
    def act(x):
        say("request", x.request.path)
        script(x)
    return act


def main():
    origin = Origin(sys.argv[1], script=announced(scripts.text("apart\n")), name="apart",
                    port=int(sys.argv[3]))
    origin.listener.listen(int(sys.argv[2]))
    for path, script in SCRIPTS.items():
        origin.on(path, announced(script))
    say("port", origin.port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
