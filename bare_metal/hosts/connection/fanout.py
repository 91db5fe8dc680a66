"""The same to many hosts at once: so many at a time, each in its own time, and none forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bare_metal.hosts.connection.answers import HostGoneError, Unreachable
from bare_metal.inventory import Placed

T = TypeVar("T")

MOST_AT_ONCE = 16
"""Hosts that are worked on at once. Many sessions at once through one machine get lost: 25 of 64
were, where sshd's MaxStartups was left as it is."""


async def over(
    hosts: Sequence[Placed],
    act: Callable[[Placed], Awaitable[T]],
    *,
    seconds: float,
    most: int = MOST_AT_ONCE,
    told: Callable[[Placed, T | Unreachable], None] | None = None,
) -> dict[str, T | Unreachable]:
    """Do something on every host.

    Args:
        hosts: The hosts.
        act: What to do on one.
        seconds: How long one host may take in all.
        most: Hosts at once.
        told: Called for each host as soon as it is through.

    Returns:
        An entry for each host, in their order.
    """
    room = asyncio.Semaphore(most)

    async def one(host: Placed) -> T | Unreachable:
        async with room:
            try:
                async with asyncio.timeout(seconds):
                    found: T | Unreachable = await act(host)
            except TimeoutError:
                found = Unreachable(f"it did not come to an end within {seconds:g} s")
            except HostGoneError as gone:
                found = Unreachable(gone.reason, gone.hint)
        if told is not None:
            told(host, found)
        return found

    found = await asyncio.gather(*(one(host) for host in hosts))
    return dict(zip((host.name for host in hosts), found, strict=True))
