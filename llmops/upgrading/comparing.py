"""What runs against what is installed: what changes, what is in the way, in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmops.errors import LlmopsError
from llmops.policies import Holes
from llmops.releases import History, Release
from llmops.upgrading.model import Change, Hole, Readable, ServiceChange, Upgrade, Versions

Check = Callable[[Mapping[str, Any]], None]
"""Refuses, by an LlmopsError, engine arguments that the installed engine does not know."""


def compare(
    running: Versions | None,
    installed: Versions,
    histories: Iterable[History],
    *,
    serving: Callable[[str], bool],
    check: Check,
    holes: Holes,
    formats: Iterable[Readable] = (),
    one_runtime: bool = True,
    also: tuple[Change, ...] = (),
    missing: tuple[str, ...] = (),
) -> Upgrade:
    """What an upgrade to what is installed means.

    Args:
        running: What the runtime tells of itself; None when none is up.
        installed: What is installed, or is in the image that is to run.
        histories: Of the services.
        serving: Whether a service serves now.
        check: The installed engine's judgement of engine arguments.
        holes: The table of known security holes.
        formats: What was found of stored state.
        one_runtime: Whether the services share one runtime, which must be restarted for another
            llmops or Ray; where each release brings its own, a new release is enough.
        also: Changes of another kind that need a new release, such as another image.
        missing: Why what was asked for is not what would run, a sentence for each.
    """
    live = [history.live for history in histories]
    told = [release for release in live if release is not None]
    runtime = tuple(_runtime_changes(running, installed))
    restart = bool(runtime) and one_runtime and running is not None
    others = also if one_runtime else (*runtime, *also)
    services = tuple(_service(r, installed, serving, check, others) for r in told)
    engines = {one.engine for one in services if one.engine is not None}
    closed, opened = _closed_and_opened(running, installed, told, holes)
    return Upgrade(
        running=running,
        installed=installed,
        changes=tuple(dict.fromkeys((*runtime, *also, *sorted(engines, key=str)))),
        restart=restart,
        services=services,
        formats=tuple(formats),
        missing=missing,
        closed=closed,
        opened=opened,
    )


def _closed_and_opened(
    running: Versions | None, installed: Versions, live: Iterable[Release], table: Holes
) -> tuple[tuple[Hole, ...], tuple[Hole, ...]]:
    """Known holes of what runs that the installed has not; and the other way round."""
    runtime = running or Versions()
    now = [replace(runtime, engine=release.plan.engine.version) for release in live]
    before, after = _holes(now, table), _holes([installed], table)
    closed = tuple(before[key] for key in sorted(before.keys() - after.keys()))
    opened = tuple(after[key] for key in sorted(after.keys() - before.keys()))
    return closed, opened if now else ()


def _runtime_changes(running: Versions | None, installed: Versions) -> Iterator[Change]:
    if running is None:
        return
    if running.llmops != installed.llmops:
        yield Change("llmops", running.llmops, installed.llmops)
    if running.ray != installed.ray:
        yield Change("ray", running.ray, installed.ray)


def _service(
    release: Release,
    installed: Versions,
    serving: Callable[[str], bool],
    check: Check,
    others: tuple[Change, ...],
) -> ServiceChange:
    engine = release.plan.engine
    problems = []
    try:
        check(engine.args)
    except LlmopsError as error:
        problems.append(error.message)
    change = None
    if engine.version != installed.engine:
        change = Change("engine", engine.version, installed.engine)
    elif others:  # the same engine, beside another llmops or Ray: a release of its own all the same
        change = others[0]
    return ServiceChange(
        service=release.service,
        release=release.number,
        engine=change,
        serves=serving(release.service),
        problems=tuple(problems),
        asked=bool(release.plan.asked),
    )


def _holes(of: Iterable[Versions], table: Holes) -> dict[str, Hole]:
    """The known holes of some versions, by id. Both builds of the engine are one program."""
    found = {}
    for versions in of:
        parts = {"llmops": versions.llmops, "ray": versions.ray, "vllm": _number(versions.engine)}
        for part, version in parts.items():
            for hole in table.of(part, version) if version else ():
                found[hole.id] = Hole(hole.id, part, hole.what, hole.source)
    return found


def _number(engine: str) -> str:
    return engine.rpartition(" ")[2]
