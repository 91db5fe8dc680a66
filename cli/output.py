"""How things look: data as text, JSON or YAML; waits on a terminal, and line by line without one.

Data goes to standard output, everything else to standard error, so that a pipe carries data only.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from cli.options import Format

if TYPE_CHECKING:
    from rich.status import Status

    from llmops.events import Event, Previewed, Progress, ResourceProgress, Reviewed
    from llmops.spec import Loaded

T = TypeVar("T")

REPEAT = 10.0
"""Seconds after which a wait that only counts is told again, where there is no terminal."""


def print_data(document: Any, output: Format) -> None:
    """Print plain data as JSON or YAML."""
    if output is Format.JSON:
        typer.echo(json.dumps(document, indent=2, default=str))
        return
    import yaml

    typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns, as wide as their content; the last one may be cut by the terminal."""
    lines = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip())


def tell(text: str) -> None:
    """Say something that is not data."""
    typer.echo(text, err=True)


def seconds(value: float) -> str:
    """A time, as people write it: `8 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def ago(when: float | None) -> str:
    """How long since a moment in Unix seconds."""
    return "never" if when is None else f"{seconds(max(0.0, time.time() - when))} ago"


def repeat(event: Progress) -> float:
    """Seconds after which a wait is told again: of one for hours, a twentieth of what is left."""
    if event.phase != "window" or event.deadline is None:
        return REPEAT
    return max(REPEAT, (event.deadline - event.elapsed) / 20)


class Drawer:
    """Draws the flow's events as they come."""

    def __init__(self, loaded: Loaded | None = None) -> None:
        self._loaded = loaded
        """The spec that findings are about."""
        self._terminal = sys.stderr.isatty()
        self._status: Status | None = None
        self._said = ""
        self._said_at = 0.0
        self.previewed: Previewed | None = None
        """What a target said that applying a plan would change in it."""
        self.reviewed: Reviewed | None = None
        """What the target's policies said of the plan."""

    def progress(self, event: Progress) -> None:
        """A moment of a wait: phase, reason, elapsed, deadline."""
        times = ""
        if event.phase == "window" and event.deadline is not None:
            times = f" (in {seconds(max(0.0, event.deadline - event.elapsed))})"
        elif event.deadline is not None:
            times = f" ({seconds(event.elapsed)} of at most {seconds(event.deadline)})"
        elif event.elapsed >= 1:
            times = f" ({seconds(event.elapsed)})"
        percent = f" {event.percent:.0f} %" if event.percent is not None else ""
        text = f"{event.phase}: {event.reason}{percent}{times}"
        if self._terminal:
            self._spin(text)
            return
        same = re.sub(r"\d+", "", f"{event.phase} {event.reason}")
        if same != self._said or time.monotonic() - self._said_at > repeat(event):
            self._said, self._said_at = same, time.monotonic()
            tell(text)

    def _resource(self, event: ResourceProgress) -> None:
        """A line for what has ended; what begins is told as the wait that it is."""
        why = f": {event.reason}" if event.reason else ""
        if event.state == "began":
            if self._terminal:
                self._spin(f"{event.operation} {event.name}{why}")
            return
        self.still()
        said = "done" if event.state == "done" else "failed"
        tell(f"{said}: {event.operation} {event.name} ({seconds(event.elapsed)}){why}")

    def _spin(self, text: str) -> None:
        if self._status is None:
            from rich.console import Console
            from rich.markup import escape

            self._escape = escape
            self._status = Console(stderr=True).status(escape(text))
            self._status.start()
        else:
            self._status.update(self._escape(text))

    def still(self) -> None:
        """End a spinner, so that something can be printed or asked."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def event(self, event: Event) -> None:
        """Draw one event."""
        from llmops.events import (
            KeyMade,
            Planned,
            Previewed,
            Progress,
            ResourceProgress,
            Reviewed,
            StepEnded,
            Warned,
        )

        if isinstance(event, Progress):
            self.progress(event)
            return
        if isinstance(event, StepEnded):
            self.still()
            tell(f"done: {event.text} ({seconds(event.seconds)})")
        elif isinstance(event, Planned):
            self.still()
            from cli.plans import print_change

            print_change(event)
        elif isinstance(event, Reviewed):
            self.still()
            from cli.plans import print_review

            self.reviewed = event
            print_review(event, self._loaded)
        elif isinstance(event, Previewed):
            self.still()
            from cli.plans import print_changes

            self.previewed = event
            print_changes(event)
        elif isinstance(event, ResourceProgress):
            self._resource(event)
        elif isinstance(event, Warned):
            self.still()
            tell(f"warning: {event.text}")
        elif isinstance(event, KeyMade):
            self.still()
            tell(f"key '{event.name}' of {event.service}, shown this once: {event.key}")


def draw(flow: Generator[Event, None, T], drawer: Drawer) -> T:
    """Run a flow to its end and draw it; what it returned.

    An interrupt is handed to the flow, which takes back what was half done.
    """
    try:
        while True:
            try:
                event = next(flow)
            except StopIteration as end:
                result: T = end.value
                return result
            drawer.event(event)
    except KeyboardInterrupt:
        drawer.still()
        flow.close()
        raise
    finally:
        drawer.still()


def ask(question: str) -> bool:
    """Ask on the terminal; anything but yes is no."""
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def may_ask(yes: bool) -> None:
    """Refuse early what would have to ask and cannot.

    Raises:
        InputError: When there is no terminal and no `--yes`.
    """
    from llmops.errors import InputError

    if not yes and not sys.stdin.isatty():
        raise InputError(
            "this changes what runs, and there is no terminal to ask on",
            hint="add --yes to do it without being asked",
        )
