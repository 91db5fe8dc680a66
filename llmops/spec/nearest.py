"""The nearest of what is allowed to what was written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The one of `allowed` that `word` was most likely meant to be, if any is near."""
    forms = {_form(name): name for name in allowed}
    if (form := _form(word)) in forms:
        return forms[form]
    # Matching costs the product of the lengths; a long text is near no key anyway.
    close = difflib.get_close_matches(form[:60], forms, n=1, cutoff=0.65)
    return forms[close[0]] if close else None


def _form(word: str) -> str:
    """`maxTokens`, `max-tokens` and `MAX_TOKENS` are all `max_tokens`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word[:200])
    return snake.replace("-", "_").replace(" ", "_").lower()
