"""A replica over several machines: when it is, how it is dealt, and who refuses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import RefusedError
from llmops.planning import Facts, MachineFacts, Plan, make_plan
from llmops.planning.identity import facts_digest
from serving.agent import as_one
from serving.engines import EngineRun
from tests.local.releases import release
from tests.planning.worlds import CPU, GIB, GPU, deployment, machine_facts, make_facts

AGENT = {"kind": "agent", "store": "file:///srv/store"}
H100 = {"name": "NVIDIA H100 80GB HBM3", "memory": "80GiB"}
LARGE, SMALL = "llama-3.1-405b", "smollm2-135m"


def machine(gpus: int = 8) -> MachineFacts:
    return machine_facts(memory="1TiB", free="1000GiB", cores=64, gpus=[H100] * gpus)


def planned(model: str, machines: list[MachineFacts], build: str = GPU, **sections: Any) -> Plan:
    spec = deployment(**({"target": AGENT} | sections))
    facts = make_facts(model, engine=build)
    return make_plan(spec, replace(facts, machine=as_one(machines[0], machines[1:], spec)))


def refused(*arguments: Any, **sections: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        planned(*arguments, **sections)
    return caught.value


def test_a_model_that_no_machine_holds_is_cut_over_as_few_as_hold_it() -> None:
    plan = planned(LARGE, [machine()] * 4)
    assert (plan.layout.tensor, plan.layout.pipeline) == (8, 2)
    assert "2 machines with 8 GPU(s) each hold what fewer do not" in plan.layout.reason
    assert any("planned for 2 of 4 machines, with at most 1 of 2 stages" in n for n in plan.notes)
    assert [(o.tensor, o.pipeline) for o in plan.options if o.chosen] == [(8, 2)]
    assert any((o.tensor, o.pipeline, o.fits) == (8, 1, False) for o in plan.options)


def test_what_one_machine_holds_stays_on_one() -> None:
    plan = planned(SMALL, [machine()] * 4)
    assert (plan.layout.tensor, plan.layout.pipeline) == (1, 1)


def test_a_stage_has_its_share_of_the_model() -> None:
    whole = planned("llama-3.1-70b", [machine()] * 2, parallelism={"tensor": 8})
    half = planned("llama-3.1-70b", [machine()] * 2, parallelism={"tensor": 8, "pipeline": 2})
    assert half.layout.pipeline == 2
    share = float(half.memory.weights.value) / float(whole.memory.weights.value)
    assert 0.49 < share < 0.56, "a half, and the embeddings"
    assert int(half.memory.total.value) == 16 * int(half.memory.per_device_bytes.value)


def test_its_engine_is_told_of_one_shard_what_was_planned_for_it() -> None:
    plan = planned(SMALL, [machine(0)] * 2, CPU, parallelism={"pipeline": 2})
    run = EngineRun.of(replace(release("chat", 1), plan=plan))
    assert (run.pipeline, run.world) == (2, 2)
    assert run.kv_cache_bytes // run.world >= GIB
    assert EngineRun(**run.document()) == run


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"kind": "local"}, "each stage stands on a machine of its own"),
        (AGENT, "1 machine serves"),
    ],
)
def test_one_machine_runs_no_pipeline(target: dict[str, Any], says: str) -> None:
    found = refused(SMALL, [machine()], target=target, parallelism={"pipeline": 2})
    assert found.path == "parallelism.pipeline"
    assert says in found.message
    assert found.changes == {"parallelism.pipeline": 1}


def test_more_stages_than_machines_are_refused_with_as_many_as_there_are() -> None:
    found = refused(LARGE, [machine()] * 3, parallelism={"tensor": 8, "pipeline": 5})
    assert "3 machines can share a replica" in found.message
    assert found.changes == {"parallelism.pipeline": 3}


def test_more_stages_than_layers_are_refused() -> None:
    found = refused("gpt2", [machine()] * 13, parallelism={"pipeline": 13})
    assert "more stages than 12 layers" in found.message
    assert found.changes == {"parallelism.pipeline": 12}


def test_the_cpu_engine_holds_no_adapters_in_a_pipeline() -> None:
    sections: dict[str, Any] = {"parallelism": {"pipeline": 2}, "engine": {"adapter_rank": 8}}
    assert "holds no adapters" in refused(SMALL, [machine(0)] * 2, CPU, **sections).message
    assert planned(SMALL, [machine()] * 2, **sections).layout.pipeline == 2


def test_a_layout_that_is_asked_for_is_not_cut_further() -> None:
    found = refused(LARGE, [machine()] * 4, parallelism={"tensor": 8})
    assert "does not fit" in found.message


def test_other_machines_make_other_facts() -> None:
    spec = deployment(target=AGENT)

    def facts(count: int) -> Facts:
        machines = [machine()] * count
        return replace(make_facts(engine=GPU), machine=as_one(machines[0], machines[1:], spec))

    assert facts_digest(facts(2)) != facts_digest(facts(3))


@given(
    gpus=st.lists(st.integers(1, 8), min_size=2, max_size=6),
    replicas=st.integers(1, 4),
    stages=st.integers(2, 6),
)
def test_stages_dealt_in_turn_fit_their_machines(
    gpus: list[int], replicas: int, stages: int
) -> None:
    spec = deployment(target=AGENT, scaling={"replicas": replicas})
    machines = sorted((machine(count) for count in gpus), key=lambda m: -len(m.gpus))
    one = as_one(machines[0], machines[1:], spec)
    if stages > len(gpus):
        assert len(one.shares) < stages
        return
    share = one.shares[stages - 1]
    chosen = machines[: replicas * stages]
    taken = [[0] * replicas for _ in chosen]
    for part in range(replicas * stages):
        taken[part % len(chosen)][part // stages] += 1
    for has, own in zip(chosen, taken, strict=True):
        assert max(own) <= 1, "two stages of a replica on one machine"
        assert sum(own) * len(share.gpus) <= len(has.gpus)
        assert sum(own) * share.memory <= has.memory
        assert sum(own) * share.cores <= max(sum(own), has.cores - 1)
