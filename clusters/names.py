"""What objects and labels are called: one place, so that a selector never misses what was made."""

from __future__ import annotations

MANAGER = "llmops"
"""Field manager of every server-side apply, and the value of `app.kubernetes.io/managed-by`."""

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"

SERVICE = "llmops/service"
"""Label of every object of a service."""
RUNTIME = "llmops/runtime"
"""Label of what belongs to one runtime of a service: its RayService, its pods."""
ROLE = "llmops/role"
"""Label of pods: `head`, `gateway` or `replica`."""

RELEASES = "llmops/releases"
"""Annotation of a RayService, for people: the releases in it and their shares."""

HEAD, GATEWAY, REPLICA = "head", "gateway", "replica"
ROLES = (HEAD, GATEWAY, REPLICA)

HTTP_NAME = "http"
"""Name of the endpoint's port."""
HTTP_PORT = 8000
"""The endpoint's port, in pods and of the Service."""
OPS_PORT = 9090
"""Port of a gateway pod's metrics and state; never of the Service."""
DASHBOARD_PORT = 8265
GCS_PORT = 6379

HOME = "/var/lib/llmops"
"""State of the runtime in a pod: weights, logs."""
KEYS = "/etc/llmops/keys"
"""Where the Secret with the hashes of API keys is mounted."""
KEYS_FILE = "keys.json"


def rayservice(service: str, runtime: str) -> str:
    """Name of a runtime's RayService; at most 47 characters, which is what KubeRay takes."""
    return f"{service}-{runtime}"


def keys_secret(service: str) -> str:
    """Secret with the hashes of the service's API keys, mounted by the gateways."""
    return f"{service}-keys"


def operator_secret(service: str) -> str:
    """Secret with the key that llmops' own commands ask with."""
    return f"{service}-operator-key"


def token_secret(service: str) -> str:
    """Secret with Ray's authentication token (key `auth_token`)."""
    return f"{service}-ray-token"


def history_map(service: str) -> str:
    """ConfigMap with the service's releases."""
    return f"{service}-releases"


def lease(service: str) -> str:
    """Lease that the only writer of the service holds."""
    return f"{service}-llmops"
