"""The objects that the figures of the target `kubernetes` are taken with: many small services.

They are what llmops makes of a plan, with nothing optional on. Secrets are not among them, as they
are not in what `llmops render` writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from clusters.desired import Desired, with_active, with_all_traffic, with_release
from clusters.model import Manifest
from clusters.rendering import objects
from tests.clusters.builders import make_release

API_SERVER = ("192.0.2.1",)


def desired(service: str) -> Desired:
    """One release of a service, with all traffic."""
    staged = with_release(Desired(service, (), ""), make_release(service))
    return with_active(with_all_traffic(staged, 1), staged.runtimes[0].id)


def trees(count: int, namespace: str) -> Iterator[tuple[Manifest, ...]]:
    """Objects of as many services as make `count` of them; the last service is cut short."""
    made, number = 0, 0
    while made < count:
        found = objects(desired(f"svc-{number}"), namespace, API_SERVER)[: count - made]
        made, number = made + len(found), number + 1
        yield found
