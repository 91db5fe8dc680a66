"""What an upgrade means in a namespace: the image that is to run against what serves now.

Each release brings its own runtime from its image, so another llmops, Ray or engine is another
image and a new release beside the old one: nothing is away meanwhile. Which engine arguments an
image's engine knows is found out by its pods, before they get traffic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clusters.image import Unreachable, read_labels
from llmops.errors import InputError, RefusedError
from llmops.policies import known_holes
from llmops.releases import Phase, Release
from llmops.targets import Observer
from llmops.upgrading import (
    Change,
    Upgrade,
    Versions,
    compare,
    histories,
    readable,
    versions_of,
    wished,
)


def image_versions(image: str) -> Versions:
    """What an image has, by its labels.

    Raises:
        RefusedError: When they cannot be read, or it has none.
    """
    found = read_labels(image)
    if isinstance(found, Unreachable):
        raise RefusedError(found.reason, hint=found.hint, path="image")
    if not found.version:
        raise RefusedError(
            f"{image} has no label llmops.version: `llmops image build` did not make it",
            hint="llmops image build makes one that fits",
        )
    return Versions(found.version, found.ray, found.engine)


def compared(
    observer: Observer,
    telling: Sequence[Mapping[str, object]],
    service: str,
    image: str,
    wanted: Mapping[str, str],
) -> Upgrade:
    """What an upgrade of a service to an image means.

    Args:
        observer: The namespace.
        telling: What each gateway of the service tells of its versions.
        service: Its name.
        image: The image; empty for the one that its live release has.
        wanted: Versions that the user asks for, by part.

    Raises:
        InputError: When nothing of the service serves.
        RefusedError: When the image's labels cannot be read.
    """
    live = observer.store.read(service)[0].live
    if live is None:
        raise InputError(f"{service} has no live release", hint=f"llmops status {service}")
    old, new = live.plan.image, image or live.plan.image
    then, missing = wished(image_versions(new), wanted)
    return compare(
        versions_of(telling[0]) if telling else None,
        then,
        histories(observer, [service]),
        serving=lambda _: _serves(observer, live),
        check=lambda _: None,
        holes=known_holes(),
        formats=readable(observer, [service]),
        one_runtime=False,
        also=(Change("image", old, new),) if old != new else (),
        missing=tuple(f"the image has no {name}" for name in missing),
    )


def _serves(observer: Observer, live: Release) -> bool:
    return any(
        seen.number == live.number and seen.phase is Phase.READY and seen.share
        for seen in observer.observe(live.service)
    )
