"""Adapters in a plan: whether one is of the model that is served, what it takes, whose engine.

What the engine would refuse minutes later, or answer nonsense with, is refused here: an adapter of
other weights, layers that the model has not, ranks beyond the engine's. Pure. Sizes in bytes.
"""

from __future__ import annotations

import re

from llmops.planning.adapter import AdaptedLayer, AdapterFacts, PlannedAdapter
from llmops.planning.architecture import Profile
from llmops.planning.identity import engine_identity
from llmops.planning.model import Facts, LiveRelease
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.planning.training import Linear, linears
from llmops.spec import Deployment
from llmops.units import Bytes

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that the engine keeps room for (vLLM's `MaxLoRARanks`); one in between takes the next."""

ADAPTER_SLOTS = 2
"""Adapters that answer in one batch: that of the release that serves, and of the next one."""

ADAPTERS_KEPT = 4
"""Adapters that the engine keeps in the machine's memory: those two, and two that still drain."""

_LAYER = re.compile(r"(?:^|\.)layers\.([0-9]+)\.(.+)", re.ASCII)


def check_adapter(deployment: Deployment, facts: Facts, subject: Subject) -> None:
    """Refuse an adapter that cannot answer for this model.

    Raises:
        Refusal: Naming the weights, the layer or the rank that does not match.
    """
    asked, found = deployment.model.adapter, facts.adapter
    if asked is None:
        return
    if found is None:
        raise _refused("no adapter was looked up for this target", "remove model.adapter")
    if found.unsupported:
        raise _refused(
            f"the engine does not load this adapter: {found.unsupported}",
            "merge it into the weights (output.merge: true), and serve these as model.source",
        )
    if found.base == "other":
        raise _refused(
            f"the adapter was trained on {found.trained_on}, and the service serves"
            f" {facts.model.source} at {facts.model.revision[:12]}, which are other weights",
            "serve the weights that it was trained on, or train it anew on these",
        )
    _check_layers(found, subject.profile)
    _check_rank(deployment, found)
    if found.refused and not asked.despite_gate:
        raise _refused(
            f"its evaluation refused it: {found.refused}",
            "serve a run that passed; or write down a reason as model.adapter.despite_gate",
        )


def _refused(message: str, hint: str) -> Refusal:
    return Refusal(message, path="model.adapter", hint=hint)


def _check_rank(deployment: Deployment, found: AdapterFacts) -> None:
    room = deployment.engine.adapter_rank
    if found.rank > RANKS[-1]:
        raise _refused(
            f"the adapter's rank is {found.rank}, and the engine takes {RANKS[-1]} at most",
            "train it with a lower rank, or merge it into the weights",
        )
    if room and found.rank > room:
        raise Refusal(
            f"the adapter's rank is {found.rank}, and engine.adapter_rank keeps room for {room}",
            path="engine.adapter_rank",
            hint="raise engine.adapter_rank, or train with a lower rank",
            fixes=[{"engine.adapter_rank": found.rank}],
        )


def _check_layers(found: AdapterFacts, profile: Profile) -> None:
    if not found.layers:
        raise _refused("the adapter changes no layer", "name a folder in peft's format")
    known = {one.name: one for one in linears(profile)}
    for layer in found.layers:
        _check_layer(layer, known, profile)


def _check_layer(layer: AdaptedLayer, known: dict[str, Linear], profile: Profile) -> None:
    numbered = _LAYER.search(layer.name)
    name = numbered[2] if numbered else layer.name
    one = known.get(name) or next(
        (known[end] for end in known if layer.name.endswith(f".{end}")), None
    )
    there = one is not None and (numbered is None or int(numbered[1]) < len(profile.layers))
    if one is None or not there:
        raise _refused(
            f"the adapter changes {layer.name}, and {profile.name} has no such layer",
            "serve the model that it was trained on",
        )
    if one.role != "linear":
        raise _refused(
            f"the adapter changes {layer.name}, and of adapters only linear layers are served",
            "merge it into the weights (output.merge: true), and serve these as model.source",
        )
    if (layer.outputs, layer.inputs) != (one.outputs, one.inputs):
        raise _refused(
            f"the adapter's {layer.name} is for {layer.inputs} inputs and {layer.outputs} outputs,"
            f" and {profile.name} has {one.inputs} and {one.outputs} there",
            "serve the model that it was trained on",
        )


def adapter_rank(deployment: Deployment, facts: Facts) -> int:
    """The rank that the engine keeps room for, one of its own sizes; 0 for no adapters."""
    own = facts.adapter.rank if facts.adapter and deployment.model.adapter else 0
    wanted = max(deployment.engine.adapter_rank, own)
    return next((rank for rank in RANKS if rank >= wanted), RANKS[-1]) if wanted else 0


def adapters_bytes(subject: Subject, rank: int, device: str) -> int:
    """What room for adapters takes of one shard.

    The engine sets aside, for every layer that could have one, matrices of the whole rank in the
    model's format, once a slot; on a CPU what it keeps beside them is in the same memory. Counted
    whole on each shard, though some of it is cut.
    """
    wide = sum(
        one.count * (one.inputs + one.outputs)
        for one in linears(subject.profile)
        if one.role != "expert"
    )
    copies = ADAPTER_SLOTS + (ADAPTERS_KEPT if device == "cpu" else 0)
    return copies * rank * wide * subject.element


def adapters_reason(size: int, rank: int) -> str:
    """The words for it in a plan."""
    return f"{Bytes(size).human()} of it for {ADAPTER_SLOTS} adapters of rank {rank} at once"


def host_of(deployment: Deployment, facts: Facts, rank: int) -> LiveRelease | None:
    """The live release whose engine can load this one's adapter; None where it needs its own."""
    wanted = engine_identity(deployment, facts, rank)
    found = [
        release
        for release in facts.live
        if release.plan is not None
        and release.service == deployment.name
        and release.share
        and wanted
        and release.plan.engine_identity == wanted
    ]
    return max(found, key=lambda release: release.share, default=None)


def planned_adapter(deployment: Deployment, facts: Facts) -> PlannedAdapter | None:
    """The adapter part of the plan."""
    asked, found = deployment.model.adapter, facts.adapter
    if asked is None or found is None:
        return None
    return PlannedAdapter(
        source=found.source,
        digest=found.digest,
        rank=found.rank,
        run=found.run,
        data=found.data,
        trained_on=found.trained_on,
        despite_gate=(asked.despite_gate or "") if found.refused else "",
    )


def adapter_notes(deployment: Deployment, facts: Facts) -> list[str]:
    """What is to be known of the adapter."""
    asked, found = deployment.model.adapter, facts.adapter
    if asked is None or found is None:
        return []
    notes = []
    if found.base == "untold":
        notes.append("the adapter does not say which weights it was trained on: its layers fit"
                     " these, and no more is known")  # fmt: skip
    if found.refused and asked.despite_gate:
        notes.append(f"its evaluation refused the adapter ({found.refused}), and it is served"
                     f" all the same: {asked.despite_gate}")  # fmt: skip
    return notes
