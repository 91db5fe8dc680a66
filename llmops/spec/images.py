"""The form of `image`: a registry, a name in it, and a digest that pins it.

Only the form: whether there is such an image is found out when a pod pulls it. A message never
repeats a reference that carries credentials. Grammar: the OCI distribution specification's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops.spec.words import quoted

FORM = "registry/name@sha256:<64 hex digits>"

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
MOST = 255
"""Characters of a name that registries take."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image reference in its parts; what is not there is empty."""

    registry: str
    """Host, and port where one is named."""
    name: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a text is no image that may be used."""

    message: str
    hint: str


def parts(text: str) -> Image:
    """Take a reference apart, whatever stands in the parts.

    A first part is a registry when it has a dot or a port or is `localhost`, as every client has
    it; a colon behind the last slash begins a tag.
    """
    rest, _, digest = text.partition("@")
    first, slash, behind = rest.partition("/")
    registry = ""
    if slash and (first == "localhost" or "." in first or ":" in first):
        registry, rest = first, behind
    above, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return Image(registry, f"{above}{slash}{last}", tag, digest)


def check(text: str, *, tags: bool = False) -> Wrong | None:
    """What is wrong with an image reference, if anything is.

    Args:
        text: The reference.
        tags: Whether one without a digest may be used.
    """
    if re.match(r"(?:[^/]*//)?[^/]*@[^/]*/", text):
        return Wrong(
            "expected an image without credentials, found one that carries some",
            "take them out: target.pull_secrets names the Secrets to pull with",
        )
    if "://" in text:
        bare = text.partition("://")[2]
        return Wrong(f"expected {FORM}, found {quoted(text)}", f"write {bare[:200] or FORM}")
    return _check_parts(text, parts(text), tags=tags)


def _check_parts(text: str, image: Image, *, tags: bool) -> Wrong | None:
    wrong = f"expected {FORM}, found {quoted(text)}"
    if not image.registry:
        return Wrong(wrong, "name the registry as well: nodes differ in which one they would ask")
    found = _REGISTRY.fullmatch(image.registry)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        return Wrong(wrong, "a registry is a host name, and a port where it needs one")
    if not _NAME.fullmatch(image.name) or len(image.name) > MOST:
        hint = "a name has lower-case letters, digits, and '.', '_', '-' or '/' between them"
        return Wrong(wrong, hint)
    if (":" in text.partition("@")[0].rpartition("/")[2]) and not _TAG.fullmatch(image.tag):
        return Wrong(wrong, "leave the tag out: a digest says which image it is")
    if "@" in text and not _DIGEST.fullmatch(image.digest):
        return Wrong(wrong, "a digest is sha256: and 64 hex digits in lower case")
    if not image.digest and not tags:
        return Wrong(
            f"expected a digest, found {f'the tag {quoted(image.tag)}' if image.tag else 'none'}:"
            " a tag can be moved, and then two pods of one release differ",
            "llmops image build prints one; or set target.allow_tags",
        )
    return None
