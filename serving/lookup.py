"""A model looked up for a plan that needs no target: from its config and headers, nothing loaded.

The local target looks models up in the same way when it resolves a spec; here no engine has to be
installed and no runtime is asked.
"""

from __future__ import annotations

from pathlib import Path

from llmops.planning import ModelFacts
from serving.models import Models


def describe(
    home: Path, source: str, revision: str | None = None, *, offline: bool = False
) -> ModelFacts:
    """What is known of a model.

    Args:
        home: Where this user's state lies: models that are there already are not asked for again.
        source: Its address.
        revision: What pins it, for a hub.
        offline: Whether no hub may be asked.

    Raises:
        InputError: When the address has no known form.
        ModelError: When it cannot be found or read, or must not be used.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Models(home / "models").describe(source, revision, offline=offline)
