"""Every defence by name, all on. Only tests switch one off, to show what it holds back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defences:
    """Which defences are on."""

    keys: bool = True
    """No request without a valid API key."""
    allowlist: bool = True
    """Nothing but the listed routes."""
    rate: bool = True
    """Requests per minute and key."""
    body: bool = True
    """Size of a request's body."""
    fields: bool = True
    """Nothing but the listed request fields, each of its type and within its bounds."""
    choices: bool = True
    """Bound of `n`."""
    tokens: bool = True
    """Bound of `max_tokens`."""
    media: bool = True
    """No media, no links that would be fetched: messages are text."""
    schemas: bool = True
    """Bounds of what an answer is constrained to: schemas, patterns, grammars."""
    templates: bool = True
    """No chat template from a request."""
    isolation: bool = True
    """A key is for one service."""
    quarantine: bool = True
    """A request that was in flight at two deaths of an engine is not sent again."""
    quiet_errors: bool = True
    """No traceback and no inner detail in an answer."""
