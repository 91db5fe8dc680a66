"""Sentences about orders and agents, for people."""

from __future__ import annotations

import time

from serving.agent.words import DOING, Lease, Order


def told(order: Order) -> str:
    """Which order it is, such as "chat is being deployed by anna@laptop since 10:02:00"."""
    since = time.strftime("%H:%M:%S", time.localtime(order.at))
    return f"{order.service} is being {DOING[order.verb]}, as {order.by} asked at {since}"


def seconds(value: float) -> str:
    """A time for people: `8 s`, `3 min`, `5 h`, `2 days`."""
    for size, word in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {word}"
    return f"{max(0.0, value):.0f} s"


def who(lease: Lease) -> str:
    """The agent by its place."""
    return f"the agent on {lease.host} (pid {lease.pid})"
