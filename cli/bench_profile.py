"""`llmops bench NAME --profile FILE`: measure a replica, for `llmops policy simulate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import InputError, TargetError

if TYPE_CHECKING:
    from cli.places import Target
    from llmops.policies.simulation import Profile, Rates
    from llmops.releases import Release
    from llmops.targets import ReleaseStatus
    from serving import client

NOTES = {
    "slots": "planned: max_num_seqs",
    "step_seconds": "measured: a line through the time per output token at several batches",
    "step_seconds_per_request": "measured: its slope",
    "chunk_tokens": "planned: max_num_batched_tokens",
    "gpus": "planned",
    "kv_tokens": "planned",
}


def measure(target: Target, name: str, file: Path) -> None:
    """Measure a service's replica and write its profile.

    Raises:
        InputError: When the service has no release that serves, or the file cannot be written.
        TargetError: When a request fails, or the number of replicas changes meanwhile.
    """
    from cli.output import Drawer, tell
    from llmops.events import Progress
    from llmops.policies import simulation
    from serving import client

    endpoint = target.endpoint(name)
    release = _serving(target, name)
    drawer = Drawer()
    try:
        drawer.progress(Progress("profile", "waiting for a first answer"))
        # A service that sleeps has no replica to be counted.
        client.bench(endpoint, clients=1, requests=1, prompt_tokens=1, max_tokens=1,
                     progress=lambda _done, _of: None)  # fmt: skip
        before = _seen(target, name, release)
        planned = simulation.planned_replica(release.plan)
        found = client.measure(
            endpoint,
            _replica(release, planned, before),
            lambda what, share: drawer.progress(Progress("profile", what, percent=100 * share)),
        )
    finally:
        drawer.still()
    _same(before, _shown(target, name, release))
    rates = simulation.rates(found.paces, found.readings, planned.chunk)
    _write(file, *_profile(planned, rates, release, before))
    tell(f"the profile of {name}'s replicas is written to {file}")


def _serving(target: Target, name: str) -> Release:
    live = target.store.read(name)[0].live
    if live is None:
        raise InputError(f"{name} has no release that serves", hint=f"llmops status {name}")
    return live


def _seen(target: Target, name: str, release: Release) -> ReleaseStatus:
    """The release as it runs now.

    Raises:
        InputError: When it has no replica, or one starts or goes.
    """
    found = _shown(target, name, release)
    if found is None or not found.replicas or found.wanted not in (None, found.replicas):
        raise InputError(
            f"expected replicas of {name} that neither start nor go, found others",
            hint=f"measure while nobody else asks; llmops status {name} tells",
        )
    return found


def _shown(target: Target, name: str, release: Release) -> ReleaseStatus | None:
    shown = target.status(name).releases
    return next((one for one in shown if one.number == release.number), None)


def _replica(release: Release, planned: Profile, seen: ReleaseStatus) -> client.Replica:
    from serving.client import Replica

    plan = release.plan
    follows = plan.layout.replicas_low != plan.layout.replicas_high
    # More at once than scaling aims at would add a replica; two at least, for a line to be laid.
    most = max(2, plan.target_in_flight) if follows else planned.most
    return Replica(
        replicas=seen.replicas,
        most=min(most, planned.slots),
        context=int(plan.model.context.value),
        answer=plan.limits.max_tokens,
    )


def _same(before: ReleaseStatus, after: ReleaseStatus | None) -> None:
    now = after.replicas if after is not None else 0
    if before.replicas != now:
        raise TargetError(
            f"there were {before.replicas} replicas and then {now}:"
            " what was measured is no replica's",
            hint="measure while nobody else asks",
        )


def _profile(
    planned: Profile, rates: Rates, release: Release, seen: ReleaseStatus
) -> tuple[Profile, dict[str, str]]:
    """The profile, and where each of its figures is from."""
    startup, how = seen.startup, "measured: the last starts that scaling asked for"
    if startup is None:
        startup = (release.verified_at or release.created_at) - release.created_at
        how = "a bound: the whole deploy, since scaling has started no replica yet"
    reads = "a lower bound: longer prompts took no longer" if rates.bounded else "measured"
    made = replace(
        planned, step=rates.step, step_each=rates.step_each, prefill_rate=rates.prefill_rate,
        startup=startup,
    )  # fmt: skip
    return made, NOTES | {"prefill_tokens_per_second": reads, "startup": how}


def _write(file: Path, profile: Profile, notes: dict[str, str]) -> None:
    from llmops.policies.simulation import profile_text

    try:
        file.write_text(profile_text(profile, notes), encoding="utf-8")
    except OSError as error:
        hint = "name another file after --profile"
        raise InputError(f"{file} cannot be written: {error.strerror}", hint=hint) from error
