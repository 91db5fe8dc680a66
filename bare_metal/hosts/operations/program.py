"""llmops itself on a host: its wheel and lock in an environment of their own, by digest. Pure.

An environment is made beside the one in use, and the link `current` moves to it when it is whole.
So a cut at any moment leaves the old one in use, and the next run makes the new one anew. Packages
come from the index that the host itself is set to, each by its hash; no other is ever named here.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations.model import Change, Desired, Kept, Said, known, write

HOME = "/opt/llmops"
CURRENT = f"{HOME}/current"
COMPLETE = f"{CURRENT}/complete"
INSTALL_SECONDS = 3600.0
"""Engines are some GB."""

_MOVE = """\
set -eu
ln -sfn "$1" "$2.llmops-new"
mv -T -f "$2.llmops-new" "$2"
"""
_PIP = ("-m", "pip", "--no-input", "--disable-pip-version-check", "install", "--quiet")


def program(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """llmops itself."""
    payload = want.program
    if payload is None:
        return
    digest = payload.digest
    if known(facts.ours, "files of llmops").get(COMPLETE) == f"{digest}\n":
        yield Kept(f"{payload.wheel_name} is installed, with its packages ({digest})")
        return
    place = f"{HOME}/{digest}"
    python, lock, wheel = (
        f"{place}/{n}" for n in ("venv/bin/python", "lock.txt", payload.wheel_name)
    )
    yield write(wheel, payload.wheel, f"copy {payload.wheel_name} ({len(payload.wheel):,} bytes)")
    yield write(lock, payload.lock, "copy the list of its packages")
    yield Change(f"make {place}/venv", ("python3", "-m", "venv", "--clear", f"{place}/venv"))
    yield Change(
        "install its packages, each by its hash",
        (python, *_PIP, "--require-hashes", "--requirement", lock), seconds=INSTALL_SECONDS,
    )  # fmt: skip
    yield Change("install llmops", (python, *_PIP, "--no-deps", "--no-index", wheel), seconds=300)
    yield write(f"{place}/complete", f"{digest}\n", "note that it is whole")
    yield Change(f"use it: {CURRENT}", ("sh", "-c", _MOVE, "move", digest, CURRENT))
