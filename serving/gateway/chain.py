"""Audit lines as a chain: each carries its number, the hash of the line before it, and its own.

Pure. A hash is SHA-256 over the very bytes of the line, and these hold the hash before: so a line
that was edited, taken out, put in or moved breaks the chain where it happened. What a chain cannot
show by itself is that its end, or its oldest file, was cut away: for that its last number and hash
and its first kept number stand in an anchor apart from it. Who may write all of the files and also
rule the gateway that runs can forge both: copy the anchor elsewhere to be safe from that too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

GENESIS = "0" * 64
"""The hash before the first line, where nothing stands before it."""

ANCHOR_BYTES = 256
"""Size of an anchor's file: it is written over in place, so it is never longer than before."""

NOTE = "chain"
"""Field of a line that says what a gateway found amiss when it went on with the chain."""

MOST_FAULTS = 100
"""Faults that are told one by one; a chain so broken is not trusted at all."""

_LINE = re.compile(rb'(?P<body>\{.+), "hash": "(?P<hash>[0-9a-f]{64})"\}', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Anchor:
    """How far a chain has come."""

    seq: int = 0
    """Number of its last line; 0 before the first."""
    hash: str = GENESIS
    """Hash of that line."""
    first: int = 1
    """Number of the first line that is kept: what was before was dropped with its whole file."""

    def dump(self) -> bytes:
        """The anchor's file."""
        text = json.dumps({"seq": self.seq, "hash": self.hash, "first": self.first})
        return text.ljust(ANCHOR_BYTES - 1).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> Anchor:
        """The anchor that a file holds.

        Raises:
            ValueError: When it holds none.
        """
        try:
            document = json.loads(content)
            found = cls(int(document["seq"]), str(document["hash"]), int(document["first"]))
        except (KeyError, TypeError) as error:
            raise ValueError("it holds no anchor") from error
        if len(found.hash) != len(GENESIS) or min(found.seq, found.first - 1) < 0:
            raise ValueError("it holds no anchor")
        return found


@dataclass(frozen=True, slots=True)
class Link:
    """One line of a chain, read back."""

    seq: int
    prev: str
    hash: str
    whole: bool
    """Whether its hash is that of its bytes."""
    fields: Mapping[str, Any] = field(repr=False)


def forge(fields: Mapping[str, Any], after: Anchor) -> tuple[bytes, Anchor]:
    """The next line of a chain without its end of line, and how far the chain has come with it."""
    seq = after.seq + 1
    body = json.dumps({**fields, "seq": seq, "prev": after.hash})[:-1]
    digest = _digest(body.encode())
    return f'{body}, "hash": "{digest}"}}'.encode(), Anchor(seq, digest, after.first)


def read_link(line: bytes) -> Link | None:
    """The link that a line is; None when it is none at all."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        fields = json.loads(line)
        seq, prev = fields["seq"], fields["prev"]
    except (ValueError, KeyError, RecursionError):
        return None
    if type(seq) is not int or not isinstance(prev, str):
        return None
    digest = match["hash"].decode()
    return Link(seq, prev, digest, _digest(match["body"]) == digest, fields)


class Older:
    """What stands in a file before the chain's first line, which names its hash."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._any = False

    def add(self, line: bytes) -> None:
        """Take a line, without its end."""
        self._hash.update(line + b"\n")
        self._any = True

    def digest(self) -> str:
        """The hash before the first line, where nothing stands before it."""
        return self._hash.hexdigest() if self._any else GENESIS


def _digest(body: bytes) -> str:
    return hashlib.sha256(body + b"}").hexdigest()


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a chain is broken. `line` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}"


@dataclass(slots=True)
class Report:
    """What was found of one chain."""

    verified: int = 0
    """Lines that follow one another unbroken."""
    first: int = 0
    """Number of the first line that is there; 0 without lines."""
    last: int = 0
    lost: int = 0
    """Lines that could not be written, as the lines after them say."""
    older: int = 0
    """Lines from before there was a chain: nothing can be said of these."""
    faults: list[Fault] = field(default_factory=list)


class Verifier:
    """Follows one chain, line by line, through its files from the oldest to the newest."""

    def __init__(self, anchor: Anchor | None, told: Anchor | None = None) -> None:
        """Begin.

        Args:
            anchor: What the anchor's file holds; None without one.
            told: How far the chain has come as a gateway that runs tells it: whoever cuts the
                files and the anchor has not changed that.
        """
        self._anchor = anchor
        self._told = told
        known = [known for known in (anchor, told) if known is not None and known.seq]
        self._known = {known.seq: known.hash for known in known}
        self._kept = (anchor or told or Anchor()).first
        self._before: Link | None = None
        self._older = Older()
        """Of the last file that has such lines."""
        self.report = Report()

    def follow(self, file: str, lines: Iterable[bytes]) -> None:
        """Take the lines of the next file, without their ends."""
        older = Older()
        begins = {GENESIS, self._older.digest()}  # a file may have been turned over in between
        for number, line in enumerate(lines, start=1):
            link = read_link(line)
            if link is None and self._before is None:
                older.add(line)
                self._older = older
                self.report.older += 1
                continue
            if self._older is older:
                begins = {older.digest()}
            faults = list(self._faults(link, begins))
            for message in faults:
                self._fault(file, number, message)
            if link is not None:
                self._take(link, sound=not faults)

    def _take(self, link: Link, *, sound: bool) -> None:
        """Go on from a line, unless it stands where it cannot have been written."""
        before = self._before
        if before is not None:
            expected = before.seq + 1
            if link.seq < expected or (link.seq > expected and not link.whole):
                return
        self._before = link
        self.report.first = self.report.first or link.seq
        self.report.last = link.seq
        self.report.verified += sound
        lost = link.fields.get("lost")
        self.report.lost += lost if sound and isinstance(lost, int) else 0

    def _faults(self, link: Link | None, begins: set[str]) -> Iterator[str]:
        if link is None:
            yield "this is no line of the chain: it was put in, or edited"
            return
        if not link.whole:
            yield f"line {link.seq} of the chain was edited: its hash is not that of its text"
            return
        if self._before is None:
            yield from self._of_first(link, begins)
        else:
            yield from _between(self._before, link)
        if self._known.get(link.seq, link.hash) != link.hash:
            yield f"line {link.seq} was replaced: the anchor names another hash for it"
        if NOTE in link.fields:
            yield f"the gateway that wrote this line found {link.fields[NOTE]}"

    def _of_first(self, link: Link, begins: set[str]) -> Iterator[str]:
        if link.seq > self._kept:
            yield f"{_lines(self._kept, link.seq - 1)} missing before this one"
        elif link.seq == 1 and self.report.older and link.prev not in begins:
            yield "what stands before the chain's first line was edited, put in or taken out"
        elif link.seq > 1 and self.report.older:
            yield f"the {self.report.older} lines before this one were put in, or edited"

    def end(self, file: str) -> Report:
        """The report, after the last file; `file` is where the end should be."""
        last, anchor = self.report.last, self._anchor
        newest = max((known for known in self._known), default=0)
        if newest > last:
            first = max(last + 1, self._kept)
            self._fault(file, 0, f"{_lines(first, newest)} missing at the end")
        if anchor is None and last:
            self._fault(file, 0, "it has no anchor, by which a cut end would be found")
        elif anchor is not None and last > anchor.seq + 1:
            self._fault(file, 0, f"{_lines(anchor.seq + 1, last)} not known to the anchor: put in")
        return self.report

    def _fault(self, file: str, line: int, message: str) -> None:
        if len(self.report.faults) < MOST_FAULTS:
            self.report.faults.append(Fault(file, line, message))


def _between(before: Link, link: Link) -> Iterator[str]:
    if link.seq <= before.seq:
        yield f"line {link.seq} of the chain comes after line {before.seq}: put in, or moved"
    elif link.seq > before.seq + 1:
        yield f"{_lines(before.seq + 1, link.seq - 1)} missing before this one"
    elif link.prev != before.hash:
        yield f"line {link.seq} does not follow the line before it: one of them was replaced"


def _lines(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"
