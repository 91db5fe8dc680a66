"""The form of `model.source`: what each scheme takes, and what was meant by something else.

Only the form: whether there is such a model is found out when it is looked up. A message never
repeats an address that carries credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops.spec.nearest import nearest
from llmops.spec.words import LONGEST, quoted

SCHEMES = ("hf", "file", "pkg", "s3", "gs")
FORMS = "hf://owner/name, file:///path, pkg://module/file, s3://bucket/prefix or gs://bucket/prefix"

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]"
_PLACES = {
    "hf": (rf"{_PART}/{_PART}", "hf://owner/name"),
    "file": (r"/.*[^/].*", "file:///path"),
    "pkg": (r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*/[^/].*", "pkg://module/file"),
    "s3": (rf"{_BUCKET}/[^/].*", "s3://bucket/prefix"),
    "gs": (rf"{_BUCKET}/[^/].*", "gs://bucket/prefix"),
}
_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(.+?)/?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why an address is none."""

    message: str
    hint: str


def check(source: str) -> Wrong | None:
    """What is wrong with the form of `source`, if anything is."""
    if re.search(r"//[^/]*:[^/]*@", source):
        return Wrong(
            "expected an address without credentials, found one that carries some",
            "take them out, and give them to the client in its own way (environment, profile)",
        )
    scheme, separator, place = source.partition("://")
    if not separator or scheme not in SCHEMES:
        near = meant(source)
        if near:
            hint = f"did you mean {near}?"
        elif source.startswith((".", "~")):
            hint = "a path is written in full: file:///path"
        else:
            hint = f"such as {_PLACES['hf'][1]}"
        return Wrong(f"expected {FORMS}, found {quoted(source)}", hint)
    form, example = _PLACES[scheme]
    if {".", ".."} & set(place.split("/")):
        hint = "write the path that is meant, without '.' and '..'"
        return Wrong(f"expected {example}, found '.' or '..' in {quoted(source)}", hint)
    if not re.fullmatch(form, place, re.ASCII) or place != place.strip() or "\n" in place:
        return Wrong(f"expected {example}, found {quoted(source)}", _mend(scheme, place))
    return None


def meant(source: str) -> str | None:
    """The address that was meant by what may be none: a bare repository, a path, a hub's page."""
    text = source.strip()
    if len(text) > 2 * LONGEST:
        return None
    if hub := _HUB.fullmatch(text):
        return _if_right("hf", "/".join(hub[1].split("/")[:2]))
    scheme, separator, place = text.partition(":")
    if separator and (near := nearest(scheme, SCHEMES)):
        return _if_right(near, ("/" if near == "file" else "") + place.lstrip("/"))
    return _if_right("file" if text.startswith("/") else "hf", text)


def _if_right(scheme: str, place: str) -> str | None:
    address = f"{scheme}://{place}"
    return None if check(address) else address


def _mend(scheme: str, place: str) -> str:
    """A hint for an address of a known scheme that has not its form."""
    if scheme == "hf" and "@" in place:
        return "write what stands behind '@' as model.revision"
    if scheme == "hf" and place.count("/") == 0:
        return f"write the owner too: hf://owner/{place or 'name'}" if len(place) <= LONGEST else ""
    if scheme == "hf" and place.count("/") > 1:
        near = _if_right("hf", "/".join(place.split("/")[:2]))
        return f"did you mean {near}?" if near else "such as hf://owner/name"
    if scheme == "hf":
        return "the owner and the name of a repository, and nothing else: hf://owner/name"
    if scheme == "file" and place and not place.startswith(("/", "~")):
        return f"a path is written in full, with three slashes: file:///{place[:LONGEST]}"
    if scheme == "file":
        return "a path is written in full: file:///path"
    if scheme == "pkg":
        return "a module's name, then the path of a file in it: pkg://module/file"
    return f"a bucket's name, then the folder of the model: {scheme}://bucket/prefix"
