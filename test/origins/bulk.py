# SPDX-License-Identifier: Apache-2.0
"""An origin for bodies of any size: bulk.py FILE. GET answers with the file, framed as the path
says (/length, /chunked, /close); an upload is hashed and answered with "SIZE SHA256". Prints its
port, then one line per request and one per end of an answer."""

import hashlib
import os
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness.message import Stream, parse_head  # noqa: E402

PIECE = 1 << 20


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def send_file(sock, file, begin, end):
    while begin < end:
        begin += os.sendfile(sock.fileno(), file.fileno(), begin, min(end - begin, PIECE))


def download(sock, path, file, size):
    if path == "/chunked":
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, size, PIECE):
            end = min(at + PIECE, size)
            sock.sendall(b"%x\r\n" % (end - at), socket.MSG_MORE)
            send_file(sock, file, at, end)
            sock.sendall(b"\r\n", socket.MSG_MORE)
        sock.sendall(b"0\r\n\r\n")
        return True
    length = b"Content-Length: %d\r\n" % size if path != "/close" else b""
    sock.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
    send_file(sock, file, 0, size)
    return path != "/close"


def upload(stream, fields):
    digest, total = hashlib.sha256(), 0
    if "transfer-encoding" in fields:
        while size := int(stream.until(b"\r\n"), 16):
            for data in stream.pieces(size):
                digest.update(data)
            total += size
            stream.exactly(2)
        stream.until(b"\r\n")
    else:
        total = int(fields.get("content-length", "0"))
        for data in stream.pieces(total):
            digest.update(data)
    return f"{total} {digest.hexdigest()}".encode()


def serve(sock, name):
    stream = Stream(sock)
    with open(name, "rb") as file, sock:
        keep = True
        while keep:
            line, fields = parse_head(stream.until(b"\r\n\r\n"))
            method, path, _ = line.split(" ")
            say("request", method, path)
            if method == "GET":
                keep = download(sock, path, file, os.fstat(file.fileno()).st_size)
            else:
                if "100-continue" in fields.get("expect", "").lower():
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                answer = upload(stream, fields)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer)
                sock.sendall(head + answer)
            say("answered", method, path)


def connection(sock, name):
    try:
        serve(sock, name)
    except Exception as error:
        say("ended", type(error).__name__)


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    say("port", listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=connection, args=(sock, sys.argv[1]), daemon=True).start()


main()
