"""Where each object lies in the store: names only."""

from __future__ import annotations

LEASE = "agent/lease.json"
SEEN = "agent/seen.json"
CLUSTER = "agent/cluster.json"
NODES = "nodes/"
KEYS = "keys.json"
POLICIES = "policies.json"
LEAVING = "leaving.json"
BELL = "bell.json"

DIGITS = 8
"""Of a number in a name, so that names are in the order of their numbers."""


def node(name: str) -> str:
    """A machine that serves as a worker."""
    return f"{NODES}{name}.json"


def history(service: str) -> str:
    """Its release record."""
    return f"services/{service}/history.json"


def status(service: str) -> str:
    """Its last status."""
    return f"services/{service}/status.json"


def of_order(kind: str, service: str, number: int) -> str:
    """An object about an order: `kind` is `orders`, `accepted`, `cancels` or `outcomes`."""
    return f"{kind}/{service}/{number:0{DIGITS}d}.json"


def events(service: str, number: int) -> str:
    """What the names of an order's events begin with."""
    return f"events/{service}/{number:0{DIGITS}d}/"


def event(service: str, number: int, piece: int) -> str:
    """A piece of an order's events."""
    return f"{events(service, number)}{piece:0{DIGITS}d}.json"


def question(identifier: str) -> str:
    """A question of a command."""
    return f"questions/{identifier}.json"


def answer(identifier: str) -> str:
    """The answer to it."""
    return f"answers/{identifier}.json"


def number_of(name: str) -> int:
    """The number that a name ends in.

    Raises:
        ValueError: When it ends in none.
    """
    return int(name.rpartition("/")[2].removesuffix(".json"))


def service_of(name: str) -> str:
    """The service that a name is about."""
    return name.split("/")[1]
