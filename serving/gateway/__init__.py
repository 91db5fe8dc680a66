"""The gateway: the only door to a runtime's services."""

from serving.gateway.app import App
from serving.gateway.audit import CALLERS, Audit, audit_snapshot, verify_audit
from serving.gateway.audit_pages import Piece, audit_piece
from serving.gateway.chain import Anchor, Report, Verifier
from serving.gateway.config import GatewayConfig
from serving.gateway.defences import Defences
from serving.gateway.key_set import OPERATOR, Key, KeySet, fingerprint, make_key
from serving.gateway.keys import (
    KeyRing,
    adopt_keys,
    create_key,
    list_keys,
    put_back_keys,
    remove_service,
    revoke_key,
    rotate_key,
    save_keys,
)
from serving.gateway.limiter import (
    PICO,
    Ask,
    Book,
    Denied,
    Limiter,
    LimiterGone,
    LocalLimiter,
    Open,
    RecordedLimiter,
    Saved,
    Standing,
    Tokens,
    counted,
)
from serving.gateway.metrics import Metrics
from serving.gateway.ops import Ops
from serving.gateway.presence import Replicas
from serving.gateway.server import gateway_server
from serving.gateway.tls import ServerTls, read_pair
from serving.gateway.upstream import (
    ReleaseRef,
    Upstream,
    UpstreamBusy,
    UpstreamGone,
    UpstreamRequest,
    UpstreamResponse,
)

__all__ = [
    "CALLERS",
    "OPERATOR",
    "PICO",
    "Anchor",
    "App",
    "Ask",
    "Audit",
    "Book",
    "Defences",
    "Denied",
    "GatewayConfig",
    "Key",
    "KeyRing",
    "KeySet",
    "Limiter",
    "LimiterGone",
    "LocalLimiter",
    "Metrics",
    "Open",
    "Ops",
    "Piece",
    "RecordedLimiter",
    "ReleaseRef",
    "Replicas",
    "Report",
    "Saved",
    "ServerTls",
    "Standing",
    "Tokens",
    "Upstream",
    "UpstreamBusy",
    "UpstreamGone",
    "UpstreamRequest",
    "UpstreamResponse",
    "Verifier",
    "adopt_keys",
    "audit_piece",
    "audit_snapshot",
    "counted",
    "create_key",
    "fingerprint",
    "list_keys",
    "gateway_server",
    "make_key",
    "put_back_keys",
    "read_pair",
    "remove_service",
    "revoke_key",
    "rotate_key",
    "save_keys",
    "verify_audit",
]
