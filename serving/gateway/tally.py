"""What is counted of one answer."""

from __future__ import annotations

from dataclasses import dataclass

from serving.gateway.events import Usage


@dataclass(slots=True)
class Tally:
    """Tokens and times of one answer, in seconds."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    ttft: float | None = None
    tpot: float | None = None
    counted: bool = False
    """Whether these are the engine's own numbers."""
    empty: bool = False
    """Whether it is whole, and says nothing."""
    truncated: bool = False
    """Whether it ended because it was as long as it may be."""

    @property
    def total(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def count(self, usage: Usage) -> None:
        """Take the engine's own count."""
        self.prompt_tokens, self.completion_tokens = usage.prompt, usage.completion
        self.counted = True


__all__ = ["Tally"]
