"""A scripted `pulumi`: it plays recorded event logs, so that the real Automation API has something
to run.

What it is not: it speaks to no provider, computes no difference and encrypts nothing. That a log is
what a real engine would write for our program is not proven by it; where a test asks for the log
`program`, the program itself is run, and everything that it declares counts as made. What is
proven is everything of ours from the engine's events and exit codes on: the reading of them, the
recovery from what a killed engine leaves, and the words for a user.

    PULUMI_STUB            folder with script.json: which logs to play, by command, one after the
                           other; the last one stays. Logs lie there, or in tests/infra/recordings
    PULUMI_STUB_DIE_AFTER  ends this process by SIGKILL after so many events of an update
    PULUMI_STUB_VERSION    what `pulumi version` says
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tests.infra.pulumi_stub import backend
from tests.infra.pulumi_stub.backend import Stack, every, fail, load
from tests.infra.pulumi_stub.playing import PROGRAM, Player, chosen, recording

VERSION = "v3.272.0"


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["version"]:
        print(os.environ.get("PULUMI_STUB_VERSION", VERSION))
        return 0
    with (Path(os.environ["PULUMI_STUB"]) / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    words = [word for word in arguments if word != "--non-interactive"]
    if words[0] in ("up", "preview", "refresh", "destroy"):
        return _operate(words)
    return _look(words)


def _project() -> str:
    lines = Path("Pulumi.yaml").read_text().splitlines()
    return next(line for line in lines if line.startswith("name:")).partition(":")[2].strip()


def _options(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stack", default="")
    parser.add_argument("--event-log", default="")
    parser.add_argument("--client", default="")
    parser.add_argument("--message", default="")
    parser.add_argument("--page-size", default="")
    parser.add_argument("--page", default="")
    parser.add_argument("--clear-pending-creates", action="store_true")
    parser.add_argument("--exclude-protected", action="store_true")
    return parser.parse_known_args(words)


def _look(words: list[str]) -> int:
    options, rest = _options(words)
    plain = [word for word in rest if not word.startswith("-")]
    if plain == ["whoami"]:
        _print({"user": "tester", "url": backend.root().as_uri()})
    elif plain[:2] == ["stack", "init"]:
        _init(plain[2])
    elif plain[:2] == ["stack", "rm"]:
        load(options.stack, _project()).file.unlink()
    elif plain == ["stack", "ls"]:
        _print([{"name": one.name, "current": False} for one in every(_project())])
    elif plain == ["cancel"]:
        for lock in load(options.stack, _project()).locks.glob("*.json"):
            lock.unlink()
    else:
        _tell_of(load(options.stack, _project()), plain)
    return 0


def _tell_of(stack: Stack, words: list[str]) -> None:
    if words == ["stack"]:
        print(stack.name)
    elif words == ["stack", "output"]:
        _print(stack.outputs)
    elif words == ["stack", "export"]:
        _print(stack.exported())
    elif words == ["stack", "history"]:
        _print(list(reversed(stack.history)))
    elif words == ["state", "unprotect"]:
        for one in stack.resources.values():
            one["protect"] = False
        stack.save()
    elif words != ["stack", "select"]:
        fail(f"unknown command {words} for the scripted pulumi")


def _init(name: str) -> None:
    stack = Stack(name, _project())
    if stack.file.exists():
        fail(f"stack '{name}' already exists")
    stack.save()


def _operate(words: list[str]) -> int:
    from tests.infra.pulumi_stub.telling import Teller

    options, _ = _options(words[1:])
    command = words[0]
    stack = load(options.stack, _project())
    planning = command == "preview"
    lock = None if planning else stack.lock()
    if not planning:
        stack.history.append(_entry(command, options.message))
        stack.save()
    teller = Teller(options.event_log)
    player = Player(stack, teller, planning=planning)
    try:
        player.play(_events(command, stack, options))
        if not planning:
            stack.history[-1] |= {
                "result": "failed" if player.failed else "succeeded",
                "endTime": backend.now(),
                "resourceChanges": player.counted,
            }
            stack.save()
    finally:
        teller.close()
        if lock is not None:
            lock.unlink(missing_ok=True)
    return 255 if player.failed and not planning else 0


def _entry(command: str, message: str) -> dict[str, Any]:
    kind = {"up": "update"}.get(command, command)
    return {"kind": kind, "startTime": backend.now(), "message": message, "environment": {},
            "config": {}, "result": "in-progress"}  # fmt: skip


def _events(command: str, stack: Stack, options: argparse.Namespace) -> list[dict[str, Any]]:
    if command in ("up", "preview"):
        return _recorded_or_run(command, stack, options.client)
    if command == "refresh":
        if options.clear_pending_creates:
            stack.pending.clear()
        return _steps("refresh", stack)
    kept = _kept(stack)
    if kept and not options.exclude_protected:
        fail(f"resource '{min(kept)}' cannot be deleted because it is protected")
    return _steps("delete", stack, kept)


def _recorded_or_run(command: str, stack: Stack, client: str) -> list[dict[str, Any]]:
    log = chosen(command)
    if log != PROGRAM:
        return recording(log)
    from tests.infra.pulumi_stub.running import declared

    return declared(client, stack, planning=command == "preview")


def _kept(stack: Stack) -> set[str]:
    """What is protected, and what it is below."""
    kept: set[str] = set()
    for urn, one in stack.resources.items():
        above = urn if one.get("protect") else ""
        while above:
            kept.add(above)
            above = stack.resources.get(above, {}).get("parent", "")
    return kept


def _steps(op: str, stack: Stack, kept: AbstractSet[str] = frozenset()) -> list[dict[str, Any]]:
    """Each resource in turn, the last one made first."""
    events: list[dict[str, Any]] = []
    for urn, one in reversed(stack.resources.items()):
        if urn in kept:
            continue
        step = {
            "op": op,
            "urn": urn,
            "type": one["type"],
            "provider": "",
            "old": {**one, "urn": urn},
        }
        if op == "refresh":
            step["new"] = {**one, "urn": urn}
        events += [
            {"resourcePreEvent": {"metadata": step}},
            {"resOutputsEvent": {"metadata": step}},
        ]
    return events


def _print(document: Any) -> None:
    print(json.dumps(document))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
