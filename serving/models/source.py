"""A model's address, read: which kind of place, and where in it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops.errors import InputError

SCHEMES = ("hf", "file", "pkg", "s3", "gs")


@dataclass(frozen=True, slots=True)
class Address:
    """`scheme://place`; for `hf` a repository, for `pkg` a module and a path in it."""

    scheme: str
    place: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}"


def is_commit(revision: str | None) -> bool:
    """Whether it is a full commit hash, which means one state for ever."""
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def parse(source: str) -> Address:
    """Read an address.

    Raises:
        InputError: When the scheme is unknown, or the place has not the scheme's form.
    """
    scheme, separator, place = source.partition("://")
    if not separator or scheme not in SCHEMES:
        raise InputError(
            f"'{source}' is not the address of a model",
            hint="expected hf://owner/name, file:///path, pkg://module/file, s3:// or gs://",
        )
    forms = {
        "hf": r"[\w.-]+/[\w.-]+",
        "file": r"/.+",
        "pkg": r"[A-Za-z_][\w.]*/.+",
        "s3": r"[^/]+/.+",
        "gs": r"[^/]+/.+",
    }
    if not re.fullmatch(
        forms[scheme], place, re.ASCII if scheme in ("hf", "pkg") else 0
    ) or ".." in place.split("/"):
        raise InputError(f"'{source}' has not the form of a {scheme}:// address")
    return Address(scheme, place)
