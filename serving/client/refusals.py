"""What an endpoint's refusals and failures mean, as errors of llmops. Pure.

The endpoint's own words are passed on, bounded, without control characters and without the key:
they come from elsewhere and end on a terminal.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from llmops.errors import InputError, LlmopsError, TargetError

SHOWN = 1000
"""Characters of the endpoint's words that a message repeats."""
MOST_BYTES = 65536
"""Bytes of a refusal's body that are read."""

_CODE = re.compile(r"[\w.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Said:
    """A refusal in the endpoint's own words; each is empty when it said nothing of the kind."""

    message: str = ""
    code: str = ""
    request: str = ""
    """Id of the request, by which the endpoint's audit log knows it."""
    retry_after: str = ""
    """Seconds, or a date."""

    def __str__(self) -> str:
        text = self.message or self.code or "it said no more"
        return f"{text} (request {self.request})" if self.request else text


def read(document: object, key: str, *, request: str = "", retry_after: str = "") -> Said:
    """What a refusal says, from its parsed body or event, in OpenAI's shape or near to it."""
    error = document.get("error", document) if isinstance(document, dict) else document
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    code = str(fields.get("code") or fields.get("type") or "")
    return Said(
        message=_clean(fields.get("message"), key),
        code=code if _CODE.fullmatch(code) and key not in code else "",
        request=_clean(fields.get("request_id") or request, key),
        retry_after=_clean(retry_after, key),
    )


def read_body(body: bytes, key: str, *, request: str = "", retry_after: str = "") -> Said:
    """What a refusal's body says; a body that is no JSON says nothing that can be relied on."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    return read(document, key, request=request, retry_after=retry_after)


def as_error(status: int, said: Said, service: str) -> LlmopsError:
    """The error that an answer of `status` is.

    Args:
        status: HTTP status, not 200.
        said: What the answer said.
        service: The model that was asked for, which is the service's name.
    """
    look = f"see `llmops status {service}`"
    if status == 401:
        return InputError(
            f"the endpoint refused the key: {said}",
            hint=f"make a key with `llmops keys create {service}`",
        )
    if status == 404:
        return InputError(f"the endpoint does not know {service} here: {said}", hint=look)
    if status == 429:
        when = f", try again in {_when(said.retry_after)}" if said.retry_after else ""
        return TargetError(
            f"the endpoint takes no more requests now{when}: {said}", hint=look, serving=True
        )
    if status == 503 and said.code in ("", "no_release"):
        return TargetError(f"no release serves {service}: {said}", hint=look)
    if 400 <= status < 500:
        return InputError(f"the endpoint refused the request ({status}): {said}")
    return TargetError(f"the endpoint failed ({status}): {said}", hint=look)


def failed_midway(said: Said, service: str) -> TargetError:
    """The error that an error event in a stream is."""
    return TargetError(f"the answer broke off: {said}", hint=f"see `llmops status {service}`")


def _when(retry_after: str) -> str:
    return f"{retry_after} s" if retry_after.isdigit() else retry_after


def _clean(text: object, key: str) -> str:
    if not isinstance(text, str):
        return ""
    shown = "".join(c if c.isprintable() else " " for c in text.replace(key, "<key>"))
    return shown[:SHOWN].strip()
