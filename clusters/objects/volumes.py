"""What pods can write to, and which Secrets they read: everything else in a pod is read-only.

Secrets are mounted as files and never put into the environment, which every child process inherits
and crash reports print. Ray's own token is the exception, because KubeRay passes it so.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightkube.models import core_v1

from clusters import names
from clusters.model import Shape
from clusters.objects import sizes
from clusters.objects.weights import claim_name

SECRET_MODE = 0o440
"""Secrets belong to root, and `fsGroup` makes them readable by the pod's group: that group must be
in the mode, or kubelet adds it anyway and the object says something else than is so."""

WEIGHTS = f"{names.HOME}/weights"
"""Where a volume that outlives pods is mounted. Its root is not ours, so the cache of models, which
must be private, is a folder in it."""

MODEL_SECRET = "/etc/llmops/model"  # noqa: S105 - a directory
"""Where the Secret that may read a gated model is mounted."""
MODEL_TOKEN = "token"  # noqa: S105 - its key

TMP = 4 * sizes.GIB
"""Bytes of /tmp: Ray's session, with Serve's logs, which are rotated (see `environment`)."""
STATE = sizes.GIB
"""Bytes of the home directory beside weights: logs and small caches."""
LOGS = sizes.GIB
"""Bytes of a pod's disk that no volume gets: what containers print, which kubelet keeps there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A volume and where it is mounted."""

    path: str
    volume: core_v1.Volume
    read_only: bool = False

    @property
    def mount(self) -> core_v1.VolumeMount:
        return core_v1.VolumeMount(
            name=self.volume.name, mountPath=self.path, readOnly=self.read_only or None
        )


def of_head() -> list[Place]:
    """What the head writes to."""
    return _written(shm=2 * sizes.OBJECT_STORE, home=STATE)


def of_gateway(service: str) -> list[Place]:
    """What a gateway writes to, and the hashes of the API keys. They are mounted as a folder, so
    that kubelet brings a change; a single file (`subPath`) would stay as it was."""
    keys = _secret("keys", names.keys_secret(service), names.KEYS, names.KEYS_FILE)
    return [*_written(shm=2 * sizes.OBJECT_STORE, home=STATE), keys]


def of_replica(service: str, shape: Shape) -> list[Place]:
    """What a replica writes to, the weights' volume, and the Secret for a gated model."""
    target = shape.target
    places = _written(shm=sizes.shared_memory(shape.gpus), home=_room(shape))
    places += _weights(service, shape)
    if target.model_secret:
        places.append(_secret("model", target.model_secret, MODEL_SECRET, MODEL_TOKEN))
    return places


def _room(shape: Shape) -> int:
    """The home's part of a replica's disk: caches of what was compiled, and weights that stay in
    the pod, up to the size that was asked for."""
    left = max(STATE, shape.disk - TMP - LOGS)
    weights = shape.target.weights
    bounded = weights.kind == "ephemeral" and weights.size
    return min(left, int(weights.size or 0) + STATE) if bounded else left


def _written(shm: int, home: int) -> list[Place]:
    return [
        Place("/tmp", _empty("tmp", TMP)),  # noqa: S108 - a volume of the pod's own
        Place("/dev/shm", _empty("shared-memory", shm, medium="Memory")),  # noqa: S108
        Place(names.HOME, _empty("home", home)),
    ]


def _empty(name: str, size: int, medium: str | None = None) -> core_v1.Volume:
    source = core_v1.EmptyDirVolumeSource(sizeLimit=sizes.quantity(size), medium=medium)
    return core_v1.Volume(name=name, emptyDir=source)


def _secret(name: str, secret: str, path: str, key: str) -> Place:
    source = core_v1.SecretVolumeSource(
        secretName=secret,
        defaultMode=SECRET_MODE,
        items=[core_v1.KeyToPath(key=key, path=key)],
    )
    return Place(path, core_v1.Volume(name=name, secret=source), read_only=True)


def _weights(service: str, shape: Shape) -> list[Place]:
    """A volume for weights that outlives the pod. A directory of the node must be there already,
    writable for user 1000: one that kubelet makes would belong to root."""
    weights = shape.target.weights
    if weights.kind == "pvc":
        source = core_v1.PersistentVolumeClaimVolumeSource(claimName=claim_name(service))
        return [Place(WEIGHTS, core_v1.Volume(name="weights", persistentVolumeClaim=source))]
    if weights.kind == "host_path" and weights.path:
        node = core_v1.HostPathVolumeSource(path=weights.path, type="Directory")
        return [Place(WEIGHTS, core_v1.Volume(name="weights", hostPath=node))]
    return []
