"""Adapters in plans: which are refused and why, what they take, and when one engine does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import RefusedError
from llmops.planning import (
    AdaptedLayer,
    AdapterFacts,
    Facts,
    LiveRelease,
    Plan,
    make_plan,
    plan_document,
)
from llmops.releases import History, Release, State, records, release_document
from llmops.units import Bytes
from serving.engines import EngineRun
from serving.engines.vllm import command
from tests.planning.worlds import deployment, make_facts

Q = AdaptedLayer("model.layers.0.self_attn.q_proj", 576, 576, 8)
FOUND = AdapterFacts(
    source="run://style/3",
    digest="a" * 64,
    layers=(Q, AdaptedLayer("model.layers.29.mlp.down_proj", 576, 1536, 8)),
    base="same",
    trained_on="hf://published/smollm2-135m at 000000000000",
    run="style/3",
    data="d" * 64,
)
ASKED = {"source": "hf://published/model", "adapter": {"source": "run://style/3"}}


def facts(adapter: AdapterFacts | None = FOUND, **more: Any) -> Facts:
    return replace(make_facts(**more), adapter=adapter)


def planned(adapter: AdapterFacts | None = FOUND, **sections: Any) -> Plan:
    return make_plan(deployment(**({"model": ASKED} | sections)), facts(adapter))


def test_the_plan_names_the_adapter_and_keeps_room_for_its_rank() -> None:
    plan = planned()
    assert plan.model.adapter is not None
    assert (plan.model.adapter.run, plan.model.adapter.rank) == ("style/3", 8)
    assert plan.engine.adapter_rank == 8
    bare = make_plan(deployment(), make_facts())
    more = int(plan.memory.overhead.value) - int(bare.memory.overhead.value)
    # By hand: each of 30 layers has q and o of 576 x 576, k and v of 576 x 192, gate, up and down
    # of 576 x 1536; the table of 49,152 tokens counts once. Six copies of rank 8 in bfloat16.
    a_layer = 2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536)
    assert more == 6 * 8 * 2 * (30 * a_layer + 576 + 49152)
    assert f"{Bytes(more).human()} of it for 2 adapters of rank 8 at once" in (
        plan.memory.overhead.reason
    )


def test_a_plan_without_adapters_says_nothing_of_them() -> None:
    document = plan_document(make_plan(deployment(), make_facts()))
    assert "adapter" not in document["model"]
    assert "adapter_rank" not in document["engine"]
    assert plan_document(planned())["model"]["adapter"]["source"] == "run://style/3"


@pytest.mark.parametrize(
    ("asked", "own", "kept"), [(0, 8, 8), (0, 9, 16), (1, 0, 8), (17, 8, 32), (400, 0, 512)]
)
def test_the_rank_is_one_of_the_engines_own(asked: int, own: int, kept: int) -> None:
    found = replace(FOUND, layers=(replace(Q, rank=own),)) if own else None
    model = ASKED if own else {"source": "hf://published/model"}
    assert planned(found, model=model, engine={"adapter_rank": asked}).engine.adapter_rank == kept


@pytest.mark.parametrize(
    ("changed", "sections", "path", "says"),
    [
        ({"base": "other", "trained_on": "hf://a/b at 123456789abc"}, {}, "model.adapter",
         "trained on hf://a/b at 123456789abc, and the service serves hf://published/smollm2-135m"),
        ({"layers": (replace(Q, name="model.layers.30.self_attn.q_proj"),)}, {}, "model.adapter",
         "the adapter changes model.layers.30.self_attn.q_proj, and"),
        ({"layers": (replace(Q, name="model.layers.0.self_attn.qkv"),)}, {}, "model.adapter",
         "has no such layer"),
        ({"layers": (replace(Q, inputs=1024),)}, {}, "model.adapter",
         "is for 1024 inputs and 576 outputs, and"),
        ({"layers": (AdaptedLayer("model.embed_tokens", 49152, 576, 8),)}, {}, "model.adapter",
         "of adapters only linear layers are served"),
        ({"layers": ()}, {}, "model.adapter", "the adapter changes no layer"),
        ({"layers": (replace(Q, rank=513),)}, {}, "model.adapter",
         "the adapter's rank is 513, and the engine takes 512 at most"),
        ({"layers": (replace(Q, rank=64),)}, {"engine": {"adapter_rank": 16}},
         "engine.adapter_rank",
         "the adapter's rank is 64, and engine.adapter_rank keeps room for 16"),
        ({"unsupported": "it has DoRA"}, {}, "model.adapter",
         "the engine does not load this adapter: it has DoRA"),
        ({"refused": "exact_match 0.2, 0.5 at least"}, {}, "model.adapter",
         "its evaluation refused it: exact_match 0.2, 0.5 at least"),
    ],
)  # fmt: skip
def test_an_adapter_that_cannot_answer_is_refused(
    changed: dict[str, Any], sections: dict[str, Any], path: str, says: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        planned(replace(FOUND, **changed), **sections)
    assert caught.value.path == path
    assert says in caught.value.message
    assert caught.value.hint


def test_a_rank_that_is_too_large_is_planned_with_more_room() -> None:
    with pytest.raises(RefusedError) as caught:
        planned(replace(FOUND, layers=(replace(Q, rank=64),)), engine={"adapter_rank": 16})
    assert caught.value.changes == {"engine.adapter_rank": 64}


def test_what_the_gate_refused_is_served_for_a_reason_that_is_recorded() -> None:
    asked = {"adapter": {"source": "run://style/3", "despite_gate": "a demonstration"}}
    plan = planned(replace(FOUND, refused="too few"), model=ASKED | asked)
    assert plan.model.adapter is not None
    assert plan.model.adapter.despite_gate == "a demonstration"
    assert any("a demonstration" in note for note in plan.notes)


def test_what_brings_no_lineage_is_said_so() -> None:
    notes = planned(replace(FOUND, base="untold", trained_on="")).notes
    assert any("does not say which weights it was trained on" in note for note in notes)


# One engine for several releases

ROOM = {"engine": {"adapter_rank": 8}}
BARE = {"model": {"source": "hf://published/model"}}


def live(plan: Plan, number: int = 1, share: int = 100) -> LiveRelease:
    memory = int(plan.memory.total.value)
    return LiveRelease("chat", number, plan.identity, share, memory, 3, plan=plan)


def beside(first: Plan, **sections: Any) -> Plan:
    """A plan with the adapter, made beside a release of `first` on a machine without more room."""
    tight = facts(machine={"memory": "8GiB", "free": "1GiB"})
    spec = deployment(**({"model": ASKED} | ROOM | sections))
    return make_plan(spec, replace(tight, live=(live(first),)))


def test_an_adapter_for_which_there_is_room_needs_no_second_engine() -> None:
    first = planned(None, **BARE, **ROOM)
    plan = beside(first)
    assert plan.engine_identity == first.engine_identity != ""
    assert plan.identity != first.identity
    assert (plan.memory, plan.layout) == (first.memory, first.layout)
    assert any("loaded into the same engine" in note for note in plan.notes)
    assert EngineRun.of(Release("chat", 1, plan, State.LIVE, 0.0)) == EngineRun.of(
        Release("chat", 1, first, State.LIVE, 0.0)
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"engine": {"adapter_rank": 16}},
        {"security": {"max_tokens": 99}},
        {"engine": {"adapter_rank": 8, "args": {"seed": 1}}},
        {"maintenance": {"strategy": "recreate"}},
        {"scaling": {"replicas": "1..2"}},
    ],
    ids=str,
)
def test_whatever_else_is_changed_gets_an_engine_of_its_own(sections: dict[str, Any]) -> None:
    first = planned(None, **BARE, **ROOM)
    spec = deployment(**({"model": ASKED} | ROOM | sections))
    plan = make_plan(spec, replace(facts(), live=(live(first),)))
    assert plan.engine_identity != first.engine_identity
    history = History("chat", (Release("chat", 1, first, State.LIVE, 0.0),))
    assert records.begin(history, plan, 1.0)[1].hosted_by is None


def test_an_engine_without_room_holds_no_other_adapter() -> None:
    first = planned(None, **BARE)
    assert first.engine_identity == ""
    assert EngineRun.of(Release("chat", 1, first, State.LIVE, 0.0)).adapter_rank == 0


def test_the_engine_is_told_of_the_room() -> None:
    run = EngineRun.of(Release("chat", 1, planned(), State.LIVE, 0.0))
    told = command(run, Path("/model"))
    assert told[told.index("--enable-lora") :][:7] == [
        "--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--max-cpu-loras", "4",
    ]  # fmt: skip
    assert EngineRun(**run.document()) == run


# Records

FIRST = planned(None, **BARE, **ROOM)


def history(*plans: Plan) -> History:
    """Each of these released after the one before."""
    found = History("chat")
    for number, plan in enumerate(plans, 1):
        found, release = records.begin(found, plan, float(number))
        assert release.number == number
        found = records.promote(found, number, float(number))
    return found


def with_adapter(digest: str) -> Plan:
    spec = deployment(**({"model": ASKED} | ROOM))
    found = replace(facts(replace(FOUND, digest=digest * 64)), live=(live(FIRST),))
    return make_plan(spec, found)


def test_releases_in_one_engine_name_the_release_whose_it_is() -> None:
    found = history(FIRST, with_adapter("a"), with_adapter("b"), FIRST)
    assert [release.hosted_by for release in found.releases] == [None, 1, 1, 1]
    assert [release.engine for release in found.releases] == [1, 1, 1, 1]


def test_the_record_of_an_engine_that_answers_is_kept() -> None:
    found = history(FIRST, with_adapter("a"), with_adapter("b"), with_adapter("c"))
    kept = records.retain(found, 1)
    assert [release.number for release in kept.releases] == [1, 3, 4]
    assert 1 in records.logged(found, 0)


def test_a_release_with_an_engine_of_its_own_ends_the_sharing() -> None:
    other = make_plan(deployment(security={"max_tokens": 99}), make_facts())
    found = history(FIRST, with_adapter("a"), other, with_adapter("b"))
    assert [release.hosted_by for release in found.releases] == [None, 1, None, None]


def test_the_history_shows_the_adapter_and_whose_engine_answers() -> None:
    found = history(FIRST, with_adapter("a"))
    first, second = (release_document(release) for release in found.releases)
    assert "adapter" not in first["model"]
    assert "hosted_by" not in first
    assert second["model"]["adapter"]["run"] == "style/3"
    assert second["model"]["adapter"]["data"] == "d" * 64
    assert second["hosted_by"] == 1
