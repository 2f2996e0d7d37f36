# SPDX-License-Identifier: Apache-2.0
"""Hundreds or thousands of clients in one thread, each doing little."""

import errno
import select
import socket
import time


class Member:
    """One connection. `end` is None while open, then "eof" or "reset"."""

    def __init__(self, target, receive_buffer):
        self.sock = socket.socket()
        if receive_buffer:  # must be known before the handshake
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(target)
        self.sock.setblocking(False)
        self.received = bytearray()
        self.sent = 0
        self.end = None

    def send(self, data):
        """Sends what goes at once; the number of bytes."""
        try:
            done = self.sock.send(data)
        except BlockingIOError:
            return 0
        except ConnectionError:
            self.end = self.end or "reset"
            return 0
        self.sent += done
        return done

    def read(self, size=65536):
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return
        except OSError as error:
            self.end = self.end or ("reset" if error.errno != errno.ETIMEDOUT else "silence")
            return
        self.received += data
        if not data:
            self.end = "eof"
            self.sock.close()


class Crowd:
    def __init__(self, port, count, receive_buffer=None):
        self.members = []
        for _ in range(count):
            self.members.append(Member(("127.0.0.1", port), receive_buffer))

    def send(self, data):
        for member in self.members:
            member.send(data)
        return self

    def rounds(self, act, every, until, within=20.0, reading=True):
        """act(member) for each open member, once in `every` seconds; between the rounds what
        arrives is read, or else only ends are noticed. Ends when until() is true."""
        deadline = time.monotonic() + within
        while not until():
            assert time.monotonic() < deadline, f"not within {within} s: {self.summary()}"
            for member in self.members:
                if member.end is None:
                    act(member)
            self.read_for(every, select.POLLIN if reading else 0)

    def drip(self, data, every, until, within=20.0):
        """Everybody sends `data`, byte by byte."""
        self.rounds(lambda member: member.send(data[member.sent:member.sent + 1]), every, until,
                    within)

    def read_for(self, seconds, events=select.POLLIN):
        """Reads what arrives meanwhile; without POLLIN only what is left when the peer is gone."""
        until = time.monotonic() + seconds
        poller = select.poll()
        by_number = {}
        for member in self.members:
            if member.end is None:
                by_number[member.sock.fileno()] = member
                poller.register(member.sock, events)
        while (left := until - time.monotonic()) > 0:
            for number, _ in poller.poll(left * 1000):
                member = by_number[number]
                member.read()
                if member.end or not events:
                    poller.unregister(number)

    def read_to_ends(self, within=20.0):
        """Waits until every member's connection has ended."""
        self.rounds(lambda member: None, 0.05, lambda: not self.open(), within)
        return self

    def open(self):
        return [member for member in self.members if member.end is None]

    def summary(self):
        ends = [member.end for member in self.members]
        sizes = sorted(len(member.received) for member in self.members)
        return {"open": ends.count(None), "eof": ends.count("eof"), "reset": ends.count("reset"),
                "received": (sizes[0], sizes[-1])}

    def end(self):
        for member in self.members:
            member.sock.close()
