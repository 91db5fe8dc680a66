"""The environment of pods: what makes Ray and the engine private, quiet and predictable.

No value here is a secret.
"""

from __future__ import annotations

from lightkube.models import core_v1

from clusters import names
from clusters.model import Shape
from clusters.objects import volumes

CACHE = f"{names.HOME}/cache"

COMMON = {
    "HOME": names.HOME,  # the image's own is read-only, and libraries put caches below it
    "XDG_CACHE_HOME": CACHE,
    "LLMOPS_HOME": names.HOME,
    "PYTHONUNBUFFERED": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_DEDUP_LOGS": "0",
    # Ray would run its workers at niceness 15: an engine that yields to whatever else runs.
    "RAY_worker_niceness": "0",
    # Requests are handled on the replica's own loop and by gRPC: two hops of threads fewer.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # Everything to where `kubectl logs` finds it, and kubelet rotates it; not to files of the pod.
    "RAY_LOG_TO_STDERR": "1",
    "RAY_SERVE_LOG_TO_STDERR": "1",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    # Serve writes files all the same: Ray's default is six of 512 MiB for each process.
    "RAY_ROTATION_MAX_BYTES": "16777216",
    "RAY_ROTATION_BACKUP_COUNT": "2",
}

ENGINE = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CACHE_ROOT": f"{CACHE}/vllm",
    "TRITON_CACHE_DIR": f"{CACHE}/triton",
    "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
    "HF_HOME": f"{CACHE}/huggingface",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def of_ray(drain: int) -> list[core_v1.EnvVar]:
    """Of every pod. When `ray start` is told to end, it gives Serve `drain` seconds to move what
    runs there; it ends sooner when nothing is left, and at once with 0."""
    own = COMMON | {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(drain)}
    return [*_variables(own), _field("POD_IP", "status.podIP")]


def of_replica(shape: Shape, drain: int) -> list[core_v1.EnvVar]:
    """Of a replica's pod. The engine is told the pod's address: on a node with several networks it
    would choose one, and its processes would have to choose the same."""
    own = dict(ENGINE)
    if shape.target.weights.kind != "ephemeral":
        own["LLMOPS_MODELS"] = f"{volumes.WEIGHTS}/models"
    if shape.target.model_secret:
        own["HF_TOKEN_PATH"] = f"{volumes.MODEL_SECRET}/{volumes.MODEL_TOKEN}"
    return [*of_ray(drain), *_variables(own), _field("VLLM_HOST_IP", "status.podIP")]


def _variables(values: dict[str, str]) -> list[core_v1.EnvVar]:
    return [core_v1.EnvVar(name=name, value=value) for name, value in values.items()]


def _field(name: str, path: str) -> core_v1.EnvVar:
    source = core_v1.EnvVarSource(fieldRef=core_v1.ObjectFieldSelector(fieldPath=path))
    return core_v1.EnvVar(name=name, valueFrom=source)
