"""Which releases of a cluster are the same, which facts are, and what a plan of it records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmops.errors import RefusedError
from llmops.planning import LiveRelease, NodeFacts, make_plan, plan_document
from llmops.planning.accelerators import memory_of
from llmops.planning.identity import facts_digest, identity
from llmops.spec import KubernetesTarget
from tests.planning.cluster_worlds import IMAGE, cluster, cluster_facts, on_cluster
from tests.planning.worlds import GIB, deployment, make_facts

WHERE = cluster({"count": 2})
FACTS = cluster_facts("smollm2-135m", WHERE)


def test_a_default_that_is_written_out_makes_no_other_release() -> None:
    facts = make_facts()
    written = deployment(
        target={"kind": "local", "port": 8000}, maintenance={"strategy": "rolling"}, image=None
    )
    assert identity(written, facts) == identity(deployment(), facts)
    on_default = on_cluster(target={"gateways": 2, "weights": {"kind": "ephemeral"}})
    assert identity(on_default, FACTS) == identity(on_cluster(), FACTS)


def test_an_empty_section_is_not_the_word_auto() -> None:
    facts = make_facts()
    assert identity(deployment(parallelism={}), facts) != identity(deployment(), facts)


@pytest.mark.parametrize(
    "changed",
    [
        {"image": IMAGE.replace("0a0a", "0b0b")},
        {"target": {"namespace": "others"}},
        {"target": {"gateways": 3}},
        {"target": {"node_selector": {"pool": "gpu"}}},
        {"target": {"tolerations": [{"key": "gpu"}]}},
        {"target": {"weights": {"kind": "pvc"}}},
        {"target": {"expose": {"kind": "gateway", "hostname": "a.example.com", "gateway": "b"}}},
    ],
    ids=lambda changed: str(next(iter(changed.values())))[:40],
)
def test_what_a_user_says_of_the_cluster_makes_another_release(changed: dict[str, Any]) -> None:
    assert identity(on_cluster(**changed), FACTS) != identity(on_cluster(), FACTS)


def test_the_same_on_this_machine_is_another_release() -> None:
    assert identity(deployment(image=IMAGE), FACTS) != identity(on_cluster(), FACTS)


def with_node(**changes: Any) -> tuple[NodeFacts, ...]:
    first, *others = WHERE.nodes
    return (replace(first, **changes), *others)


@pytest.mark.parametrize(
    "free", [{"cores_free": 0.5}, {"memory_free": 1}, {"disk_free": 1}, {"gpus_free": 7}], ids=str
)
def test_what_is_free_changes_no_facts(free: dict[str, Any]) -> None:
    facts = replace(FACTS, cluster=replace(WHERE, nodes=with_node(**free)))
    assert facts_digest(facts) == facts_digest(FACTS)


def test_the_order_of_nodes_and_what_was_passed_over_change_no_facts() -> None:
    nodes = tuple(reversed(WHERE.nodes))
    facts = replace(FACTS, cluster=replace(WHERE, nodes=nodes, passed_over={"cordoned": 1}))
    assert facts_digest(facts) == facts_digest(FACTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"nodes": WHERE.nodes[:1]},
        {"nodes": with_node(name="another")},
        {"nodes": with_node(memory=GIB)},
        {"nodes": with_node(gpus=8)},
        {"nodes": with_node(gpu_name="NVIDIA-L4")},
        {"version": "v1.37.0"},
        {"namespace": "others"},
        {"context": "staging"},
        {"objects": "0b"},
    ],
    ids=str,
)
def test_what_a_plan_stands_on_changes_the_facts(changes: dict[str, Any]) -> None:
    facts = replace(FACTS, cluster=replace(WHERE, **changes))
    assert facts_digest(facts) != facts_digest(FACTS)


def test_a_plan_records_what_makes_the_release_again() -> None:
    plan = make_plan(on_cluster(target={"gateways": 3}), FACTS)
    again = KubernetesTarget.model_validate(plan.target, strict=False)
    assert again == on_cluster(target={"gateways": 3}).target
    document = plan_document(plan)
    assert document["image"] == IMAGE
    assert document["pod"].keys() == {"cores", "memory", "disk", "gpus"}
    assert document["pod"]["memory"].keys() == {"value", "reason"}


def test_a_plan_for_this_machine_says_nothing_of_pods() -> None:
    plan = make_plan(deployment(image=IMAGE), make_facts())
    assert (plan.target, plan.image, plan.pod) == ({}, "", None)
    assert not {"target", "image", "pod"} & plan_document(plan).keys()


def test_a_total_is_of_all_replicas_though_one_is_planned() -> None:
    plan = make_plan(on_cluster(scaling={"replicas": "1..3"}), FACTS)
    assert int(plan.memory.total.value) == 3 * int(plan.memory.per_device_bytes.value)
    assert (plan.layout.replicas_low, plan.layout.replicas_high) == (1, 3)


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("NVIDIA-H100-80GB-HBM3", 79),
        ("NVIDIA-A100-SXM4-40GB", 40),
        ("Tesla-T4", 15),
        ("nvidia-tesla-t4", 15),
        ("nvidia-l4", 22),
        ("H100", 79),
        ("acme-9000", 0),
        ("", 0),
    ],
)
def test_the_memory_of_a_gpu_is_found_by_what_labels_call_it(name: str, gib: int) -> None:
    assert memory_of(name) // GIB == gib


def test_what_runs_already_needs_no_room_beside_itself() -> None:
    asked = on_cluster(hardware={"device": "gpu"}, maintenance={"strategy": "rolling"})
    empty, full = (cluster({"gpus": 1, "free": {"gpus": free}}) for free in (1, 0))
    first = make_plan(asked, cluster_facts("smollm2-135m", empty))

    def again(identity_of_it: str) -> str:
        mine = LiveRelease("chat", 1, identity_of_it, share=100, memory=64 * GIB, cores=9, gpus=1)
        facts = replace(cluster_facts("smollm2-135m", full), live=(mine,))
        return make_plan(asked, facts).identity

    assert again(first.identity) == first.identity
    with pytest.raises(RefusedError, match="does not fit beside release 1"):
        again("another")
