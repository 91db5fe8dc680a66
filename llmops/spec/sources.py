"""Where a model is and what pins it, compared: the same rule in every file that names one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmops.spec import addresses
from llmops.spec.document import Finding
from llmops.spec.nodes import Trail
from llmops.spec.words import quoted

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}", re.ASCII)


def find_in_source(section: Trail, source: str, revision: str | None) -> Iterator[Finding]:
    """What is wrong with `source` and `revision` of the section at `section`."""
    if wrong := addresses.check(source):
        yield Finding((*section, "source"), wrong.message, wrong.hint)
    elif revision is not None:
        yield from find_in_revision(section, source, revision)


def find_in_revision(section: Trail, source: str, revision: str) -> Iterator[Finding]:
    """What is wrong with the `revision` of a right `source`."""
    trail: Trail = (*section, "revision")
    scheme = source.partition("://")[0] if "://" in source else "file"
    if scheme != "hf":
        yield Finding(
            trail, f"expected no revision for a {scheme}:// source, found {quoted(revision)}",
            "remove it: the digests of its files pin it", ((*section, "source"),), key=True,
        )  # fmt: skip
    elif not _is_revision(revision):
        yield Finding(
            trail, f"expected a commit hash, a branch or a tag, found {quoted(revision)}",
            "a full commit hash has 40 hex digits; without a revision, the branch main is pinned",
        )  # fmt: skip
    elif re.fullmatch(r"[0-9a-fA-F]{40}", revision) and re.search("[A-F]", revision):
        hint = f"write {revision.lower()}"
        yield Finding(trail, "expected a commit hash in lower case, found upper case", hint)


def _is_revision(text: str) -> bool:
    bad = ".." in text or "//" in text or text.endswith(("/", ".", ".lock"))
    return _REVISION.fullmatch(text) is not None and not bad
