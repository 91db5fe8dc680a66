"""`kubectl llmops`: the same verbs, on the context and namespace that kubectl works on."""

from __future__ import annotations

import os

from cli.places import PLUGIN


def main() -> None:
    """Entry point of the program `kubectl-llmops`, which kubectl finds on the PATH."""
    os.environ[PLUGIN] = "kubectl"
    from cli.main import main as run

    run()
