"""What the pod of one replica takes, every figure with its reason. Pure. Sizes in bytes.

A pod may take what it requests and no more. So each figure has room for what runs beside the
engine in the pod, and none depends on what is free at the moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmops.planning import memory
from llmops.planning.choice import Choice
from llmops.planning.figures import weight_bytes
from llmops.planning.layout import hardware, replica_threads
from llmops.planning.model import Facts, Figure, NodeFacts, PodSize
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.spec import Deployment, KubernetesTarget
from llmops.units import Bytes

GIB = 2**30
MIB = 2**20

RAY = GIB
"""Ray's own processes in a pod: its node's store and scheduler and their agents."""

SHARED = 256 * MIB
"""What lies in /dev/shm of a pod without GPUs: Ray's object store and the engine's queues."""

SHARED_PER_GPU = GIB
"""The same for each GPU: buffers of its collectives."""

HOST_PER_GPU = 4 * GIB
"""Memory of the process that drives a GPU: the libraries, their context, pinned buffers. Not
measured here."""

FILE = 5 * GIB
"""Most of a weight file that a process maps while it reads it: hubs cut files at this size."""

SCRATCH = 6 * GIB
"""Ray's session with its logs, which are rotated, small caches, and the container's own log."""

SPARE = 10
"""Percent of the weights' size on top: file systems and what is half written."""

GPU_CORES = 2
LEAST_GPU_CORES = 4
"""Cores for each GPU, and at least: one drives it, one feeds it, and two answer."""


def pod_size(
    deployment: Deployment,
    target: KubernetesTarget,
    facts: Facts,
    subject: Subject,
    choice: Choice,
    nodes: Sequence[NodeFacts],
) -> PodSize:
    """What the pod of one replica takes.

    Args:
        deployment: With one replica.
        target: Where it runs.
        facts: With a node as the machine.
        subject: The model.
        choice: The layout that was taken.
        nodes: Where the pod may be placed.

    Raises:
        Refusal: When the room for weights that is asked for is too small for them.
    """
    disk = _disk(target, facts, subject)
    shape = choice.size.shape
    if shape.device == "cpu":
        none = Figure(0, "it computes on the CPU")
        return PodSize(_cores(deployment, facts, choice), _memory(choice), disk, none)
    return PodSize(
        cores=_gpu_cores(deployment, shape.tensor, nodes),
        memory=_gpu_memory(deployment, choice),
        disk=disk,
        gpus=Figure(shape.tensor, f"the tensor parallel size: {choice.reason}"),
    )


def reserve(gpus: int) -> int:
    """Memory of a pod beside the engine: Ray's processes and what is shared between processes."""
    return RAY + SHARED + gpus * SHARED_PER_GPU


def _cores(deployment: Deployment, facts: Facts, choice: Choice) -> Figure:
    shape = choice.size.shape
    threads = int(replica_threads(deployment, facts, shape).value) * shape.tensor
    if hardware(deployment).cores != "auto":
        return Figure(threads + 1, f"hardware.cores: {threads} compute, and one for all else")
    has = facts.machine.cores
    words = f"{threads} compute, and one for all else"
    return Figure(min(threads + 1, has), f"{words}; a replica's share of a node is {has}")


def _gpu_cores(deployment: Deployment, gpus: int, nodes: Sequence[NodeFacts]) -> Figure:
    asked = hardware(deployment).cores
    if isinstance(asked, int):
        return Figure(asked, "hardware.cores")
    wanted = max(LEAST_GPU_CORES, GPU_CORES * gpus)
    shares = [int(n.cores - 1) * gpus // n.gpus for n in nodes if n.gpus >= gpus]
    share = max(1, min(shares, default=wanted))
    words = f"{GPU_CORES} for each of {gpus} GPU(s), at least {LEAST_GPU_CORES}"
    if share < wanted:
        return Figure(share, f"{words}; the GPUs' share of a node's cores is {share}")
    return Figure(wanted, words)


def _memory(choice: Choice) -> Figure:
    total, beside = choice.size.total, reserve(0)
    return Figure(
        _up(total + beside),
        f"{Bytes(total).human()} of the replica + {Bytes(RAY).human()} for Ray's processes"
        f" + {Bytes(SHARED).human()} of shared memory",
    )


def _gpu_memory(deployment: Deployment, choice: Choice) -> Figure:
    size, gpus = choice.size, choice.size.shape.tensor
    drives = memory.ENGINE_OVERHEAD + gpus * HOST_PER_GPU
    reads = gpus * min(FILE, size.weights)
    offloaded = gpus * _offloaded(deployment)
    words = (
        f"{Bytes(memory.ENGINE_OVERHEAD).human()} for the engine + {gpus} x"
        f" {Bytes(HOST_PER_GPU).human()} for the processes that drive the GPUs"
        f" + {Bytes(reads).human()} of weight files while they are read"
        f" + {Bytes(reserve(gpus)).human()} for Ray and shared memory"
    )
    if offloaded:
        words += f" + {Bytes(offloaded).human()} of weights that cpu_offload_gb keeps there"
    return Figure(_up(drives + reads + reserve(gpus) + offloaded), f"{words}; not measured here")


def _offloaded(deployment: Deployment) -> int:
    asked = deployment.engine.args.get("cpu_offload_gb", 0)
    number = isinstance(asked, (int, float)) and not isinstance(asked, bool) and 0 < asked < 2**20
    return int(asked * GIB) if number else 0


def _disk(target: KubernetesTarget, facts: Facts, subject: Subject) -> Figure:
    kept, words = _weights_on_disk(facts, subject)
    _check_size(target, kept, words)
    scratch = f"{Bytes(SCRATCH).human()} for logs and caches"
    if target.weights.kind != "ephemeral":
        where = {"pvc": "the volume", "host_path": "the node's directory"}[target.weights.kind]
        return Figure(SCRATCH, f"{scratch}; the weights lie on {where}")
    if target.weights.size is not None:
        size = int(target.weights.size)
        return Figure(size + SCRATCH, f"target.weights.size {target.weights.size} + {scratch}")
    return Figure(_up(kept + SCRATCH), f"{words} + {scratch}")


def _weights_on_disk(facts: Facts, subject: Subject) -> tuple[int, str]:
    """Bytes of the weights' files, and of those that they are made from."""
    model = facts.model
    if model.source.startswith("pkg://") and not model.converted:
        return 0, "the weights lie in the image"
    files = int(weight_bytes(model, subject).value)
    times = 2 if model.converted else 1
    kept = files * times * (100 + SPARE) // 100
    made = " and as much for what they are converted from" if model.converted else ""
    return kept, f"{Bytes(files).human()} of weights{made}, {SPARE}% on top"


def _check_size(target: KubernetesTarget, kept: int, words: str) -> None:
    asked = target.weights.size
    if asked is None or kept <= asked:
        return
    raise Refusal(
        f"target.weights.size is {asked}, and the model needs {Bytes(kept).human()} ({words})",
        path="target.weights.size",
        fixes=[{"target.weights.size": Bytes(-(-kept // GIB) * GIB)}],
    )


def _up(value: int) -> int:
    """Rounded up to whole MiB, which the API's quantities show."""
    return -(-value // MIB) * MIB
