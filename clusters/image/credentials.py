"""Credentials for a registry from the files that `podman login` and `docker login` write.

Only reads. Credential helpers are programs that those files name, and are not run: a look at an
image's labels starts nothing. A password is in no message and in no `repr`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clusters.image.reference import HUB, Reference

HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io")
"""What docker calls the Docker Hub in its file."""
_MOST = 2**20


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and password of one registry."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What the files say of a registry."""

    credentials: Credentials | None
    helper: str = ""
    """Name of the credential helper that would know more; empty when none is named."""


def find_credentials(reference: Reference, environment: Mapping[str, str], home: Path) -> Found:
    """The credentials for an image, the most exact entry of the first file that has one.

    A file that cannot be read counts as absent: its content is never shown.
    """
    helper = ""
    for path in _files(environment, home):
        document = _document(path)
        for key in _keys(reference):
            entry = _table(document, "auths").get(key)
            if (credentials := _decoded(entry)) is not None:
                return Found(credentials)
        helper = helper or _helper(document, reference)
    return Found(None, helper)


def _files(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    if file := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
        return
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    config = environment.get("XDG_CONFIG_HOME")
    yield (Path(config) if config else home / ".config") / "containers" / "auth.json"
    docker = environment.get("DOCKER_CONFIG")
    yield (Path(docker) if docker else home / ".docker") / "config.json"


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _table(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _keys(reference: Reference) -> Iterator[str]:
    """Names that an entry may have: the repository, its folders from within, the registry."""
    parts = reference.name.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
    yield from (f"https://{reference.registry}", f"https://{reference.registry}/v1/")
    if reference.registry == HUB:
        yield from HUB_KEYS


def _decoded(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("auth"), str):
        return None
    try:
        text = base64.b64decode(entry["auth"], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = text.partition(":")
    return Credentials(user, password) if colon and user else None


def _helper(document: Mapping[str, Any], reference: Reference) -> str:
    named = _table(document, "credHelpers").get(reference.registry) or document.get("credsStore")
    return named[:60] if isinstance(named, str) else ""
