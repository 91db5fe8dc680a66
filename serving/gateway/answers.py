"""Refusals in OpenAI's error shape: what clients of that API know how to read. No traceback."""

from __future__ import annotations

import json
from dataclasses import dataclass

SHOWN = 100
"""Characters of a client's own words that an answer repeats, at most."""


# Neither frozen nor with slots: an exception on its way through a `with` gets its traceback set.
@dataclass(eq=False)
class Refusal(Exception):
    """An answer that is not a generation. `reason` is for the audit line."""

    status: int
    reason: str
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.message

    def body(self, request_id: str | None = None) -> bytes:
        """The JSON body; it names the request where no header can do so any more."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code or self.reason,
        }
        if request_id is not None:
            error["request_id"] = request_id
        return json.dumps({"error": error}).encode()


def not_found() -> Refusal:
    """For every path that is not on the allowlist."""
    return Refusal(404, "not_found", "there is nothing at this path")


def wrong_method(allowed: str) -> Refusal:
    """For a route that is asked in a way it does not answer."""
    return Refusal(
        405,
        "method_not_allowed",
        f"this path answers {allowed} only",
        headers=(("allow", allowed),),
    )


def unauthorized() -> Refusal:
    """For every request without a valid key, whatever it asks for."""
    return Refusal(
        401,
        "invalid_api_key",
        "a valid API key is needed: send it as 'Authorization: Bearer <key>'",
        kind="authentication_error",
        headers=(("www-authenticate", "Bearer"),),
    )


def no_model(name: str) -> Refusal:
    """For a model that does not exist, or that the key may not use: the answer is the same."""
    return Refusal(
        404,
        "model_not_found",
        f"the model '{name[:SHOWN]}' does not exist for this key",
        param="model",
    )


def bad(message: str, param: str | None = None, reason: str = "invalid_request") -> Refusal:
    """For a request that must be changed by its sender."""
    return Refusal(400, reason, message, param=param and param[:SHOWN])


def client_gone() -> Refusal:
    """For the audit line alone: nobody is there to read an answer."""
    return Refusal(499, "client_gone", "the client hung up")


def too_many_lines() -> Refusal:
    """For a connection for which there is no place."""
    return Refusal(
        503,
        "too_many_connections",
        "there are too many connections: try again",
        kind="server_error",
        headers=(("retry-after", "1"),),
    )


def engine_failed() -> Refusal:
    """For a failure of the engine; what it said of it stays in its log."""
    return Refusal(502, "engine_failed", "the engine failed", kind="server_error")


def stream_cut() -> Refusal:
    """For an answer that began and cannot be ended: never passed off as a whole one."""
    return Refusal(
        502, "stream_cut", "the model's replica died while answering", kind="server_error"
    )


def from_engine(status: int, document: object) -> Refusal:
    """What the engine said no with: its own words when it was the request, none when it failed.

    Args:
        status: HTTP status of the engine's answer.
        document: Its parsed body, in OpenAI's error shape or with the error's fields on top.
    """
    if not 400 <= status < 500:
        return engine_failed()
    error = document.get("error", document) if isinstance(document, dict) else None
    fields = error if isinstance(error, dict) else {}
    message, param = fields.get("message"), fields.get("param")
    return Refusal(
        status,
        "engine_refused",
        message[:1000] if isinstance(message, str) else "the engine refused the request",
        param=param[:SHOWN] if isinstance(param, str) else None,
    )
