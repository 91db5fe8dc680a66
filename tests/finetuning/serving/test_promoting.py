"""What it means to serve a run: the live deployment with its adapter, and nothing else changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError, RefusedError
from llmops.planning import AdapterFacts, make_plan
from llmops.releases import Release, State, dumps, records
from llmops.releases.model import History
from llmops.spec.models import Deployment
from serving.finetune.artefacts import Base, Gated, base_of, promotion, served_runs
from tests.finetuning.serving.test_adapter_plans import FOUND, facts
from tests.finetuning.serving.test_named_plans import named_plan
from tests.planning.worlds import deployment
from tests.support.adapters import lineage, make_adapter, make_run
from tests.support.tiny_model import make_tiny_model

MODEL = {"source": "hf://published/model", "revision": "0" * 40, "context": 512}
REFUSED = Gated("refused", ("exact_match 0.2, 0.5 at least",))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs 1 (passed), 2 (refused) and 12 (passed) of `style`, and run 1 of `whole`: weights."""
    home = tmp_path_factory.mktemp("home")
    model = make_tiny_model(home / "tiny")
    base = base_of(model, "hf://published/model", "0" * 40)
    made = make_adapter(home / "made", model, seed=1)
    for number, gate in ((1, None), (2, REFUSED), (12, None)):
        make_run(home, lineage("style", number, base, gate), made)
    make_run(home, lineage("whole", 1, base, None), model)
    make_run(home, lineage("whole", 2, Base("x", "y", {}), REFUSED), model)
    return home


def live(**sections: Any) -> tuple[Release, ...]:
    return live_of(deployment(**({"model": MODEL} | sections)), None)


def live_of(spec: Deployment, adapter: AdapterFacts | None = FOUND) -> tuple[Release, ...]:
    found = dict.fromkeys(spec.model.adapters, FOUND)
    plan = make_plan(spec, replace(facts(adapter), adapters=found))
    return (Release("chat", 3, plan, State.LIVE, 0.0),)


def test_only_the_adapter_is_changed(home: Path) -> None:
    releases = live(security={"max_tokens": 99, "keys": ["a"]}, engine={"adapter_rank": 8})
    made = promotion(home, "style/1", releases)
    before = Deployment.model_validate(releases[0].plan.asked).model_dump()
    after = made.deployment.model_dump()
    assert after["model"].pop("adapter") == {"source": "run://style/1", "despite_gate": None}
    assert before["model"].pop("adapter") is None
    assert after == before
    assert (made.source, made.before, made.run) == ("run://style/1", "", "style/1")
    assert (made.gate, made.metrics, made.data) == ("passed", {"loss": 1.5}, "d" * 64)


def test_the_newest_run_is_meant_where_none_is_said(home: Path) -> None:
    assert promotion(home, "style", live()).source == "run://style/12"
    assert promotion(home, "run://style/1", live()).source == "run://style/1"


def test_the_adapter_before_is_named(home: Path) -> None:
    spec = deployment(model=MODEL | {"adapter": {"source": "run://style/3"}})
    releases = (Release("chat", 3, make_plan(spec, facts()), State.LIVE, 0.0),)
    assert promotion(home, "style/1", releases).before == "run://style/3"


def test_a_canary_is_asked_for_by_its_share(home: Path) -> None:
    upkeep = promotion(home, "style/1", live(), canary=25).deployment.maintenance
    assert (upkeep.strategy, upkeep.canary.steps) == ("canary", (25,))


def test_weights_are_a_model_of_their_own(home: Path) -> None:
    model = promotion(home, "whole/1", live()).deployment.model
    folder = home / "finetune" / "whole" / "runs" / "1" / "artefact"
    assert (model.source, model.revision, model.adapter) == (f"file://{folder}", None, None)
    assert model.context == 512


def test_what_the_gate_refused_needs_a_reason_that_stays(home: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        promotion(home, "style/2", live())
    assert "exact_match 0.2, 0.5 at least" in caught.value.message
    assert "--despite-gate" in caught.value.hint
    made = promotion(home, "style/2", live(), despite_gate="a demonstration")
    assert made.deployment.model.adapter is not None
    assert made.deployment.model.adapter.despite_gate == "a demonstration"
    assert made.despite_gate == "a demonstration"


def test_a_reason_that_is_not_needed_is_not_recorded(home: Path) -> None:
    made = promotion(home, "style/1", live(), despite_gate="just in case")
    assert made.deployment.model.adapter is not None
    assert made.deployment.model.adapter.despite_gate is None


def test_refused_weights_are_not_promoted_for_any_reason(home: Path) -> None:
    for run, merge in (("whole/2", False), ("style/2", True)):
        with pytest.raises(RefusedError, match="its evaluation refused it"):
            promotion(home, run, live(), merge=merge, despite_gate="please")


def test_an_adapter_is_not_merged_into_other_weights(home: Path) -> None:
    releases = live(model={"source": "hf://published/model"})  # of another revision, in the plan
    plan = releases[0].plan
    assert plan.model.source == "hf://published/smollm2-135m"
    with pytest.raises(InputError, match="was trained on hf://published/model at 000000000000"):
        promotion(home, "style/1", releases, merge=True)


@pytest.mark.parametrize(
    ("run", "says", "hint"),
    [
        ("style/4", "run 4 of style has no artefact here", "1, 2, 12"),
        ("other", "other has no artefact here", "none"),
        ("Style/1", "'Style/1' names no run", "NAME/N"),
        ("style/../x", "names no run", "NAME/N"),
    ],
)
def test_a_run_that_is_not_there_is_named(home: Path, run: str, says: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        promotion(home, run, live())
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_nothing_is_promoted_to_a_service_that_does_not_serve(home: Path) -> None:
    with pytest.raises(InputError, match="no live release"):
        promotion(home, "style/1", ())


def test_the_runs_that_releases_answer_with_are_known(tmp_path: Path) -> None:
    assert served_runs(tmp_path) == frozenset()
    spec = deployment(model=MODEL | {"adapter": {"source": "run://style/3"}})
    history, _ = records.begin(History("chat"), make_plan(spec, facts()), 1.0)
    (tmp_path / "releases" / "chat.json").write_text(dumps(history))
    assert served_runs(tmp_path) == {("style", 3)}


@pytest.mark.parametrize("last", ["artefact", "merged"])
def test_so_are_those_whose_weights_are_served_in_place(tmp_path: Path, last: str) -> None:
    weights = tmp_path / "finetune" / "style" / "runs" / "4" / last
    assert served_runs(tmp_path) == frozenset()
    plan = make_plan(deployment(model=MODEL), facts())
    plan = replace(plan, model=replace(plan.model, source=f"file://{weights}"))
    history, _ = records.begin(History("chat"), plan, 1.0)
    (tmp_path / "releases" / "chat.json").write_text(dumps(history))
    assert served_runs(tmp_path) == {("style", 4)}


def test_a_reason_that_is_too_long_is_told_and_not_thrown(home: Path) -> None:
    with pytest.raises(InputError, match="despite_gate") as caught:
        promotion(home, "style/2", live(), despite_gate="x" * 201)
    assert "200 characters" in caught.value.hint


def test_a_target_that_cannot_read_it_here_is_refused(home: Path) -> None:
    spec = deployment(model=MODEL, target={"kind": "kubernetes"})
    plan = replace(live()[0].plan, asked=spec.model_dump(mode="json"))
    with pytest.raises(InputError, match="the target kubernetes cannot read it"):
        promotion(home, "whole/1", (Release("chat", 3, plan, State.LIVE, 0.0),))


# With a model name of its own


def test_a_name_of_its_own_is_added_and_nothing_else_changed(home: Path) -> None:
    model = MODEL | {
        "adapter": {"source": "run://style/3"},
        "adapters": {"brief": {"source": "run://style/3"}},
    }
    releases = live_of(deployment(model=model, security={"keys": ["a"]}))
    made = promotion(home, "style/1", releases, named="formal")
    before = Deployment.model_validate(releases[0].plan.asked).model_dump()
    after = made.deployment.model_dump()
    assert after["model"]["adapters"].pop("formal") == {
        "source": "run://style/1", "despite_gate": None,
    }  # fmt: skip
    assert after == before
    assert (made.name, made.before, made.source) == ("formal", "", "run://style/1")


def test_in_its_place_the_name_keeps_what_it_is_called_and_so_do_the_others(home: Path) -> None:
    adapters = {name: {"source": "run://style/3"} for name in ("formal", "brief")}
    releases = live_of(deployment(model=MODEL | {"adapters": adapters}))
    made = promotion(home, "style/1", releases, named="formal")
    sources = {name: one.source for name, one in made.deployment.model.adapters.items()}
    assert sources == {"formal": "run://style/1", "brief": "run://style/3"}
    assert made.before == "run://style/3"
    own = promotion(home, "style/1", releases)
    assert (own.name, own.before) == ("chat", "")
    assert set(own.deployment.model.adapters) == {"formal", "brief"}


def test_a_refused_one_needs_its_reason_under_a_name_too(home: Path) -> None:
    with pytest.raises(RefusedError, match="its evaluation refused it"):
        promotion(home, "style/2", live(), named="formal")
    made = promotion(home, "style/2", live(), named="formal", despite_gate="a demonstration")
    assert made.deployment.model.adapters["formal"].despite_gate == "a demonstration"


@pytest.mark.parametrize(
    ("run", "merge", "named", "says"),
    [
        ("style/1", False, "chat", "that is the service's own name"),
        ("style/1", True, "formal", "only an adapter is given a model name of its own"),
        ("whole/1", False, "formal", "only an adapter is given a model name of its own"),
        ("style/1", False, "Formal Style", "Formal Style"),
        ("style/1", False, "", "model.adapters"),
    ],
)
def test_a_name_that_cannot_be_its_own_is_refused(
    home: Path, run: str, merge: bool, named: str, says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        promotion(home, run, live(), merge=merge, named=named)
    assert "--as" in caught.value.hint


def test_the_runs_behind_names_are_known_too(tmp_path: Path) -> None:
    served_runs(tmp_path)
    history, _ = records.begin(History("chat"), named_plan(formal="a"), 1.0)
    (tmp_path / "releases" / "chat.json").write_text(dumps(history))
    assert served_runs(tmp_path) == {("style", 3)}
