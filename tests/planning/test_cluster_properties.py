"""What holds for every deployment on every cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmops.errors import RefusedError
from llmops.planning import ClusterFacts, Facts, NodeFacts, Plan, make_plan
from llmops.planning.refusal import apply
from llmops.spec.models import Deployment
from llmops.units import Replicas
from tests.planning.cluster_worlds import cluster, cluster_facts, on_cluster
from tests.planning.test_properties import planned, ranges, section, sizes

GPUS: list[dict[str, Any]] = [
    {"name": "NVIDIA-H100-80GB-HBM3", "memory": "81559MiB"},
    {"name": "NVIDIA-L4", "memory": "23034MiB"},
    {"name": "Tesla-T4"},
]


def groups(cores: list[int], gib: list[int], gpus: list[int], least: int) -> Any:
    """Groups of like nodes, of which at least `least` quarters are free."""
    return st.builds(
        lambda count, cores, memory, gpus, gpu, share: {
            "count": count,
            "cores": cores,
            "memory": f"{memory}GiB",
            "gpus": gpus,
            **({"gpu": gpu} if gpus else {}),
            "free": {
                "cores": cores * share / 4,
                "memory": f"{memory * share // 4}GiB",
                "gpus": gpus * share // 4,
            },
        },
        st.integers(1, 4),
        st.sampled_from(cores),
        st.sampled_from(gib),
        st.sampled_from(gpus),
        st.sampled_from(GPUS),
        st.integers(least, 4),
    )


any_group = groups([1, 2, 4, 16, 96], [4, 16, 64, 1024], [0, 0, 1, 4, 8], 0)
roomy_group = groups([16, 96], [256, 1024], [0, 0, 8], 3)
clusters = st.lists(any_group, max_size=3).map(lambda found: cluster(*found))
roomy = st.lists(roomy_group, min_size=1, max_size=3).map(lambda found: cluster(*found))
specs = section(
    engine=section(kv_cache=sizes),
    parallelism=section(tensor=st.sampled_from([1, 2, 3, 4, 8])),
    hardware=section(
        device=st.sampled_from(["auto", "cpu", "gpu"]),
        gpu=st.sampled_from(["H100", "L4"]),
        cores=st.integers(1, 12),
        memory=sizes,
    ),
    scaling=section(replicas=ranges),
    maintenance=section(strategy=st.sampled_from(["rolling", "recreate"])),
    target=section(
        weights=st.sampled_from([{"kind": "pvc"}, {"kind": "pvc", "size": "2GiB"}]),
        gateways=st.integers(1, 4),
    ),
).map(lambda sections: on_cluster(**sections))
gentle = st.builds(
    lambda replicas: on_cluster(scaling={"replicas": replicas}), ranges
)  # fmt: skip
lives = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.integers(1, 9),
            "memory": st.sampled_from(["8GiB", "64GiB"]),
            "cores": st.integers(1, 16),
            "gpus": st.sampled_from([0, 1, 8]),
        }
    ),
    max_size=2,
)
models = st.sampled_from(["smollm2-135m", "qwen2.5-0.5b", "llama-3.1-8b", "llama-3.1-70b"])
small = st.sampled_from(["smollm2-135m", "qwen2.5-0.5b", "smollm2-135m", "llama-3.1-8b"])


def worlds_of(model: st.SearchStrategy[str], where: st.SearchStrategy[ClusterFacts]) -> Any:
    return st.builds(
        lambda model, where, live: cluster_facts(model, where, live=live), model, where, lives
    )


likely = st.tuples(gentle, worlds_of(small, roomy))
"""Worlds of which most can be planned."""
both = likely | st.tuples(gentle | specs, worlds_of(models, clusters))


def nodes_of(facts: Facts) -> tuple[NodeFacts, ...]:
    assert facts.cluster is not None
    return facts.cluster.nodes


def room(plan: Plan, nodes: tuple[NodeFacts, ...]) -> int:
    """Pods that fit, counted by putting one after another on the first node that has room."""
    assert plan.pod is not None
    pod = plan.pod
    count = 0
    for node in nodes:
        cores, memory, disk = node.cores_free, node.memory_free, node.disk_free
        gpus = node.gpus_free
        while (
            cores + 1e-9 >= float(pod.cores.value)
            and memory >= int(pod.memory.value)
            and disk >= int(pod.disk.value)
            and gpus >= int(pod.gpus.value)
        ):
            cores -= float(pod.cores.value)
            memory -= int(pod.memory.value)
            disk -= int(pod.disk.value)
            gpus -= int(pod.gpus.value)
            count += 1
    return count


@settings(max_examples=150, deadline=None)
@given(both)
def test_a_plan_never_needs_more_than_a_node_has_and_all_replicas_have_room(
    world: tuple[Deployment, Facts],
) -> None:
    spec, facts = world
    plan = planned(spec, facts)
    if isinstance(plan, RefusedError):
        return
    pod = plan.pod
    assert pod is not None
    assert any(
        node.cores >= float(pod.cores.value)
        and node.memory >= int(pod.memory.value)
        and node.disk >= int(pod.disk.value)
        and node.gpus >= int(pod.gpus.value)
        for node in nodes_of(facts)
    )
    assert int(pod.gpus.value) == (plan.layout.tensor if plan.layout.device == "gpu" else 0)
    if plan.layout.device == "cpu":
        assert int(pod.memory.value) * plan.layout.replicas_high > int(plan.memory.total.value)
    if spec.maintenance.strategy == "rolling":
        assert room(plan, nodes_of(facts)) >= spec.scaling.replicas.low


@settings(max_examples=100, deadline=None)
@given(both)
def test_following_a_suggestion_fits(world: tuple[Deployment, Facts]) -> None:
    spec, facts = world
    refused = planned(spec, facts)
    if not isinstance(refused, RefusedError):
        return
    assert refused.hint, refused.message
    assert refused.path, refused.message
    if refused.changes:
        make_plan(apply(spec, refused.changes), facts)


@settings(max_examples=100, deadline=None)
@given(likely | both)
def test_fewer_replicas_never_turn_a_fit_into_a_refusal(world: tuple[Deployment, Facts]) -> None:
    spec, facts = world
    assume(isinstance(planned(spec, facts), Plan))
    low, high = spec.scaling.replicas.low, spec.scaling.replicas.high
    fewer = apply(spec, {"scaling.replicas": Replicas(max(1, low - 1), high)})
    after = planned(fewer, facts)
    assert isinstance(after, Plan), after.message


def with_more(facts: Facts) -> Facts:
    """Every node quite free."""
    assert facts.cluster is not None
    freed = tuple(
        replace(n, cores_free=n.cores, memory_free=n.memory, disk_free=n.disk, gpus_free=n.gpus)
        for n in facts.cluster.nodes
    )
    return replace(facts, cluster=replace(facts.cluster, nodes=freed))


@settings(max_examples=100, deadline=None)
@given(likely | both)
def test_what_is_free_turns_no_fit_into_a_refusal_and_makes_no_other_release(
    world: tuple[Deployment, Facts],
) -> None:
    spec, facts = world
    before = planned(spec, facts)
    assume(isinstance(before, Plan))
    after = planned(spec, with_more(facts))
    assert isinstance(before, Plan)
    assert isinstance(after, Plan), after.message
    assert (after.identity, after.facts_digest) == (before.identity, before.facts_digest)


@settings(max_examples=50, deadline=None)
@given(likely | both)
def test_where_nodes_are_added_only_what_no_node_could_hold_is_refused(
    world: tuple[Deployment, Facts],
) -> None:
    spec, facts = world
    assume(isinstance(planned(spec, with_more(facts)), Plan))
    added = planned(apply(spec, {"target.autoscaled_nodes": True}), facts)
    assert isinstance(added, Plan), added.message


def test_the_order_of_nodes_changes_nothing() -> None:
    where = cluster({"count": 2}, {"gpus": 4}, {"gpus": 8, "cores": 96})
    turned = ClusterFacts(
        where.context, where.namespace, where.version, tuple(reversed(where.nodes))
    )
    spec = on_cluster()
    plans = [make_plan(spec, cluster_facts("llama-3.1-8b", one)) for one in (where, turned)]
    assert plans[0] == plans[1]
