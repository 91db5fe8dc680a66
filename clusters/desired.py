"""What should be in the cluster, as edits of what is there: pure, so each step is tested by value.

Every edit is idempotent: made again on its own result, it changes nothing, not even the number of
the routing table. So a step that was cut off anywhere is completed by doing it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clusters.live import Live, LiveRuntime
from clusters.model import Runtime
from clusters.shape import digest, shape_of
from llmops.errors import TargetError
from llmops.releases import History, Release


@dataclass(frozen=True, slots=True)
class Desired:
    """The runtimes of a service as they should be, and the one that clients reach."""

    service: str
    runtimes: tuple[Runtime, ...]
    active: str

    def runtime(self, identifier: str) -> Runtime | None:
        return next((runtime for runtime in self.runtimes if runtime.id == identifier), None)

    def holding(self, number: int) -> Runtime | None:
        """The runtime that should run the release."""
        found = (r for r in self.runtimes if any(x.number == number for x in r.releases))
        return next(found, None)

    def having(self, runtime: Runtime) -> Desired:
        """This with `runtime` added, or in place of the one with its id."""
        others = [r for r in self.runtimes if r.id != runtime.id]
        ordered = tuple(sorted((*others, runtime), key=lambda r: r.id))
        return replace(self, runtimes=ordered)


def as_it_is(live: Live, history: History) -> Desired:
    """What is there as what should be.

    Raises:
        TargetError: When a release runs that has no record.
    """
    runtimes = tuple(
        _as_it_is(runtime, history)
        for runtime in live.runtimes
        if runtime.numbers and not runtime.deleting
    )
    return Desired(live.service, runtimes, live.active)


def _as_it_is(runtime: LiveRuntime, history: History) -> Runtime:
    releases = tuple(_recorded(history, number) for number in sorted(runtime.numbers))
    return Runtime(
        id=runtime.id,
        service=history.service,
        shape=shape_of(releases[-1].plan),
        releases=releases,
        shares=dict(runtime.shares),
        generation=runtime.generation,
        closing=runtime.closing,
    )


def _recorded(history: History, number: int) -> Release:
    release = history.find(number)
    if release is None:
        raise TargetError(
            f"release {number} of {history.service} runs but has no record",
            hint=f"llmops history {history.service}; if its ConfigMap was lost, destroy and deploy",
        )
    return release


def runtime_id(release: Release) -> str:
    """Id of the runtime that a release belongs into."""
    return digest(shape_of(release.plan))


def with_release(desired: Desired, release: Release) -> Desired:
    """This with the release in the runtime of its shape, without traffic if it is new there."""
    if desired.holding(release.number) is not None:
        return desired
    shape = shape_of(release.plan)
    identifier = digest(shape)
    runtime = desired.runtime(identifier)
    if runtime is None:
        made = Runtime(
            id=identifier, service=desired.service, shape=shape, releases=(release,),
            shares={release.number: 0}, generation=1,
        )  # fmt: skip
        return desired.having(made)
    releases = tuple(sorted((*runtime.releases, release), key=lambda r: r.number))
    shares = {**runtime.shares, release.number: 0}
    # What is no part of the id, such as how it is exposed, is as the newest release says.
    return desired.having(_next(runtime, shape=shape, releases=releases, shares=shares))


def with_all_traffic(desired: Desired, number: int) -> Desired:
    """This with all new requests of the release's runtime going to it.

    Raises:
        TargetError: When no runtime has the release: the others keep what they have.
    """
    runtime = _holder(desired, number)
    shares = {n: 100 * int(n == number) for n in runtime.shares}
    return desired.having(_changed(runtime, shares=shares, closing=False))


def with_some_traffic(desired: Desired, number: int, share: int, beside: int) -> Desired:
    """This with `share` percent of the runtime's new requests going to one release, and the rest
    to another.

    Raises:
        TargetError: When one runtime does not have both: the others keep what they have.
    """
    runtime = _holder(desired, number)
    if beside not in runtime.shares:
        raise TargetError(
            f"releases {number} and {beside} of {desired.service} are in two runtimes, so they"
            " cannot share its traffic",
            hint="deploy again: it goes on from here",
        )
    shares = {**dict.fromkeys(runtime.shares, 0), number: share, beside: 100 - share}
    return desired.having(_changed(runtime, shares=shares, closing=False))


def without_traffic(desired: Desired, number: int) -> Desired:
    """This with no new request going to the release, where its runtime is the one that clients
    reach; where another is, its connections are ended one answer at a time."""
    runtime = _holder(desired, number)
    if runtime.id != desired.active:
        return desired.having(_changed(runtime, closing=True))
    return desired.having(_changed(runtime, shares={**runtime.shares, number: 0}))


def with_active(desired: Desired, identifier: str) -> Desired:
    """This with clients reaching one runtime, and all others telling theirs to connect anew."""
    runtimes = tuple(
        runtime if runtime.id == identifier else _changed(runtime, closing=True)
        for runtime in desired.runtimes
    )
    return replace(desired, runtimes=runtimes, active=identifier)


def without(desired: Desired, number: int) -> Desired:
    """This without the release; a runtime that held only it is gone."""
    runtime = desired.holding(number)
    if runtime is None:
        return desired
    releases = tuple(r for r in runtime.releases if r.number != number)
    if not releases:
        rest = tuple(r for r in desired.runtimes if r.id != runtime.id)
        active = "" if desired.active == runtime.id else desired.active
        return replace(desired, runtimes=rest, active=active)
    shares = {n: share for n, share in runtime.shares.items() if n != number}
    return desired.having(_next(runtime, releases=releases, shares=shares))


def _holder(desired: Desired, number: int) -> Runtime:
    runtime = desired.holding(number)
    if runtime is None:
        raise TargetError(
            f"release {number} of {desired.service} is in no runtime, so its traffic cannot be"
            " moved",
            hint="deploy again: it goes on from here",
        )
    return runtime


def _changed(
    runtime: Runtime, *, shares: Mapping[int, int] | None = None, closing: bool | None = None
) -> Runtime:
    """The runtime with a new routing table, of a new number only when it differs."""
    wanted = dict(runtime.shares if shares is None else shares)
    ends = runtime.closing if closing is None else closing
    if wanted == dict(runtime.shares) and ends == runtime.closing:
        return runtime
    return _next(runtime, shares=wanted, closing=ends)


def _next(runtime: Runtime, **changes: object) -> Runtime:
    return replace(runtime, generation=runtime.generation + 1, **changes)  # type: ignore[arg-type]
