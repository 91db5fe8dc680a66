"""Whether an answer is a refusal, for whoever asked."""

from __future__ import annotations

from serving.auditing.asking import Asked

REFUSED = frozenset({401, 403, 404})
"""What nobody gets who has no key."""


def closed(asked: Asked) -> bool:
    """Whether whoever has no key got nothing: a refusal, or no HTTP answer at all."""
    return asked.answer.status in REFUSED or 0 <= asked.answer.status < 200


def rejected(asked: Asked) -> bool:
    """Whether a request that makes no sense was refused, and only that."""
    answer = asked.answer
    return not answer.again and (answer.status == 0 or 400 <= answer.status < 500)
