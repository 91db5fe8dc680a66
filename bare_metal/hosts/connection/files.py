"""Many files in one command: how they are asked for, and how the answer is taken apart. Pure.

`head -v` is one process for all of them, names each, and is on every Linux. Only files that the
kernel or the system keeps are read so: a file that held such a name as a line of its own would be
taken for two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bare_metal.hosts.connection.answers import Files, Ran

MOST_BYTES = 262_144
"""Bytes that are read of one file."""

SCRIPT = f"""\
IFS=
tab=$(printf '\\t')
found=$(for pattern in "$@"; do for file in $pattern; do
  if [ -f "$file" ]; then printf '%s\\t' "$file"; fi
done; done)
if [ -z "$found" ]; then exit 0; fi
IFS=$tab
set -f
exec head -v -c {MOST_BYTES} -- $found
"""

_HEAD = re.compile(r"^==> (/\S+) <==\n", re.MULTILINE)
_UNREAD = re.compile(r"(?:cannot open|error reading) '(/[^']+)'")


def reading(patterns: Sequence[str]) -> tuple[str, ...]:
    """The command that prints all files which patterns stand for."""
    return ("sh", "-c", SCRIPT, "sh", *patterns)


def taken_apart(ran: Ran) -> Files:
    """Each file's text out of what the command printed."""
    if ran.code is None:
        return Files({}, failed=ran.err or "the answer did not come in time")
    before, *pieces = _HEAD.split(ran.out)
    unread = tuple(_UNREAD.findall(ran.err))
    if before or (ran.code and not unread):
        return Files({}, failed=ran.err.strip()[:200] or "the answer was no list of files")
    paths, texts = pieces[::2], pieces[1::2]
    if any(".." in path.split("/") for path in paths):
        return Files({}, failed="the answer names files that were not asked for")
    # An empty line stands before each name but the first.
    texts[:-1] = [text.removesuffix("\n") for text in texts[:-1]]
    named = dict(zip(paths, texts, strict=True))
    return Files({path: text for path, text in named.items() if path not in unread}, unread)
