"""Who runs the flow over a target: this command, or somebody else whom the target hands it to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llmops import workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops.events import Finished, Flow

    Verb = Callable[..., Flow[Finished]]


def verb_of(target: Any, name: str) -> Verb:
    """`deploy`, `rollback` or `destroy` of a target, with the arguments of `workflow` less the
    operator: the target's own where it has one, else this command drives the target's steps."""
    own: Verb | None = getattr(target, name, None)
    return own if own is not None else partial(getattr(workflow, name), target)
