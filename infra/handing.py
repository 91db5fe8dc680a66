"""The policies of the machine that makes a stack, handed on to it.

Before there is a stack, what was applied on this machine holds: a first deploy is not past every
rule. The stack begins with the same ones; from then on its own shelf holds, and is left alone.
"""

from __future__ import annotations

from llmops.policies import PolicyStore


def hand_on(here: PolicyStore, there: PolicyStore) -> None:
    """Put what holds here on the shelf there, if that one was never written."""
    shelf, _ = here.read()
    _, version = there.read()
    if not version and shelf.entries:
        there.write(shelf, version)


__all__ = ["hand_on"]
