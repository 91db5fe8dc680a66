"""What to do where a service may not be changed now: the options, read once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llmops.opening import Gate

Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Where maintenance windows are closed: wait until they open, then plan anew.",
    ),
]
Emergency = Annotated[
    str | None,
    typer.Option(
        "--emergency",
        help="Where maintenance windows are closed, or a policy forbids by now to repeat a release:"
        " do it; the reason is kept in the history.",
        metavar="REASON",
    ),
]

LONGEST = 500
"""Characters of a reason."""


def gate_of(wait: bool, reason: str | None) -> Gate:
    """What the two options ask for.

    Raises:
        InputError: When both are given, or the reason says nothing.
    """
    from cli.policies import who
    from llmops.errors import InputError
    from llmops.opening import Gate
    from llmops.releases import Emergency as Recorded

    if reason is None:
        return Gate(wait=wait)
    if wait:
        raise InputError("--wait and --emergency exclude each other", hint="give one of them")
    words = " ".join(reason.split())
    if not words or len(words) > LONGEST:
        raise InputError(
            f"--emergency: expected a reason of 1 to {LONGEST} characters, found {len(words)}",
            hint="--emergency 'leaking answers of other users'",
        )
    return Gate(emergency=Recorded(words, who()))
