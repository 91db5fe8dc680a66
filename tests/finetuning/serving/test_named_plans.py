"""Adapters with a model name of their own in specs and plans: which names may be, the room that is
kept, and when one engine does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmops.errors import RefusedError
from llmops.planning import AdapterFacts, LiveRelease, Plan, digest, make_plan, plan_document
from llmops.releases import History, Release, State, dumps, records, release_document
from llmops.releases import loads as loads_history
from llmops.spec import Deployment
from serving.engines import EngineRun
from tests.finetuning.serving.test_adapter_plans import FOUND, Q
from tests.planning.worlds import deployment, make_facts

ROOM = {"adapter_rank": 8, "adapter_count": 3}


def of(digest: str, **changed: Any) -> AdapterFacts:
    return replace(FOUND, digest=digest * 64, **changed)


def spec(*names: str, engine: dict[str, Any] = ROOM, **sections: Any) -> Deployment:
    adapters = {name: {"source": "run://style/3"} for name in names}
    model = {"source": "hf://published/model", "adapters": adapters}
    return deployment(**({"model": model, "engine": engine} | sections))


def named_plan(live: Plan | None = None, **names: str) -> Plan:
    """The plan of a service whose adapters have these names, with the digests' letters."""
    found = {name: of(letter) for name, letter in names.items()}
    beside = (LiveRelease("chat", 1, live.identity, 100, 0, 0, plan=live),) if live else ()
    return make_plan(spec(*names), replace(make_facts(), adapters=found, live=beside))


def test_the_plan_has_each_name_with_its_adapter_and_says_so() -> None:
    plan = named_plan(formal="a", brief="b")
    assert plan.model.adapter is None
    assert {name: one.digest[0] for name, one in plan.model.adapters.items()} == {
        "brief": "b", "formal": "a",
    }  # fmt: skip
    assert "'formal' is a model name of its own, answered with run://style/3" in plan.notes
    assert plan_document(plan)["model"]["adapters"]["brief"]["rank"] == 8
    assert "adapters" not in plan_document(make_plan(deployment(), make_facts()))["model"]


def test_the_record_keeps_the_names() -> None:
    release = Release("chat", 1, named_plan(formal="a"), State.LIVE, 0.0)
    history = History("chat", (release,))
    assert loads_history(dumps(history)) == history
    assert release_document(release)["model"]["adapters"]["formal"]["digest"] == "a" * 64


def test_a_record_of_before_there_were_names_is_read() -> None:
    history = History("chat", (Release("chat", 1, named_plan(), State.LIVE, 0.0),))
    text = dumps(history)
    older = text.replace('"adapters": {}', '"more": {}').replace('"adapter_count"', '"more"')
    assert older != text
    assert loads_history(older).releases[0].plan.model.adapters == {}


@pytest.mark.parametrize(
    ("engine", "names", "count"), [({}, 0, 1), ({}, 1, 1), ({}, 3, 3), (ROOM, 1, 3)]
)
def test_room_is_kept_for_what_is_asked_for_and_for_what_is_there(
    engine: dict[str, Any], names: int, count: int
) -> None:
    wanted = [f"n{number}" for number in range(names)]
    found = {name: of("a") for name in wanted}
    plan = make_plan(spec(*wanted, engine=engine), replace(make_facts(), adapters=found))
    assert plan.engine.adapter_count == count
    for_one = make_plan(spec(engine={"adapter_rank": 8}), make_facts())
    bare, room, taken = (
        int(one.memory.overhead.value)
        for one in (make_plan(spec(engine={}), make_facts()), for_one, plan)
    )
    # A release's, and one more, at once; four times a release's in the machine's memory.
    copies = (count + 1 + 4 * count) * bool(names or engine)
    assert (taken - bare) * 6 == (room - bare) * copies
    run = EngineRun.of(Release("chat", 1, plan, State.LIVE, 0.0))
    assert EngineRun(**run.document()) == run
    assert run.adapter_count == count


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"base": "other", "trained_on": "hf://a/b at 123456789abc"}, "trained on hf://a/b"),
        ({"layers": (replace(Q, inputs=1024),)}, "is for 1024 inputs and 576 outputs"),
        ({"unsupported": "it has DoRA"}, "does not load this adapter: it has DoRA"),
        ({"refused": "too few"}, "its evaluation refused it: too few"),
    ],
)
def test_one_that_cannot_answer_is_refused_by_its_name(changed: Any, says: str) -> None:
    found = {"formal": of("a"), "brief": of("b", **changed)}
    with pytest.raises(RefusedError) as caught:
        make_plan(spec("formal", "brief"), replace(make_facts(), adapters=found))
    assert caught.value.path == "model.adapters.brief"
    assert says in caught.value.message


def test_the_largest_rank_is_kept_room_for_and_one_beyond_it_refused() -> None:
    found = {"formal": of("a"), "brief": of("b", layers=(replace(Q, rank=20),))}
    facts = replace(make_facts(), adapters=found)
    assert make_plan(spec("formal", "brief", engine={}), facts).engine.adapter_rank == 32
    with pytest.raises(RefusedError) as caught:
        make_plan(spec("formal", "brief"), facts)
    assert caught.value.changes == {"engine.adapter_rank": 20}


def test_more_than_there_is_room_for_is_refused_with_what_would_do() -> None:
    found = {name: of("a") for name in ("a", "b")}
    with pytest.raises(RefusedError) as caught:
        make_plan(
            spec("a", "b", engine={"adapter_rank": 8, "adapter_count": 1}),
            replace(make_facts(), adapters=found),
        )
    assert caught.value.path == "engine.adapter_count"
    assert caught.value.changes == {"engine.adapter_count": 2}


@pytest.mark.parametrize(
    ("taken", "path", "says"),
    [
        ({"formal": "formal"}, "model.adapters.formal", "'formal' is a service at"),
        ({"formal": "other"}, "model.adapters.formal", "'formal' is a model name of other"),
        ({"chat": "other"}, "name", "'chat' is a model name of other"),
    ],
)
def test_a_name_is_one_services_alone(taken: dict[str, str], path: str, says: str) -> None:
    facts = replace(make_facts(), adapters={"formal": of("a")}, taken=taken)
    with pytest.raises(RefusedError, match=says) as caught:
        make_plan(spec("formal"), facts)
    assert caught.value.path == path


def test_a_name_more_or_another_adapter_is_another_release_of_the_same_engine() -> None:
    first = named_plan()
    plans = [
        named_plan(first, formal="a"),
        named_plan(first, formal="b"),
        named_plan(first, formal="a", brief="b"),
    ]
    assert len({plan.identity for plan in (first, *plans)}) == 4
    assert {plan.engine_identity for plan in plans} == {first.engine_identity}
    for plan in plans:
        assert any("loaded into the same engine" in note for note in plan.notes)
        history = History("chat", (Release("chat", 1, first, State.LIVE, 0.0),))
        assert records.begin(history, plan, 1.0)[1].hosted_by == 1


def test_more_room_is_another_engine_and_room_for_one_is_the_one_of_before() -> None:
    one, more = ({"adapter_rank": 8, "adapter_count": count} for count in (1, 2))
    plans = [make_plan(spec(engine=e), make_facts()) for e in ({"adapter_rank": 8}, one, more)]
    identities = [plan.engine_identity for plan in plans]
    assert identities[0] == identities[1] != identities[2] != ""
    facts = make_facts()  # and as engines were known before there was room for more than one
    asked = deployment().model_dump(mode="json", exclude_defaults=True)
    engine = asked | {"model": {"source": asked["model"]["source"]}, "engine": {"adapter_rank": 8}}
    assert identities[0] == digest([engine, facts.model.revision, facts.engine_version])
