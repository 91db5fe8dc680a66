"""Which Secrets the objects expect, found in the objects themselves, so that none is forgotten.

Names only. Values are made once, in the cluster; there is none in any file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clusters.model import Manifest

NOTE = "SECRETS.md"

INTRODUCTION = """\
# Secrets that must exist

The files here hold no secret. They expect these Secrets in their namespace:

"""
CLOSING = """
`llmops deploy` makes those of its own (`-keys`, `-ray-token`) once, and never shows them again.
Certificates are made by cert-manager. All others are yours: make them by hand, by External
Secrets or by Sealed Secrets.
"""
NONE = "None.\n"


def note(manifests: Iterable[Manifest]) -> str:
    """The note, as Markdown: every Secret that an object refers to, and which objects do."""
    users: dict[str, set[str]] = {}
    for manifest in manifests:
        for name in _referred(manifest):
            users.setdefault(name, set()).add(_called(manifest))
    lines = [f"- `{name}`, for {', '.join(sorted(users[name]))}\n" for name in sorted(users)]
    return INTRODUCTION + ("".join(lines) or NONE) + CLOSING


def _called(manifest: Manifest) -> str:
    return f"{manifest['kind']} `{manifest['metadata']['name']}`"


def _referred(value: Any) -> Iterator[str]:
    """Names in `secretName`, `imagePullSecrets`, and references by name and key."""
    if isinstance(value, list):
        for item in value:
            yield from _referred(item)
    elif isinstance(value, Mapping):
        yield from _named_here(value)
        for item in value.values():
            yield from _referred(item)


def _named_here(value: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(value.get("secretName"), str):
        yield value["secretName"]
    for key in ("secretKeyRef", "secretRef"):
        if isinstance(value.get(key), Mapping):
            yield value[key]["name"]
    for item in value.get("imagePullSecrets") or ():
        yield item["name"]
    if value.get("kind") == "Secret" and "key" in value:
        yield value["name"]
