"""Named entries as one tar file, and back: the same entries give the same bytes.

Any tool reads such a file. `SHA256SUMS`, its last member, names the digest of every other one, so
`sha256sum -c` checks it without llmops. Reading accepts only what writing makes, byte for byte: no
padding, date, owner or second copy of a member can differ unseen. Nothing is written to a disk.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping

SUMS = "SHA256SUMS"

MOST_BYTES = 1 << 30
"""Of a whole file. State is small; what is larger is no backup, and must not fill memory."""


class Damaged(Exception):
    """The bytes are not what was written; the message says where."""


def write(entries: Mapping[str, bytes]) -> bytes:
    """The file of these entries, in their order.

    Args:
        entries: Contents by name; `SHA256SUMS` is added.
    """
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in [*entries.items(), (SUMS, _sums(entries))]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return output.getvalue()


def _sums(entries: Mapping[str, bytes]) -> bytes:
    lines = (
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in entries.items()
    )
    return "".join(lines).encode()


def read(content: bytes) -> dict[str, bytes]:
    """The entries of a file, in their order.

    Raises:
        Damaged: When a byte of it is not as it was written.
    """
    found = dict(_members(content))
    sums = found.pop(SUMS, b"")
    if sums != _sums(found):
        raise Damaged(_where(sums, found))
    if write(found) != content:
        raise Damaged("bytes between its parts are not as they were written")
    return found


def first(content: bytes) -> tuple[str, bytes] | None:
    """Name and content of the first member, unchecked; None when there is none."""
    try:
        return next(iter(_members(content)), None)
    except Damaged:
        return None


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    if len(content) > MOST_BYTES:
        raise Damaged(f"it has {len(content)} bytes, more than any backup")
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                # A sparse member, or one with a size of its own making, could fill memory.
                plain = member.type == tarfile.REGTYPE and not member.issparse()
                taken = tar.extractfile(member) if plain and member.size <= len(content) else None
                if taken is None:
                    raise Damaged("it holds something that is not a file")
                yield member.name, taken.read()
    # A damaged header can make any of its numbers wrong: tarfile raises more than its own errors.
    except (tarfile.TarError, ValueError, OverflowError, OSError, EOFError) as error:
        raise Damaged("it is cut off, or no archive") from error


def _where(sums: bytes, found: Mapping[str, bytes]) -> str:
    """Which part differs from what the sums say."""
    if not sums:
        return "it is cut off: its list of digests is missing"
    told = dict(_told(sums.decode("utf-8", "replace").splitlines()))
    for name, content in found.items():
        if told.get(name) != hashlib.sha256(content).hexdigest():
            return f"{name} is not what its digest says"
    return "its list of digests names other parts than it has"


def _told(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        digest, _, name = line.partition("  ")
        yield name, digest
