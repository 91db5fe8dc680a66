"""Which paths are tried: those that the live engine says it has, and what strangers try anyway."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

OPEN = "/health"
"""The one path that answers without a key."""

SERVED = frozenset({OPEN, "/v1/models", "/v1/chat/completions", "/v1/completions"})
"""What the gateway lets through."""

GENERATING = frozenset({"/v1/chat/completions", "/v1/completions"})

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A path and a method that it answers."""

    path: str
    method: str

    @property
    def concrete(self) -> str:
        """The path with something in the place of its parameters."""
        return re.sub(r"\{[^}]*\}", "x", self.path)

    @property
    def harmless(self) -> str:
        """A method by which the route can be asked for without an effect.

        Who has the path answers a method that it does not take with 405, and who does not have it
        with 404: an engine is not paused to learn that it could have been.
        """
        return self.method if self.method in SAFE_METHODS else "OPTIONS"


def _routes(method: str, paths: str) -> tuple[Route, ...]:
    return tuple(Route(path, method) for path in paths.split())


KNOWN = _routes(
    "GET",
    "/openapi.json /docs /docs/oauth2-redirect /redoc /load /version /kv_event_sources /metrics"
    " /ping /v1/responses/{response_id}",
) + _routes(
    "POST",
    "/tokenize /detokenize /ping /invocations /v1/systemone /v1/chat/completions/batch"
    " /v1/responses /v1/responses/{response_id}/cancel /v1/messages /v1/messages/count_tokens"
    " /generative_scoring /scale_elastic_ep /is_scaling_elastic_ep"
    " /v1/chat/completions/render /v1/messages/render /v1/completions/render"
    " /v1/responses/render /v1/chat/completions/derender /v1/completions/derender"
    " /inference/v1/generate /inference/v1/abort_requests",
)
"""What vLLM 0.32's server has for a model that generates, as its own `build_app` lists it."""

DANGEROUS = _routes(
    "GET", "/server_info /is_sleeping /is_paused /v1/realtime /get_world_size"
) + _routes(
    "POST",
    "/collective_rpc /sleep /wake_up /pause /resume /reset_prefix_cache /reset_mm_cache"
    " /reset_encoder_cache /start_profile /stop_profile /v1/load_lora_adapter"
    " /v1/unload_lora_adapter /update_weights /init_weights_update /abort_requests"
    " /v1/embeddings /pooling /classify /score /v1/score /rerank /v1/rerank /v2/rerank"
    " /v1/audio/transcriptions /v1/audio/translations",
)
"""What vLLM has besides when it is told to, by its documentation: most of it changes the engine."""

RAY = _routes(
    "GET",
    "/ /-/routes /-/healthz /api/version /api/jobs/ /api/serve/applications/ /api/cluster_status"
    " /api/v0/tasks /nodes /state /ready /logs /favicon.ico /static/index.html",
) + _routes("POST", "/api/jobs/ /leave /config")
"""What Ray Serve's proxy, Ray's dashboard and llmops' own inner ports answer."""


def tried(engine: Iterable[Route]) -> tuple[Route, ...]:
    """Every route that is tried, those of the live engine first."""
    return tuple(dict.fromkeys([*sorted(engine), *KNOWN, *DANGEROUS, *RAY]))
