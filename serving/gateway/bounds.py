"""What a request may ask for: fields on a list, within bounds. Pure.

The engine behind understands many more fields than OpenAI's API has, some of which reach past it
(templates that run, tensors that are unpickled, links that are fetched). So a field that is not
listed here is refused by name, and each one that can grow is bounded.
"""

from __future__ import annotations

from typing import Any

from serving.gateway.answers import Refusal, bad
from serving.gateway.config import Service
from serving.gateway.defences import Defences

SAMPLING = frozenset(
    "model stream stream_options n max_tokens max_completion_tokens temperature top_p top_k min_p"
    " seed stop stop_token_ids presence_penalty frequency_penalty repetition_penalty logit_bias"
    " logprobs top_logprobs user min_tokens ignore_eos skip_special_tokens"
    " spaces_between_special_tokens include_stop_str_in_output response_format structured_outputs"
    " length_penalty bad_words metadata store service_tier allowed_token_ids".split()
)
FIELDS = {
    "/v1/chat/completions": SAMPLING
    | frozenset(
        "messages tools tool_choice parallel_tool_calls reasoning_effort include_reasoning"
        " add_generation_prompt continue_final_message".split()
    ),
    "/v1/completions": SAMPLING | frozenset("prompt suffix echo best_of".split()),
}
"""Allowed fields by route, by the names that OpenAI and vLLM give them."""

TEMPLATES = frozenset({"chat_template", "chat_template_kwargs"})
MEDIA_PARTS = frozenset(
    "image_url audio_url video_url input_audio image_pil image_embeds audio_embeds file".split()
)
MAX_LOGPROBS = 20
MAX_PROMPTS = 16
MAX_STOPS = 16
MAX_SCHEMA_NODES = 2000
MAX_DEPTH = 32


def check(route: str, body: dict[str, Any], service: Service, defences: Defences) -> dict[str, Any]:
    """The body as it is passed on: checked, bounded, with usage always counted.

    Raises:
        Refusal: Naming the field that must be changed.
    """
    if defences.templates and (found := TEMPLATES & body.keys()):
        raise bad("a request cannot bring its own chat template", param=min(found))
    if defences.fields and (unknown := body.keys() - FIELDS[route] - TEMPLATES):
        raise bad(f"the field '{min(unknown)}' is not accepted here", param=min(unknown))
    _depth(body)
    if defences.media:
        _no_media(body.get("messages"))
    bounded = dict(body)
    if defences.choices:
        _at_most(body, "n", service.limits.max_choices)
        _at_most(body, "best_of", service.limits.max_choices)
    _at_most(body, "top_logprobs", MAX_LOGPROBS)
    if not isinstance(body.get("logprobs"), bool):
        _at_most(body, "logprobs", MAX_LOGPROBS)
    _few(body, "stop", MAX_STOPS)
    _few(body, "stop_token_ids", MAX_STOPS)
    if isinstance(prompt := body.get("prompt"), list) and any(
        not isinstance(item, int) for item in prompt
    ):
        _few(body, "prompt", MAX_PROMPTS)
    if defences.tokens:
        _bound_tokens(route, bounded, service)
    for field in ("response_format", "structured_outputs", "tools"):
        if _nodes(body.get(field)) > MAX_SCHEMA_NODES:
            raise bad(f"'{field}' is larger than {MAX_SCHEMA_NODES} nodes", param=field)
    if body.get("stream"):
        options = body.get("stream_options")
        bounded["stream_options"] = (options if isinstance(options, dict) else {}) | {
            "include_usage": True
        }
    return bounded


def _bound_tokens(route: str, bounded: dict[str, Any], service: Service) -> None:
    limit = min(service.limits.max_tokens, service.context)
    named = [f for f in ("max_tokens", "max_completion_tokens") if bounded.get(f) is not None]
    for field in named:
        _at_most(bounded, field, limit, least=0)
    _at_most(bounded, "min_tokens", limit, least=0)
    if not named and route == "/v1/chat/completions" and limit < service.context:
        # The engine's default for a chat is all that the context leaves; the lesser of both holds.
        bounded["max_tokens"] = limit


def _at_most(body: dict[str, Any], field: str, limit: int, *, least: int = 0) -> None:
    value = body.get(field)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= limit:
        raise bad(f"'{field}' must be a whole number from {least} to {limit}", param=field)


def _few(body: dict[str, Any], field: str, limit: int) -> None:
    value = body.get(field)
    if isinstance(value, list) and len(value) > limit:
        raise bad(f"'{field}' takes at most {limit} entries", param=field)


def _no_media(messages: object) -> None:
    if not isinstance(messages, list):
        return
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and (
                part.get("type") in MEDIA_PARTS or MEDIA_PARTS & part.keys()
            ):
                raise bad("media cannot be sent to this model, nor fetched for it", "messages")


def _depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise bad(f"the request is nested deeper than {MAX_DEPTH}")


def _nodes(value: object) -> int:
    count, waiting = 0, [value]
    while waiting and count <= MAX_SCHEMA_NODES:
        count += 1
        waiting.extend(_children(waiting.pop()))
    return count


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


__all__ = ["FIELDS", "Refusal", "check"]
