"""What an upgrade means on this machine: its runtime against the packages of this environment.

A runtime keeps the Ray and llmops that it was started with, whatever has been installed since; it
has written down which these are. One that has not is older than this, and is restarted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmops.policies import known_holes
from llmops.releases import Phase
from llmops.targets import Observer
from llmops.upgrading import (
    Upgrade,
    Versions,
    compare,
    histories,
    readable,
    versions_of,
    wished,
)
from serving.engines import check_arguments
from serving.local.machine import engine_version
from serving.runtime.versions import versions


def installed() -> Versions:
    """What is installed in this environment.

    Raises:
        InputError: When no engine is, or two are.
    """
    return replace(versions_of(versions()), engine=engine_version())


def compared(
    observer: Observer,
    host: Mapping[str, Any] | None,
    names: Sequence[str],
    wanted: Mapping[str, str],
) -> Upgrade:
    """What an upgrade of some services means.

    A restart of the runtime is one of every service on it, so then all of them are told of.

    Args:
        observer: This machine.
        host: The record of the runtime's host; None when none is up.
        names: The services; none is all of them.
        wanted: Versions that the user asks for, by part.
    """
    then, missing = wished(installed(), wanted)
    running = None if host is None else versions_of(host.get("versions", {}))
    restart = running is not None and (running.llmops, running.ray) != (then.llmops, then.ray)
    every = observer.store.services()
    chosen = every if restart or not names else tuple(names)
    return compare(
        running,
        then,
        histories(observer, chosen),
        serving=lambda service: _serves(observer, service),
        check=check_arguments,
        holes=known_holes(),
        formats=readable(observer, every),
        missing=tuple(f"{name} is not installed (pip install '{name}')" for name in missing),
    )


def _serves(observer: Observer, service: str) -> bool:
    live = observer.store.read(service)[0].live
    seen = observer.observe(service)
    return live is not None and any(
        one.number == live.number and one.phase is Phase.READY and one.share for one in seen
    )
