"""A network of the tests' own: `python -m tests.kubernetes.namespace -- COMMAND…`.

The command sees one interface, loopback. The pods' and the services' networks lie on it too, so
that the address of a pod that does not exist is an address of this namespace: what is sent there
is refused here, and no packet can leave. A test may bind a pod's address and answer for it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path
from typing import NoReturn

PODS, SERVICES = "10.244.0.0/16", "10.0.0.0/24"
ADDRESSES = [
    ("lo", "127.0.0.1", "255.0.0.0"),
    ("lo:1", "10.244.0.1", "255.255.0.0"),
    ("lo:2", "10.0.0.1", "255.255.255.0"),
]

NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000  # <sched.h>: CLONE_NEWNET, CLONE_NEWUSER
SET_ADDRESS, SET_MASK = 0x8916, 0x891C  # <linux/sockios.h>
GET_FLAGS, SET_FLAGS = 0x8913, 0x8914
UP = 1


def is_own() -> bool:
    """Whether this process can reach nothing but itself."""
    return [name for _, name in socket.if_nameindex()] == ["lo"] and _has(ADDRESSES[1][1])


def _has(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def enter() -> None:
    """Move this process into a new network, with loopback up. Raises OSError."""
    user, group = os.getuid(), os.getgid()
    try:
        _unshare(NEW_NETWORK)
    except PermissionError:
        _unshare(NEW_NETWORK | NEW_USER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    for interface, address, mask in ADDRESSES:
        _bring_up(interface, address, mask)


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"no network namespace of our own: {os.strerror(code)}")


def _bring_up(interface: str, address: str, mask: str) -> None:
    name = interface.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((SET_ADDRESS, address), (SET_MASK, mask)):
            packed = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, packed)
        answer = fcntl.ioctl(control, GET_FLAGS, struct.pack("16sh22x", name, 0))
        (flags,) = struct.unpack("16xh22x", answer)
        fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh22x", name, flags | UP))


def main(arguments: list[str]) -> NoReturn:
    """Become the command, inside; exit with 2 when there is none, or no namespace to be had."""
    if len(arguments) < 2 or arguments[0] != "--":
        print("usage: python -m tests.kubernetes.namespace -- COMMAND…", file=sys.stderr)
        sys.exit(2)
    try:
        enter()
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.errno in (errno.EPERM, errno.ENOSPC, errno.EINVAL):
            print("hint: run as root, or allow user namespaces on this machine", file=sys.stderr)
        sys.exit(2)
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
