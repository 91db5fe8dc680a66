"""The gateway: the only door to a runtime's services."""

from serving.gateway.app import App
from serving.gateway.audit import Audit
from serving.gateway.config import GatewayConfig
from serving.gateway.defences import Defences
from serving.gateway.keys import (
    OPERATOR,
    Key,
    KeyRing,
    create_key,
    list_keys,
    remove_service,
    revoke_key,
)
from serving.gateway.metrics import Metrics
from serving.gateway.server import server_config
from serving.gateway.upstream import (
    ReleaseRef,
    Upstream,
    UpstreamBusy,
    UpstreamGone,
    UpstreamRequest,
    UpstreamResponse,
)

__all__ = [
    "OPERATOR",
    "App",
    "Audit",
    "Defences",
    "GatewayConfig",
    "Key",
    "KeyRing",
    "Metrics",
    "ReleaseRef",
    "Upstream",
    "UpstreamBusy",
    "UpstreamGone",
    "UpstreamRequest",
    "UpstreamResponse",
    "create_key",
    "list_keys",
    "remove_service",
    "revoke_key",
    "server_config",
]
