"""What holds for every deployment on every machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmops.errors import RefusedError
from llmops.planning import Facts, Plan, make_plan
from llmops.planning.refusal import apply
from llmops.planning.sizing import KEPT_FREE
from llmops.spec.models import Deployment
from tests.planning.worlds import CPU, GIB, GPU, deployment, make_facts, published

MIB = 2**20

SMALL_OF_OTHER_KINDS = ["gemma-3-1b", "mamba-130m", "falcon-h1-0.5b", "granite-3.0-1b-a400m",
                        "smolvlm-256m", "lfm2-1.2b"]  # fmt: skip
OF_OTHER_KINDS = [*SMALL_OF_OTHER_KINDS, "mixtral-8x7b", "moonlight-16b-a3b", "gemma-3-27b",
                  "qwen3-next-80b-a3b", "llama-4-scout", "paligemma-3b",
                  "mistral-7b-v0.1", "granite-4.0-h-micro", "qwen2.5-vl-7b"]  # fmt: skip
"""Experts, latent attention, windows, chunks, states and towers; from tests/cases/architectures."""


def section(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section in which each field may be left out."""
    return st.fixed_dictionaries({}, optional=fields)


ranges = st.tuples(st.integers(1, 6), st.integers(0, 4)).map(lambda r: f"{r[0]}..{r[0] + r[1]}")
sizes = st.sampled_from(["1MiB", "200MiB", "1GiB", "1500MiB", "4GiB", "20GiB", "300GiB"])
specs = section(
    model=st.sampled_from([16, 100, 512, 4096, 8192, 32768, 131072]).map(
        lambda context: {"source": "hf://published/model", "context": context}
    ),
    engine=section(kv_cache=sizes, dtype=st.sampled_from(["float32", "bfloat16"])),
    parallelism=section(
        tensor=st.integers(1, 9),
        pipeline=st.sampled_from([1, 1, 1, 2]),
        data=st.sampled_from([1, 1, 1, 2]),
    ),
    hardware=section(
        device=st.sampled_from(["auto", "cpu", "gpu"]),
        gpu=st.sampled_from(["test", "H100"]),
        count=st.integers(1, 4),
        cores=st.integers(1, 12),
        memory=sizes,
    ),
    scaling=section(replicas=ranges),
    security=section(max_tokens=st.sampled_from([64, 4096, 9000])),
    maintenance=section(strategy=st.sampled_from(["rolling", "recreate"])),
).map(lambda sections: deployment(**sections))

gpus = st.lists(
    st.sampled_from(
        [{"memory": "24GiB"}, {"memory": "80GiB"}, {"memory": "80GiB", "free": "8GiB"}]
    ),
    max_size=4,
)
machines = st.fixed_dictionaries(
    {
        "cores": st.integers(1, 12),
        "memory": st.sampled_from(["4GiB", "8GiB", "32GiB", "256GiB"]),
        "free": st.sampled_from(["1GiB", "3GiB", "5GiB", "16GiB", "200GiB"]),
        "gpus": gpus,
        "port_owner": st.sampled_from(["", "", "", "nginx (pid 3)"]),
        "port_free": st.sampled_from([None, 8001]),
        "endpoint_port": st.sampled_from([None, None, 8000, 9000]),
    }
)
lives = st.lists(
    st.fixed_dictionaries(
        {
            "service": st.sampled_from(["chat", "search"]),
            "number": st.integers(1, 9),
            "memory": st.sampled_from(["2GiB", "4GiB", "40GiB"]),
            "gpus": st.integers(0, 2),
        }
    ),
    max_size=2,
)
worlds = st.builds(
    lambda model, machine, live, engine: make_facts(
        model, machine=machine, live=live, engine=engine
    ),
    st.sampled_from([*sorted(published()), *OF_OTHER_KINDS]),
    machines,
    lives,
    st.sampled_from([CPU, CPU, GPU]),
)


gentle = st.tuples(
    section(
        engine=section(kv_cache=st.sampled_from(["1GiB", "2GiB"])),
        model=st.sampled_from([16, 512, 1024]).map(
            lambda context: {"source": "hf://published/model", "context": context}
        ),
        scaling=section(replicas=ranges),
        maintenance=section(strategy=st.sampled_from(["rolling", "recreate"])),
    ).map(lambda sections: deployment(**sections)),
    st.builds(
        lambda model, machine, live: make_facts(model, machine=machine, live=live),
        st.sampled_from(["smollm2-135m", "gpt2", "qwen2.5-0.5b", *SMALL_OF_OTHER_KINDS]),
        st.fixed_dictionaries(
            {
                "cores": st.integers(1, 12),
                "memory": st.sampled_from(["32GiB", "64GiB", "256GiB"]),
                "free": st.sampled_from(["8GiB", "16GiB", "30GiB"]),
            }
        ),
        lives,
    ),
)
"""Worlds of which most can be planned."""


def planned(spec: Deployment, facts: Facts) -> Plan | RefusedError:
    try:
        return make_plan(spec, facts)
    except RefusedError as refused:
        return refused


@settings(max_examples=150, deadline=None)
@given(specs, worlds)
def test_following_a_suggestion_fits(spec: Deployment, facts: Facts) -> None:
    refused = planned(spec, facts)
    if not isinstance(refused, RefusedError):
        return
    assert refused.hint, refused.message
    assert refused.path, refused.message
    if refused.changes:
        make_plan(apply(spec, refused.changes), facts)
        for path, value in refused.changes.items():
            said = f"leave out {path}" if value is None else f"{path} to {value}"
            assert said in refused.hint


@settings(max_examples=150, deadline=None)
@given(gentle | st.tuples(specs, worlds))
def test_what_is_planned_fits(world: tuple[Deployment, Facts]) -> None:
    spec, facts = world
    plan = planned(spec, facts)
    if isinstance(plan, RefusedError):
        return
    layout, memory = plan.layout, plan.memory
    shards = layout.tensor * layout.replicas_high
    assert memory.total.value == int(memory.per_device_bytes.value) * shards
    assert 16 <= int(plan.model.context.value) < int(memory.kv_tokens.value)
    assert int(layout.threads.value) >= 1
    assert plan.limits.max_tokens <= int(plan.model.context.value)
    assert [option.tensor for option in plan.options if option.chosen] == [layout.tensor]
    assert all(option.fits for option in plan.options if option.chosen)
    if layout.device == "gpu":
        assert shards <= len(facts.machine.gpus)
        return
    assert int(memory.kv_cache.value) % (GIB * layout.tensor) == 0
    own = sum(r.memory for r in facts.live if r.service == spec.name)
    leaving = own if spec.maintenance.strategy == "recreate" else 0
    assert int(memory.total.value) + KEPT_FREE <= facts.machine.memory_free + leaving


def with_more(facts: Facts, more: int) -> Facts:
    machine = facts.machine
    bigger = tuple(replace(g, memory=g.memory + more, free=g.free + more) for g in machine.gpus)
    return replace(
        facts,
        machine=replace(
            machine,
            memory=machine.memory + more,
            memory_free=machine.memory_free + more,
            gpus=bigger,
        ),
    )


@settings(max_examples=150, deadline=None)
@given(gentle | st.tuples(specs, worlds), st.integers(0, 64 * 1024).map(lambda mib: mib * MIB))
def test_more_memory_never_turns_a_fit_into_a_refusal(
    world: tuple[Deployment, Facts], more: int
) -> None:
    spec, facts = world
    assume(isinstance(planned(spec, facts), Plan))
    after = planned(spec, with_more(facts, more))
    assert isinstance(after, Plan), after.message


@settings(max_examples=100, deadline=None)
@given(gentle, st.integers(0, 16).map(lambda gib: gib * GIB))
def test_what_is_free_now_does_not_make_another_release(
    world: tuple[Deployment, Facts], more: int
) -> None:
    spec, facts = world
    before = planned(spec, facts)
    assume(isinstance(before, Plan))
    machine = replace(
        facts.machine,
        memory_free=facts.machine.memory_free + more,
        disk_free=facts.machine.disk_free + more,
    )
    after = make_plan(spec, replace(facts, machine=machine))
    assert isinstance(before, Plan)
    assert (after.identity, after.facts_digest) == (before.identity, before.facts_digest)
