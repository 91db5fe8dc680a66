"""Which nodes of a cluster have the GPUs that a replica is planned for, and what these hold. Pure.

It refuses to guess: a GPU whose memory neither a label nor the catalogue tells is not planned with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops.planning.accelerators import memory_of
from llmops.planning.layout import called, hardware
from llmops.planning.model import ClusterFacts, Facts, Gpu, NodeFacts
from llmops.planning.passed_over import left_out
from llmops.planning.refusal import Changes, Refusal
from llmops.spec import Deployment, Hardware, KubernetesTarget

LABELS = (
    "install NVIDIA's GPU feature discovery, or label the nodes: kubectl label node NAME"
    " nvidia.com/gpu.product=… nvidia.com/gpu.memory=… (in MiB)"
)


@dataclass(frozen=True, slots=True)
class Having:
    """The nodes with GPUs for a replica, and the GPU that is planned with."""

    nodes: tuple[NodeFacts, ...]
    gpu: Gpu
    notes: tuple[str, ...]

    @property
    def most(self) -> int:
        """GPUs of the node that has most."""
        return max(node.gpus for node in self.nodes)


def gpus_of(deployment: Deployment, target: KubernetesTarget, cluster: ClusterFacts) -> Having:
    """The nodes that count, and the smallest of their GPUs: pods may be placed on any of them.

    Raises:
        Refusal: When no node has the GPU that is asked for, or nobody tells what it holds.
    """
    section = hardware(deployment)
    having = [node for node in cluster.nodes if node.gpus]
    if not having:
        raise _without_gpus(section, target, cluster)
    nodes = tuple(n for n in having if section.gpu is None or _is(n, section.gpu))
    if not nodes:
        names = ", ".join(sorted({node.gpu_name for node in having}))
        fixes: list[Changes] = [{"hardware.gpu": None}]
        message = f"hardware.gpu is {section.gpu}, and the nodes have {names}"
        raise Refusal(message, path="hardware.gpu", fixes=fixes)
    memories = {kind: _gpu_memory(*kind, section) for kind in {_kind(node) for node in nodes}}
    least = min(memories, key=lambda kind: (memories[kind], kind))
    gpu = Gpu(least[0] or section.gpu or "GPU", memories[least], memories[least])
    others = sorted({node.gpu_name for node in having if node not in nodes})
    notes = _notes(nodes, others, gpu, section, assumed=not least[1])
    return Having(nodes, gpu, tuple(notes))


def _is(node: NodeFacts, asked: str) -> bool:
    """Whether a node has the GPU that is asked for; one that tells no name is believed to."""
    return not node.gpu_name or called(node.gpu_name, asked)


def _kind(node: NodeFacts) -> tuple[str, int]:
    return node.gpu_name, node.gpu_memory


def _gpu_memory(name: str, told: int, section: Hardware) -> int:
    if told:
        return told
    found = memory_of(name or section.gpu or "")
    if found:
        return found
    what = f"the memory of the nodes' GPU {name} is not known" if name else (
        "the nodes do not say which GPU they have"
    )  # fmt: skip
    raise Refusal(what, path="target", hint=LABELS)


def _without_gpus(section: Hardware, target: KubernetesTarget, cluster: ClusterFacts) -> Refusal:
    asked = [
        (field, value)
        for field, value in (("device", section.device), ("gpu", section.gpu),
                             ("count", section.count))
        if value not in (None, "auto")
    ]  # fmt: skip
    field, value = asked[0]
    return Refusal(
        f"hardware.{field} is {value}, and no node has {target.gpu_resource}{left_out(cluster)}",
        path=f"hardware.{field}",
        hint="the device plugin offers it; target.gpu_resource says how it is called",
        fixes=[{f"hardware.{field}": "auto" if field == "device" else None for field, _ in asked}],
    )


def _notes(
    nodes: tuple[NodeFacts, ...], others: list[str], gpu: Gpu, section: Hardware, *, assumed: bool
) -> Iterator[str]:
    if assumed:
        yield (f"no label tells the memory of the nodes' {gpu.name}: planned with the catalogue's"
               f" {gpu.memory / 2**30:.1f}GiB")  # fmt: skip
    if len({node.gpu_name for node in nodes}) > 1:
        yield (f"the nodes have different GPUs: planned for the smallest, {gpu.name}; hardware.gpu"
               " names another")  # fmt: skip
    if others:
        yield (f"pods could be placed on nodes with {', '.join(others)} too: name the label of"
               f" those with {section.gpu} in target.node_selector")  # fmt: skip


def other_gpus(facts: Facts, deployment: Deployment) -> list[Changes]:
    """The other GPUs of the nodes, each as a change to the spec that keeps to it."""
    if hardware(deployment).gpu is not None or facts.cluster is None:
        return []
    names = sorted({node.gpu_name for node in facts.cluster.nodes if node.gpu_name})
    return [{"hardware.gpu": name} for name in names] if len(names) > 1 else []
