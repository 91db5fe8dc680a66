"""Plays a recorded event log against a stack's record, one event after the other.

What is there already stays as it is (`same`), and what was begun and not ended is pending: so a run
that is killed leaves what a killed engine leaves. Beside the engine's own events a log may hold
orders to this player: `{"player": {"kill": true}}`, `{"player": {"wait_for": NAME}}`, and
`{"player": {"refuse": TEXT}}`.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.infra.pulumi_stub.backend import Stack

RECORDINGS = Path(__file__).parents[1] / "recordings"
PROGRAM = "program"
"""In place of a log's name: what the program itself declares."""
KEPT = ("type", "id", "parent", "custom", "protect")
DOING = {"create": "creating", "update": "updating", "delete": "deleting"}

Event = dict[str, Any]


def chosen(command: str) -> str:
    """Name of the log that is next for a command; the last one stays."""
    folder = Path(os.environ["PULUMI_STUB"])
    script = json.loads((folder / "script.json").read_text())
    names = script.get(command) or ["first.jsonl"]
    if len(names) > 1:
        script[command] = names[1:]
        (folder / "script.json").write_text(json.dumps(script))
    return str(names[0])


def recording(name: str) -> list[Event]:
    """A log of the test's own, or a recorded one."""
    own = Path(os.environ["PULUMI_STUB"]) / name
    text = (own if own.exists() else RECORDINGS / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


class Player:
    """Plays one operation."""

    def __init__(self, stack: Stack, tell: Callable[[Event], None], *, planning: bool) -> None:
        self._stack = stack
        self._tell = tell
        self._planning = planning
        self._told = 0
        self._die_after = int(os.environ.get("PULUMI_STUB_DIE_AFTER", "-1"))
        self.failed = False
        self.counted: dict[str, int] = {}

    def play(self, events: list[Event]) -> None:
        for event in events:
            if "player" in event:
                self._order(event["player"])
                continue
            self._one(copy.deepcopy(event))
        self._end()

    def _one(self, event: Event) -> None:
        step = self._step(event)
        shown: Event | None = event if step is None else self._as_it_is(event, step)
        done = step is not None and "resourcePreEvent" not in event
        if shown is not None and not (self._planning and done):
            self.tell(shown)

    def tell(self, event: Event) -> None:
        if self._told == self._die_after and not self._planning:
            os.kill(os.getpid(), signal.SIGKILL)
        self._told += 1
        self._tell(event)

    def _step(self, event: Event) -> Event | None:
        for name in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            if name in event:
                found: Event = event[name]["metadata"]
                return found
        return None

    def _as_it_is(self, event: Event, step: Event) -> Any:
        """The event, as it is for what the stack holds now; None for none."""
        urn, op = step["urn"], step["op"]
        if op == "create" and urn in self._stack.resources:
            if "resOpFailedEvent" in event:
                return None
            step["op"] = "same"
            self._count(event, "same")
            if "resOutputsEvent" in event and not self._planning:
                self._tell_of_stack(step)
                self._stack.save()
            return event
        if self._planning:
            event.get("resourcePreEvent", {})["planning"] = True
            self._count(event, op)
            return event
        self._record(event, step)
        return event

    def _count(self, event: Event, op: str) -> None:
        if "resourcePreEvent" in event:
            self.counted[op] = self.counted.get(op, 0) + 1

    def _record(self, event: Event, step: Event) -> None:
        urn, op = step["urn"], step["op"]
        custom = (step.get("new") or step.get("old") or {}).get("custom", False)
        if "resourcePreEvent" in event and op in DOING and custom:
            self._stack.pending[urn] = {"operation": DOING[op], "type": step["type"]}
        elif "resOutputsEvent" in event:
            self._stack.pending.pop(urn, None)
            self._ended(urn, op, step)
            self.counted[op] = self.counted.get(op, 0) + 1
        elif "resOpFailedEvent" in event:
            self._stack.pending.pop(urn, None)
            self.failed = True
        self._stack.save()

    def _ended(self, urn: str, op: str, step: Event) -> None:
        if op == "delete":
            self._stack.resources.pop(urn, None)
        if op in ("delete", "delete-replaced"):
            return
        new = step.get("new") or {}
        self._stack.resources[urn] = {key: new[key] for key in KEPT if key in new}
        self._tell_of_stack(step)

    def _tell_of_stack(self, step: Event) -> None:
        """A stack's outputs are what its program says now, though nothing else has changed."""
        if step["type"] == "pulumi:pulumi:Stack":
            self._stack.outputs |= (step.get("new") or {}).get("outputs", {})

    def _order(self, order: Event) -> None:
        if "refuse" in order:
            sys.stderr.write(f"{order['refuse']}\n")
            sys.exit(255)
        if order.get("kill") and not self._planning:
            os.kill(os.getpid(), signal.SIGKILL)
        if "wait_for" in order and not self._planning:
            self._wait(Path(os.environ["PULUMI_STUB"]) / order["wait_for"])

    def _wait(self, file: Path) -> None:
        """Until a file appears, or an interrupt ends the operation in order."""
        stopped: list[int] = []
        signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
        file.with_suffix(".reached").touch()
        while not file.exists():
            if stopped:
                self._stack.pending.clear()
                self.failed = True
                return
            time.sleep(0.02)

    def _end(self) -> None:
        self.tell({"summaryEvent": {
            "maybeCorrupt": False, "durationSeconds": 1, "resourceChanges": self.counted,
            "PolicyPacks": {},
        }})  # fmt: skip
        self.tell({"cancelEvent": {}})
        if self.failed and not self._planning:
            sys.stderr.write("error: update failed\n")
