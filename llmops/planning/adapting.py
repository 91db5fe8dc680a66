"""Adapters in a plan: whether one is of the model that is served, what it takes, whose engine.

What the engine would refuse minutes later, or answer nonsense with, is refused here: an adapter of
other weights, layers that the model has not, ranks beyond the engine's; and a model name that is
another service's. Pure. Sizes in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmops.planning.adapter import AdaptedLayer, AdapterFacts, AdapterRoom, PlannedAdapter
from llmops.planning.architecture import Profile
from llmops.planning.identity import engine_identity
from llmops.planning.model import Facts, LiveRelease
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.planning.training import Linear, linears
from llmops.spec import OWN, Adapter, Deployment, adapter_path, adapters_of
from llmops.units import Bytes

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that the engine keeps room for (vLLM's `MaxLoRARanks`); one in between takes the next."""

_LAYER = re.compile(r"(?:^|\.)layers\.([0-9]+)\.(.+)", re.ASCII)


def check_adapters(deployment: Deployment, facts: Facts, subject: Subject) -> None:
    """Refuse adapters that cannot answer for this model, and names that are not free.

    Raises:
        Refusal: Naming the weights, the layer or the rank that does not match, or the name.
    """
    _check_names(deployment, facts)
    _check_count(deployment)
    found = _found(facts)
    for name, asked in adapters_of(deployment.model).items():
        path = adapter_path(name)
        if name not in found:
            raise Refusal(
                "no adapter was looked up for this target", path=path, hint=f"remove {path}"
            )
        try:
            _check(deployment, facts, subject, asked, found[name])
        except _NoAnswer as why:
            raise Refusal(why.message, path=path, hint=why.hint) from why


class _NoAnswer(Exception):
    """Why an adapter cannot answer, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def _found(facts: Facts) -> dict[str, AdapterFacts]:
    """What was looked up, by the name that is asked for."""
    return ({OWN: facts.adapter} if facts.adapter else {}) | dict(facts.adapters)


def _check_names(deployment: Deployment, facts: Facts) -> None:
    """One endpoint answers for all services of this machine: a model name is one's alone."""
    for name, path in (
        (deployment.name, "name"),
        *((name, adapter_path(name)) for name in deployment.model.adapters),
    ):
        if holder := facts.taken.get(name):
            whose = "is a service" if holder == name else f"is a model name of {holder}"
            raise Refusal(
                f"'{name}' {whose} at the same endpoint, which knows by the name what is asked for",
                path=path, hint="choose another name",
            )  # fmt: skip


def _check_count(deployment: Deployment) -> None:
    room, there = deployment.engine.adapter_count, len(adapters_of(deployment.model))
    if room and there > room:
        raise Refusal(
            f"the release has {there} adapters, and engine.adapter_count keeps room for {room}",
            path="engine.adapter_count",
            hint="raise engine.adapter_count, or take a name out of model.adapters",
            fixes=[{"engine.adapter_count": there}],
        )


def _check(
    deployment: Deployment, facts: Facts, subject: Subject, asked: Adapter, found: AdapterFacts
) -> None:
    if found.unsupported:
        raise _NoAnswer(
            f"the engine does not load this adapter: {found.unsupported}",
            "merge it into the weights (output.merge: true), and serve these as model.source",
        )
    if found.base == "other":
        raise _NoAnswer(
            f"the adapter was trained on {found.trained_on}, and the service serves"
            f" {facts.model.source} at {facts.model.revision[:12]}, which are other weights",
            "serve the weights that it was trained on, or train it anew on these",
        )
    _check_layers(found, subject.profile)
    _check_rank(deployment, found)
    if found.refused and not asked.despite_gate:
        raise _NoAnswer(
            f"its evaluation refused it: {found.refused}",
            "serve a run that passed; or write down a reason beside its source: despite_gate",
        )


def _check_rank(deployment: Deployment, found: AdapterFacts) -> None:
    room = deployment.engine.adapter_rank
    if found.rank > RANKS[-1]:
        raise _NoAnswer(
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
        raise _NoAnswer("the adapter changes no layer", "name a folder in peft's format")
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
        raise _NoAnswer(
            f"the adapter changes {layer.name}, and {profile.name} has no such layer",
            "serve the model that it was trained on",
        )
    if one.role != "linear":
        raise _NoAnswer(
            f"the adapter changes {layer.name}, and of adapters only linear layers are served",
            "merge it into the weights (output.merge: true), and serve these as model.source",
        )
    if (layer.outputs, layer.inputs) != (one.outputs, one.inputs):
        raise _NoAnswer(
            f"the adapter's {layer.name} is for {layer.inputs} inputs and {layer.outputs} outputs,"
            f" and {profile.name} has {one.inputs} and {one.outputs} there",
            "serve the model that it was trained on",
        )


def adapter_room(deployment: Deployment, facts: Facts) -> AdapterRoom:
    """What the engine keeps room for: what is asked for, and what the release itself has."""
    asked, found = adapters_of(deployment.model), _found(facts)
    own = max((found[name].rank for name in asked if name in found), default=0)
    wanted = max(deployment.engine.adapter_rank, own)
    if not wanted:
        return AdapterRoom()
    rank = next((rank for rank in RANKS if rank >= wanted), RANKS[-1])
    return AdapterRoom(rank, max(deployment.engine.adapter_count, len(asked), 1))


def adapters_bytes(subject: Subject, room: AdapterRoom, device: str) -> int:
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
    copies = room.at_once + (room.kept if device == "cpu" else 0)
    return copies * room.rank * wide * subject.element


def adapters_reason(size: int, room: AdapterRoom) -> str:
    """The words for it in a plan."""
    return f"{Bytes(size).human()} of it for {room.at_once} adapters of rank {room.rank} at once"


def host_of(deployment: Deployment, facts: Facts) -> LiveRelease | None:
    """The live release whose engine can load this one's adapters; None where it needs its own."""
    wanted = engine_identity(deployment, facts, adapter_room(deployment, facts))
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


def planned_adapters(deployment: Deployment, facts: Facts) -> dict[str, Any]:
    """The adapter parts of the plan's model: `adapter` and `adapters`."""
    found = _found(facts)
    planned = {
        name: _planned(asked, found[name])
        for name, asked in adapters_of(deployment.model).items()
        if name in found
    }
    return {"adapter": planned.pop(OWN, None), "adapters": planned}


def _planned(asked: Adapter, found: AdapterFacts) -> PlannedAdapter:
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
    """What is to be known of the adapters."""
    found = _found(facts)
    return [
        note
        for name, asked in adapters_of(deployment.model).items()
        if name in found
        for note in _notes(name, asked, found[name])
    ]


def _notes(name: str, asked: Adapter, found: AdapterFacts) -> Iterator[str]:
    which = "the adapter" if name == OWN else f"the adapter of '{name}'"
    if name != OWN:
        yield f"'{name}' is a model name of its own, answered with {found.source}"
    if found.base == "untold":
        yield (f"{which} does not say which weights it was trained on: its layers fit"
               " these, and no more is known")  # fmt: skip
    if found.refused and asked.despite_gate:
        yield (f"its evaluation refused {which} ({found.refused}), and it is served"
               f" all the same: {asked.despite_gate}")  # fmt: skip
