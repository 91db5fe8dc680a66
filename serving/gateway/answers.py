"""Refusals in OpenAI's error shape: what clients of that API know how to read. No traceback."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """An answer that is not a generation. `reason` is for the audit line."""

    status: int
    reason: str
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        """The JSON body."""
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code or self.reason,
        }
        return json.dumps({"error": error}).encode()


def not_found() -> Refusal:
    """For every path that is not on the allowlist."""
    return Refusal(404, "not_found", "there is nothing at this path")


def unauthorized() -> Refusal:
    """For every request without a valid key, whatever it asks for."""
    return Refusal(
        401,
        "invalid_api_key",
        "a valid API key is needed: send it as 'Authorization: Bearer <key>'",
        kind="authentication_error",
        headers=(("www-authenticate", "Bearer"),),
    )


def no_model(name: object) -> Refusal:
    """For a model that does not exist, or that the key may not use: the answer is the same."""
    shown = str(name)[:100]
    return Refusal(
        404, "model_not_found", f"the model '{shown}' does not exist for this key", param="model"
    )


def bad(message: str, param: str | None = None, reason: str = "invalid_request") -> Refusal:
    """For a request that must be changed by its sender."""
    return Refusal(400, reason, message, param=param)
