"""The base's tokenizer on this machine, without the base's weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llmops.finetuning import Base
from serving.models import Models


def tokenizer_folder(home: Path, base: Base, tell: Callable[[str], None]) -> Path:
    """A folder with the tokenizer and chat template of a base; fetched unless it is there.

    Args:
        home: Where this user's state lies; models that are there already are not asked for again.
        base: The `model` section of a spec.
        tell: Hears what is being waited for.

    Raises:
        InputError: When the address has no known form.
        ModelError: When it cannot be found or read, or must not be used.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    models = Models(home / "models")
    facts = models.describe(base.source, base.revision)
    flow = models.tokenizer(facts.source, facts.revision)
    while True:
        try:
            tell(getattr(next(flow), "reason", ""))
        except StopIteration as end:
            found: Path = end.value
            return found
