"""What a request may ask for: fields on a list, within bounds. Pure.

The engine behind understands many more fields than OpenAI's API has, some of which reach past it
(templates that run, tensors that are unpickled, links that are fetched). So a field that is not
listed is refused by name, and each one that can grow is bounded. What is passed on is written anew
from what was checked: of two keys with one name the engine sees the one that was looked at.
"""

from __future__ import annotations

import json
from typing import Any

from serving.gateway import messages, schemas
from serving.gateway.answers import SHOWN, Refusal, bad
from serving.gateway.config import Service
from serving.gateway.defences import Defences
from serving.gateway.fields import COUNTS, FIELDS, NOT_PASSED_ON, TOKENS, Rule, whole

TEMPLATES = frozenset({"chat_template", "chat_template_kwargs"})
CONSTRAINTS = ("response_format", "structured_outputs", "tools")
STREAM_OPTIONS = frozenset({"include_usage", "continuous_usage_stats", "include_obfuscation"})


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        Refusal: When it is none.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad("the body is not valid JSON", reason="invalid_json") from error
    if not isinstance(document, dict):
        raise bad("the body must be a JSON object", reason="invalid_json")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check(route: str, body: dict[str, Any], service: Service, defences: Defences) -> dict[str, Any]:
    """The body as it is passed on: checked, bounded, with usage always counted.

    Raises:
        Refusal: Naming the field that must be changed.
    """
    given = {name: value for name, value in body.items() if value is not None}
    if messages.too_deep(given):
        raise bad(f"the request is nested deeper than {messages.MAX_DEPTH}")
    if defences.templates and (found := TEMPLATES & given.keys()):
        raise bad("a request cannot bring its own chat template", param=min(found))
    if defences.fields:
        _check_fields(route, given)
    if defences.media:
        messages.check_text(given.get("messages"))
    if defences.choices:
        _hold(given, dict.fromkeys(COUNTS[route], whole(1, service.limits.max_choices)))
    if defences.tokens:
        _bound_tokens(route, given, service)
    if defences.schemas:
        for field in CONSTRAINTS:
            if isinstance(value := given.get(field), (dict, list)):
                schemas.check(field, value)
    _count_usage(given, each=service.limits.bounds.of_tokens)
    return {name: value for name, value in given.items() if name not in NOT_PASSED_ON}


def encode(checked: dict[str, Any]) -> bytes:
    """The body that the engine gets.

    Raises:
        Refusal: When it holds what cannot be written as UTF-8 JSON: half a surrogate pair, or a
            number such as 1e999.
    """
    try:
        return json.dumps(checked, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except ValueError as error:
        raise bad("the body holds text or numbers that are not valid", reason="invalid_json") from (
            error
        )


def wants_usage(body: dict[str, Any]) -> bool:
    """Whether the client asked for the usage of its stream."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def wants_each(body: dict[str, Any]) -> bool:
    """Whether the client asked for the usage with each event of its stream."""
    return wants_usage(body) and bool(body["stream_options"].get("continuous_usage_stats"))


def _check_fields(route: str, given: dict[str, Any]) -> None:
    elsewhere = {*COUNTS[route], *TOKENS[route], *TEMPLATES}
    if unknown := given.keys() - FIELDS[route].keys() - elsewhere:
        name = min(unknown)
        raise bad(f"the field '{name[:SHOWN]}' is not accepted here", param=name)
    _hold(given, FIELDS[route])
    options = given.get("stream_options", {})
    if options.keys() - STREAM_OPTIONS or any(
        type(value) is not bool for value in options.values() if value is not None
    ):
        known = ", ".join(sorted(STREAM_OPTIONS))
        raise bad(f"'stream_options' takes true or false for {known}", "stream_options")
    if "messages" in given:
        messages.check_fields(given["messages"])


def _hold(given: dict[str, Any], rules: dict[str, Rule]) -> None:
    for field, rule in rules.items():
        if field in given and not rule.holds(given[field]):
            raise bad(f"'{field}' must be {rule.words}", param=field)


def _bound_tokens(route: str, given: dict[str, Any], service: Service) -> None:
    limit = min(service.limits.of_one_request, service.context)
    _hold(given, dict.fromkeys(TOKENS[route], whole(0, limit)))
    named = given.keys() & {"max_tokens", "max_completion_tokens"}
    if not named and route == "/v1/chat/completions" and limit < service.context:
        # The engine's default for a chat is all that the context leaves; the lesser of both holds.
        # Its default for a completion is 16.
        given["max_tokens"] = limit


def _count_usage(given: dict[str, Any], *, each: bool) -> None:
    """Have the engine count: in the end, or `each` event where a stream that is cut is charged."""
    if not given.get("stream"):
        return
    options = {"include_usage": True}
    if each or wants_each(given):
        options["continuous_usage_stats"] = True
    given["stream_options"] = options


__all__ = ["FIELDS", "Refusal", "check", "encode", "parse", "wants_each", "wants_usage"]
