"""DeepSpeed without a GPU: what accelerate must be told before the trainer starts it.

Left alone, accelerate takes DeepSpeed's workers on a CPU for single ones, and each would train on
the same rows. It is given the group that is there already, as the state that the trainer then
takes over (its `use_configured_state`).
"""

from __future__ import annotations

import os
from typing import Any

USE = "ACCELERATE_USE_DEEPSPEED"


def without_gpu() -> dict[str, Any]:
    """Make accelerate's state of the workers that are there; what the trainer is told of it."""
    import deepspeed
    from accelerate.state import AcceleratorState, PartialState

    # Its own exchange between CPUs would be compiled, for a minute, at a machine's first start.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - as the trainer does
    os.environ[USE] = "true"
    try:
        PartialState(backend="gloo")
    finally:
        del os.environ[USE]
    return {"accelerator_config": {"use_configured_state": True}}
