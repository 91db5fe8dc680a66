"""The most tokens that a request can take: what is set aside for it before it runs. Pure.

The engine alone counts exactly, and only when it has read the request. Until then each byte of the
body stands for a token: tokenizers of text make no more, since one token is at least one byte. A
chat's template adds text of its own, which `TEMPLATE` allows for; what goes beyond is owed.
"""

from __future__ import annotations

from typing import Any

from serving.gateway.limiter import Tokens

TEMPLATE = 512
"""Tokens that a chat template may add beyond what the body's own JSON takes: the instructions of
those in use (of tools, of a default system prompt) have fewer."""
COMPLETION = 16
"""Tokens that a completion generates which names no number: OpenAI's default, and the engine's."""
CHAT = "/v1/chat/completions"


def most(route: str, checked: dict[str, Any], size: int, context: int) -> Tokens:
    """The most tokens that a request is read as, and may generate.

    Args:
        route: Where it was sent.
        checked: What is passed on.
        size: Bytes of that.
        context: Tokens that one answer may have, its prompt included.
    """
    prompts = _prompts(checked.get("prompt"))
    choices = max(checked.get("n") or 1, checked.get("best_of") or 1)
    answer = min(_answer(route, checked, context), context)
    read = size + (TEMPLATE if route == CHAT else 0)
    return Tokens(min(read, prompts * context), prompts * choices * answer)


def leave_room(document: dict[str, Any], checked: dict[str, Any], room: int) -> bool:
    """Have a chat that names no number of tokens generate no more than there is `room` for.

    Returns whether `checked` was changed. `document` is what the client sent.
    """
    if "messages" not in checked or _named(document):
        return False
    if room < 1 or checked.get("max_tokens", room + 1) <= room:
        return False
    checked["max_tokens"] = room
    return True


def _named(document: dict[str, Any]) -> bool:
    return any(document.get(name) is not None for name in ("max_tokens", "max_completion_tokens"))


def _answer(route: str, checked: dict[str, Any], context: int) -> int:
    named = [checked.get(name) for name in ("max_tokens", "max_completion_tokens")]
    given = [number for number in named if number is not None]
    return max(given, default=context if route == CHAT else COMPLETION)


def _prompts(prompt: Any) -> int:
    """Prompts of one request: a list holds several, unless it is one prompt's token ids."""
    several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    return len(prompt) if several else 1
