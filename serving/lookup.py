"""A model looked up for a plan that needs no target: from its config and headers, nothing loaded.

The local target looks models up in the same way when it resolves a spec; here no engine has to be
installed and no runtime is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops.planning import ModelFacts
from serving.models import Models

if TYPE_CHECKING:
    from llmops.finetuning.planning import Counts, Speed, TrainingFacts

NO_PORT = 0
"""A training listens on none."""


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


def training_facts(
    home: Path,
    source: str,
    revision: str | None = None,
    *,
    counts: Counts | None = None,
    speed: Speed | None = None,
    offline: bool = False,
) -> TrainingFacts:
    """What is known of a base and of this machine before it is trained further.

    Args:
        home: Where this user's state lies: models that are there already are not asked for again.
        source: The base's address.
        revision: What pins it, for a hub.
        counts: What the prepared data holds, where it is prepared.
        speed: How fast a training like it was, where one has run.
        offline: Whether no hub may be asked.

    Raises:
        InputError: When the address has no known form.
        ModelError: When the base cannot be found or read, or must not be used.
    """
    from llmops.finetuning.planning import TrainingFacts
    from serving.local import machine_facts

    model = describe(home, source, revision, offline=offline)
    machine = machine_facts(NO_PORT, disk_at=home, endpoint_port=None)
    return TrainingFacts(model, machine, counts, speed)
