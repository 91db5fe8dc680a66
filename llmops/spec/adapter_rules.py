"""What cannot be meant by the adapter of a spec.

Pure: whether there is such an adapter, and whether it is one of this model, is found out when it is
looked up. Only a runtime on this machine loads adapters: elsewhere the weights are fetched by
whoever runs them, and an adapter has no place there yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmops.spec import addresses
from llmops.spec.adapters import Adapter
from llmops.spec.document import Finding
from llmops.spec.words import quoted

RUN = re.compile(r"run://([a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)/([1-9][0-9]{0,8})", re.ASCII)
"""The address of what a run of `llmops finetune` has made: its name and number."""


def run_of(source: str) -> tuple[str, int] | None:
    """Name and number of the run whose adapter an address means; None for one of another kind."""
    found = RUN.fullmatch(source)
    return (found[1], int(found[2])) if found else None


def find_in_adapter(adapter: Adapter | None, rank: int, kind: str) -> Iterator[Finding]:
    """What is wrong with the adapter, and the room for others, of a service on a kind of target."""
    if rank and kind != "local":
        yield Finding(
            ("engine", "adapter_rank"),
            f"expected 0 for the target {kind}: only this machine's runtime loads adapters",
            "remove it", (("target", "kind"),), key=True,
        )  # fmt: skip
    if adapter is None:
        return
    trail = ("model", "adapter")
    if kind != "local":
        yield Finding(
            trail,
            f"expected no adapter for the target {kind}: only this machine's runtime loads them",
            "merge it into the weights (output.merge: true), and serve these as model.source",
            (("target", "kind"),), key=True,
        )  # fmt: skip
    yield from _source(adapter.source)


def _source(source: str) -> Iterator[Finding]:
    trail = ("model", "adapter", "source")
    scheme, separator, _ = source.partition("://")
    if separator and scheme == "file":
        if wrong := addresses.check(source):
            yield Finding(trail, wrong.message, wrong.hint)
    elif run_of(source) is None:
        hint = "a path is written in full: file:///path; llmops finetune list shows the runs"
        message = f"expected run://NAME/N or file:///path, found {quoted(source)}"
        yield Finding(trail, message, hint)
