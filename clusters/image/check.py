"""What is in an image, read from its registry without pulling it: a few KiB instead of many GiB."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusters.image.credentials import Found, find_credentials
from clusters.image.labels import Labels, labels_of
from clusters.image.reference import DIGEST, Reference, parse_reference
from clusters.image.registry import Registry, RegistryError

SECONDS = 10.0
"""For all that is asked for one image, in seconds."""

_DEPTH = 2
"""An index may hold an index of platforms; more is a circle."""
_REFUSED = (401, 403)
_ABSENT = 404


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why the labels could not be read. Nothing is known of the image then, good or bad."""

    reason: str
    hint: str
    absent: bool = False
    """Whether the registry answered, and has no such image."""


def read_labels(
    reference: str, *, architecture: str = "amd64", seconds: float = SECONDS
) -> Labels | Unreachable:
    """The labels of an image.

    Args:
        reference: Name of the image.
        architecture: Whose variant is read where there are several, in Go's words.
        seconds: When to give up.

    Raises:
        InputError: When `reference` is not the name of an image.
    """
    image = parse_reference(reference)
    found = find_credentials(image, os.environ, Path.home())
    answers: queue.Queue[Labels | Unreachable | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(_read(image, found, architecture, seconds))
        except Exception as error:  # noqa: BLE001 - it is raised again, in the caller's thread
            answers.put(error)

    # A thread of its own, because looking up a name knows no time limit.
    threading.Thread(target=ask, daemon=True, name="registry").start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        return Unreachable(f"{image.registry} did not answer within {seconds:g} s", _hint(0, found))
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(
    image: Reference, found: Found, architecture: str, seconds: float
) -> Labels | Unreachable:
    registry = Registry(image, found.credentials, time.monotonic() + seconds)
    try:
        manifest, digest = registry.manifest(image.wanted)
        config = registry.blob(_config(_variant(registry, manifest, architecture)))
    except RegistryError as error:
        absent = error.status == _ABSENT
        return Unreachable(f"{image}: {error}", _hint(error.status, found), absent)
    finally:
        registry.close()
    return labels_of(_labels(config), digest)


def _variant(registry: Registry, manifest: dict[str, Any], architecture: str) -> dict[str, Any]:
    """The manifest of one platform: itself, or one of those that an index lists."""
    for _ in range(_DEPTH):
        if "manifests" not in manifest:
            return manifest
        manifest, _digest = registry.manifest(_chosen(manifest["manifests"], architecture))
    if "manifests" in manifest:
        raise RegistryError("the image is an index of indexes without an end")
    return manifest


def _chosen(entries: Any, architecture: str) -> str:
    found = [entry for entry in _objects(entries) if _digest_in(entry)]
    for entry in found:
        platform = entry.get("platform")
        if isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == (
            "linux",
            architecture,
        ):
            return _digest_in(entry)
    bare = [entry for entry in found if "platform" not in entry]
    if not bare:
        raise RegistryError(f"the image has no variant for linux/{architecture}")
    return _digest_in(bare[0])


def _objects(entries: Any) -> Iterable[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)] if _is_list(entries) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _digest_in(entry: dict[str, Any]) -> str:
    found = entry.get("digest")
    return found if isinstance(found, str) and DIGEST.fullmatch(found) else ""


def _config(manifest: dict[str, Any]) -> str:
    config = manifest.get("config")
    digest = _digest_in(config) if isinstance(config, dict) else ""
    if not digest:
        raise RegistryError("the manifest names no configuration: it is not an image")
    return digest


def _labels(config: dict[str, Any]) -> dict[str, str]:
    inner = config.get("config")
    found = inner.get("Labels") if isinstance(inner, dict) else None
    if not isinstance(found, dict):
        return {}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def _hint(status: int, found: Found) -> str:
    if status in _REFUSED and found.helper:
        return (
            f"the credentials are with the helper '{found.helper}', which is not run here:"
            " buildah login --authfile FILE REGISTRY, and REGISTRY_AUTH_FILE=FILE"
        )
    if status in _REFUSED:
        return "log in: buildah login REGISTRY (or podman, docker); or look at its permissions"
    if status == _ABSENT:
        return "look at its name and digest; it must be pushed"
    return "look at the registry's name, and whether it can be reached from here"
