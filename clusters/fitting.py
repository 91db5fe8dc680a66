"""Whether an image fits the plan, asked of its registry before anything is applied.

A registry that does not answer from here may answer the nodes. That is told, and the pods' own word
is taken before the release gets traffic: see `proof.versions`.
"""

from __future__ import annotations

from clusters.image import Unreachable, mismatch, read_labels
from llmops import __version__
from llmops.errors import RefusedError
from llmops.events import Flow, Progress


def check_image(image: str, engine: str) -> Flow[None]:
    """Refuse an image that is not there, or has another llmops or engine than the plan.

    Args:
        image: Its reference.
        engine: Package and version of the plan's engine.

    Raises:
        RefusedError: When it must not run.
    """
    yield Progress("image", f"reading the labels of {image}")
    found = read_labels(image)
    if isinstance(found, Unreachable):
        if found.absent:
            raise RefusedError(found.reason, hint=found.hint, path="image")
        yield Progress("image", f"its labels cannot be read from here: {found.reason}")
    elif wrong := mismatch(found, __version__, engine):
        hint = "llmops image build makes one that fits"
        raise RefusedError(f"{image}: {wrong}", hint=hint, path="image")
