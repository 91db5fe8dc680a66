"""What a worker may take of the machine, and what runs beside the workers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmops.errors import RefusedError
from llmops.finetuning.method import Qlora
from llmops.finetuning.model import FineTune
from llmops.planning import MachineFacts
from llmops.units import Bytes

GIB = 2**30

PROCESS = GIB
"""Bytes of a worker before it loads a model: Python with torch, transformers, peft, trl and Ray.
957 MiB were measured on a 2-core x86 machine with torch 2.13 for the CPU; rounded up."""

BESIDE = 3 * GIB // 2
"""Bytes of what runs beside the workers: Ray's own processes (299 MiB measured), and the driver
and Ray Train's controller, which load the same libraries."""

FREE_SHARE = 0.8
"""Share of a machine's free memory that is planned with: the rest is for who else works there."""

GPU_SHARE = 0.9
"""Share of a GPU's free memory that is planned with: the rest is for its context and for the
allocator's fragments, which nothing here has measured."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one worker may take."""

    device: Literal["cpu", "gpu"]
    bytes: int
    reason: str
    process: int
    """Bytes that a worker takes of it whatever it trains."""

    @property
    def ample(self) -> int:
        """Bytes up to which a micro batch is made larger. A machine's memory is shared, and its
        cores are no faster for a larger batch: there it is half of the room."""
        return self.bytes if self.device == "gpu" else self.bytes // 2


def device_of(spec: FineTune, machine: MachineFacts) -> Literal["cpu", "gpu"]:
    """What it is trained on.

    Raises:
        RefusedError: When a GPU is asked for, or needed, and there is none.
    """
    asked = spec.hardware.device
    if asked == "gpu" and not machine.gpus:
        raise RefusedError(
            "it is to be trained on a GPU, and this machine has none",
            hint="set hardware.device to auto", path="hardware.device",
            changes={"hardware.device": "auto"},
        )  # fmt: skip
    device: Literal["cpu", "gpu"] = "gpu" if machine.gpus and asked != "cpu" else "cpu"
    if device == "cpu" and isinstance(spec.method, Qlora):
        raise RefusedError(
            "weights in 4 bits are computed with on a GPU, and this machine has none",
            hint="set method.kind to lora", path="method.kind", changes={"method.kind": "lora"},
        )  # fmt: skip
    return device


def room_of(spec: FineTune, machine: MachineFacts) -> Room:
    """What one worker may take of this machine.

    Raises:
        RefusedError: When there are more workers than devices to train on.
    """
    device, workers = device_of(spec, machine), spec.training.workers
    asked = spec.hardware.memory
    if device == "gpu":
        return _of_gpu(spec, machine)
    if workers > machine.cores:
        raise RefusedError(
            f"{workers} workers need a core each, and this machine has {machine.cores}",
            hint=f"set training.workers to {machine.cores}", path="training.workers",
            changes={"training.workers": machine.cores},
        )  # fmt: skip
    left = max(0, int(machine.memory_free * FREE_SHARE) - BESIDE)
    words = (
        f"{FREE_SHARE:.0%} of the {Bytes(machine.memory_free).human()} that are free, without"
        f" {Bytes(BESIDE).human()} for Ray and the driver, over {workers} worker(s)"
    )
    each = left // workers
    if asked != "auto" and asked <= each:
        return Room(device, int(asked), "hardware.memory", PROCESS)
    if asked != "auto":
        words = f"{words}; hardware.memory asks for {asked}"
    return Room(device, each, words, PROCESS)


def _of_gpu(spec: FineTune, machine: MachineFacts) -> Room:
    workers = spec.training.workers
    if workers > len(machine.gpus):
        raise RefusedError(
            f"{workers} workers need a GPU each, and this machine has {len(machine.gpus)}",
            hint=f"set training.workers to {len(machine.gpus)}", path="training.workers",
            changes={"training.workers": len(machine.gpus)},
        )  # fmt: skip
    free = sorted((gpu.free for gpu in machine.gpus), reverse=True)[:workers][-1]
    left, asked = int(free * GPU_SHARE), spec.hardware.memory
    words = f"{GPU_SHARE:.0%} of the {Bytes(free).human()} that are free on a GPU"
    if asked != "auto" and asked <= left:
        return Room("gpu", int(asked), "hardware.memory", 0)
    if asked != "auto":
        words = f"{words}; hardware.memory asks for {asked}"
    return Room("gpu", left, words, 0)


__all__ = ["BESIDE", "PROCESS", "Room", "device_of", "room_of"]
