"""Take a target's state, and put it back: composed over a target's ports, as the flow is.

Putting back refuses before it changes anything, never makes a revoked key valid, and proves what it
brings up by a real generation. Every step may be repeated: a run that was killed is finished by the
next one, and one more finds nothing left to do.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llmops import workflow
from llmops.errors import InputError, RefusedError, TargetError
from llmops.events import Flow, Progress, Reviewed
from llmops.opening import closed_to_end
from llmops.permitting import begun_in_emergency, findings_on, permit
from llmops.planning import Plan
from llmops.policies import Finding
from llmops.releases import Conflict, Emergency, History, Phase, Release
from llmops.saved import (
    Saved,
    SavedService,
    Standing,
    replaced,
    shelf_replaced,
    shelf_standing,
    standing,
)
from llmops.targets import Observer, Operator

Clock = Callable[[], float]

BY = "restore"
"""Who applied a policy that a backup brought back beside others."""

WRITES = 20
"""Tries of a compare-and-swap; only another writer of the same record makes one fail."""


@dataclass(frozen=True, slots=True)
class Intended:
    """What putting one service back would do here."""

    service: str
    releases: int
    live: int | None
    """The last good release that was saved."""
    standing: Standing
    serves: bool
    """Whether a release of it serves here now."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A service that was put back. `release` is the one that serves; None where none does."""

    service: str
    release: Release | None
    url: str


def gather(
    observer: Observer,
    names: Iterable[str],
    *,
    version: str,
    target: str,
    where: Mapping[str, str],
    now: float,
) -> Saved:
    """A target's state.

    Args:
        observer: The target.
        names: Of services.
        version: Of this llmops.
        target: Kind of the target.
        where: Which one it is, as `Saved.where`.
        now: Unix seconds.

    Raises:
        InputError: When one of the names was never deployed there.
    """
    services = tuple(_gathered(observer, name) for name in sorted(set(names)))
    return Saved(
        created_at=now,
        version=version,
        target=target,
        where=where,
        services=services,
        policies=observer.policies.read()[0],
        shared=observer.vault.read_shared(),
    )


def _gathered(observer: Observer, name: str) -> SavedService:
    history = observer.store.read(name)[0]
    if not history.releases:
        known = ", ".join(observer.store.services()) or "none"
        raise InputError(f"no service '{name}'", hint=f"there are: {known}")
    return SavedService(history, observer.vault.read(name))


def intended(observer: Observer, saved: Saved) -> tuple[Intended, ...]:
    """What putting it back would do; changes nothing."""
    return tuple(_intended(observer, service) for service in saved.services)


def _intended(observer: Observer, saved: SavedService) -> Intended:
    here = observer.store.read(saved.name)[0]
    live = saved.history.live
    return Intended(
        service=saved.name,
        releases=len(saved.history.releases),
        live=live.number if live else None,
        standing=standing(here, saved.history),
        serves=_serves(observer, here),
    )


def _serves(observer: Observer, here: History) -> bool:
    seen = observer.observe(here.service)
    return any(one.phase is Phase.READY and one.share for one in seen)


def refuse(observer: Observer, saved: Saved, *, replace: bool) -> None:
    """Refuse to put other records in the place of those that are here.

    Raises:
        RefusedError: When that would be done, and may not be.
    """
    if replace:
        return
    for service in saved.services:
        _refuse(observer, service)
    if shelf_standing(observer.policies.read()[0], saved.policies) is Standing.DIFFERS:
        raise RefusedError(
            "the policies here differ from those of the backup",
            hint="llmops policy list shows them; --replace applies the backup's again",
        )


def _refuse(observer: Observer, saved: SavedService) -> None:
    here = observer.store.read(saved.name)[0]
    if standing(here, saved.history) is Standing.DIFFERS:
        raise RefusedError(
            f"{saved.name} has releases here that differ from those of the backup",
            hint=f"llmops history {saved.name} shows them; --replace puts the backup in their"
            " place",
        )


def forbidden(observer: Observer, saved: Saved, now: float) -> tuple[Finding, ...]:
    """What the policies that will hold then say of the releases that would be made to serve.

    Args:
        observer: The target.
        saved: What would be put back, policies too.
        now: Unix seconds.
    """
    here = observer.policies.read()[0]
    if shelf_standing(here, saved.policies) is not Standing.KEPT:
        here = shelf_replaced(here, saved.policies, now, BY)
    held = here.current()
    plans = [plan for service in saved.services if (plan := _deployed(observer, service))]
    return tuple(
        finding
        for plan in plans
        for finding in findings_on(observer, plan, now, held=held, beside=plans)
    )


def _deployed(observer: Observer, saved: SavedService) -> Plan | None:
    """The plan that would be deployed again; None where nothing would be."""
    history = observer.store.read(saved.name)[0]
    if standing(history, saved.history) is not Standing.KEPT:
        history = saved.history
    good = _repeated(observer, history, saved.history)
    if good is None or begun_in_emergency(history, good.plan, good.number):
        return None
    return good.plan


def _put_policies(operator: Operator, saved: Saved, now: float) -> None:
    for _ in range(WRITES):
        here, version = operator.policies.read()
        if shelf_standing(here, saved.policies) is Standing.KEPT:
            return
        shelf = shelf_replaced(here, saved.policies, now, BY)
        if shelf == here:
            return
        with contextlib.suppress(Conflict):
            operator.policies.write(shelf, version)
            return
    raise TargetError("the record of policies is written by somebody else all the time")


def restore(
    operator: Operator,
    saved: Saved,
    *,
    replace: bool = False,
    deploy: bool = True,
    emergency: Emergency | None = None,
    clock: Clock = time.time,
) -> Flow[tuple[Restored, ...]]:
    """Put a state back, and make the last good releases serve.

    Args:
        operator: The target.
        saved: What to put back.
        replace: Whether a history that differs is replaced; what serves of it is ended first.
        deploy: Whether the last good releases are made to serve.
        emergency: Why, and by whom, what a policy forbids or no window allows is done all the
            same; the new releases record it.
        clock: Unix seconds.

    Raises:
        PolicyError: Before anything is changed, when a policy forbids what would be deployed.
        RefusedError: Before anything is changed, when a history differs and may not be replaced.
        TargetError: When a release did not come up; its records are back.
    """
    refuse(operator, saved, replace=replace)
    if deploy:
        findings = forbidden(operator, saved, clock())
        yield Reviewed((), findings)
        permit(findings, emergency)
    operator.vault.write_shared(saved.shared, replace=replace)
    _put_policies(operator, saved, clock())
    done: tuple[Restored, ...] = ()
    for service in saved.services:
        restored = yield from _restore(operator, service, replace, deploy, emergency, clock)
        done = (*done, restored)
    return done


def _restore(
    operator: Operator,
    saved: SavedService,
    replace: bool,
    deploy: bool,
    emergency: Emergency | None,
    clock: Clock,
) -> Flow[Restored]:
    with operator.lock(saved.name, "restored"):
        yield from _put_history(operator, saved, replace, emergency, clock)
        operator.vault.write(saved.name, saved.access)
        if deploy:
            yield from _serve(operator, saved.history, emergency, clock)
        live = operator.store.read(saved.name)[0].live if deploy else None
        return Restored(saved.name, live, operator.url(saved.name))


def _put_history(
    operator: Operator,
    saved: SavedService,
    replace: bool,
    emergency: Emergency | None,
    clock: Clock,
) -> Flow[None]:
    here, version = operator.store.read(saved.name)
    stands = standing(here, saved.history)
    if not replace:  # once more, now that nobody else writes
        _refuse(operator, saved)
    if stands is Standing.KEPT:
        yield Progress("restore", f"the records of {saved.name} are here")
        return
    history = saved.history
    if stands is Standing.DIFFERS:
        if _serves(operator, here) and emergency is None:
            _admit(operator, here, clock())
        yield Progress("restore", f"{saved.name}: ending what is to be replaced")
        yield from workflow.clear(operator, saved.name, clock=clock)
        history = replaced(here, saved.history, clock())
    operator.store.write(history, version)
    yield Progress("restore", f"the records of {saved.name} are back")


def _admit(operator: Operator, here: History, now: float) -> None:
    """Refuse to end what serves while the service may not be changed."""
    if (closed := closed_to_end(operator, here, now)) is not None:
        opening = f"opens {closed.opens}; or " if closed.opens else ""
        raise RefusedError(
            f"{here.service} serves, and {closed.reason}",
            hint=f"{opening}--emergency REASON does it now, and records why",
        )


def _serve(
    operator: Operator, saved: History, emergency: Emergency | None, clock: Clock
) -> Flow[None]:
    """Make the last good release serve, proved by a real generation."""
    here = operator.store.read(saved.service)[0]
    good = _repeated(operator, here, saved)
    if good is None and here.live is not None:
        yield from workflow.settle(operator, here.live, clock=clock)
    elif good is None:
        yield Progress("restore", f"{saved.service} did not serve when the backup was made")
    else:
        if not begun_in_emergency(here, good.plan, good.number):
            # Once more, now that nobody else writes and the policies are back.
            permit(findings_on(operator, good.plan, clock()), emergency)
        yield from workflow.repeat(operator, good, emergency=emergency, clock=clock)


def _repeated(observer: Observer, here: History, saved: History) -> Release | None:
    """The release that is repeated as a new one; None where none has to be.

    One that was live where the backup was made has proved nothing here, so its repetition must. One
    that was made since serves by right, and is only brought back.
    """
    live = here.live
    if live is not None and (live.number >= saved.next_number or _serves(observer, here)):
        return None
    return live or (here.find(saved.live.number) if saved.live else None)


__all__ = ["Intended", "Restored", "forbidden", "gather", "intended", "refuse", "restore"]
