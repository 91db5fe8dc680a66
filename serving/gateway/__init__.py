"""The gateway: the only door to a runtime's services."""

from serving.gateway.app import App
from serving.gateway.audit import Audit
from serving.gateway.config import GatewayConfig
from serving.gateway.defences import Defences
from serving.gateway.key_set import OPERATOR, Key, KeySet, fingerprint, make_key
from serving.gateway.keys import KeyRing, create_key, list_keys, remove_service, revoke_key
from serving.gateway.metrics import Metrics
from serving.gateway.ops import Ops
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
    "KeySet",
    "Metrics",
    "Ops",
    "ReleaseRef",
    "Upstream",
    "UpstreamBusy",
    "UpstreamGone",
    "UpstreamRequest",
    "UpstreamResponse",
    "create_key",
    "fingerprint",
    "list_keys",
    "make_key",
    "remove_service",
    "revoke_key",
    "server_config",
]
