# SPDX-License-Identifier: Apache-2.0
"""Network and mount namespaces of a test's own, made without leaving anything behind: they live as
long as the test's process. Where they cannot be made (a container without the rights), the callers
say what they do instead."""

import contextlib
import ctypes
import os

from .process import run

NEWNS, NEWNET = 0x00020000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags):
    """True when this thread, and those that it starts from now on, are in new namespaces."""
    return _libc.unshare(flags) == 0


def ip(*words):
    done = run("ip", *words)
    assert done.returncode == 0, f"ip {words}: {done.stderr.decode()}"


def own_network(**settings):
    """Puts the test into a network of its own, with a loopback and these sysctls of net.ipv4. To be
    called before anything is started. False where that is not allowed."""
    if not _unshare(NEWNET):
        return False
    ip("link", "set", "lo", "up")
    for name, value in settings.items():
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write(value)
    return True


def own_mounts():
    """Lets the test mount what nobody else sees. False where that is not allowed."""
    if not _unshare(NEWNS):
        return False
    return run("mount", "--make-rprivate", "/").returncode == 0


class FarNetwork:
    """A second network behind a cable: this side is 10.1.0.1, the other 10.1.0.2. `with far:` makes
    sockets there. Call own_network() first."""

    NEAR, FAR = "10.1.0.1", "10.1.0.2"

    def __init__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        assert _unshare(NEWNET), "a second network"
        self.away = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._enter(self.home)
        ip("link", "add", "near", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name",
           "far", "address", "02:00:00:00:00:02", "netns", f"/proc/{os.getpid()}/fd/{self.away}")
        self._side("near", self.NEAR, self.FAR, "02:00:00:00:00:02")
        with self:
            ip("link", "set", "lo", "up")
            self._side("far", self.FAR, self.NEAR, "02:00:00:00:00:01")

    @staticmethod
    def _side(device, own, other, address):
        # Neighbours that are known for ever: a cable that is cut swallows packets and says nothing.
        ip("address", "add", f"{own}/24", "dev", device)
        ip("link", "set", device, "up")
        ip("neighbour", "replace", other, "lladdr", address, "dev", device, "nud", "permanent")

    @staticmethod
    def _enter(descriptor):
        assert _libc.setns(descriptor, 0) == 0, os.strerror(ctypes.get_errno())

    def __enter__(self):
        self._enter(self.away)
        return self

    def __exit__(self, *_):
        self._enter(self.home)

    def cut(self):
        """From now on nothing arrives on either side, and nobody is told."""
        with self:
            ip("link", "set", "far", "down")

    def mend(self):
        with self:
            ip("link", "set", "far", "up")
            ip("neighbour", "replace", self.NEAR, "lladdr", "02:00:00:00:00:01", "dev", "far",
               "nud", "permanent")

    def end(self):
        for descriptor in (self.home, self.away):
            with contextlib.suppress(OSError):
                os.close(descriptor)
