"""A bound on tokens: what is being asked counts as the most it can come to, until it is known."""

from __future__ import annotations

from serving.client import Sample


class Budget:
    """Tokens that may be used in all."""

    def __init__(self, most: int | None, used: int = 0) -> None:
        self._most = most
        self.used = used
        """Tokens of questions that have ended."""
        self._reserved = 0

    def reserve(self, tokens: int) -> bool:
        """Whether a question of at most so many tokens may be asked; if so they are held."""
        if self._most is not None and self.used + self._reserved + tokens > self._most:
            return False
        self._reserved += tokens
        return True

    def settle(self, reserved: int, sample: Sample | None) -> None:
        """Note what a question came to; where nobody counted, all that was held is used."""
        self._reserved -= reserved
        self.used += sample.prompt_tokens + sample.output_tokens if sample else reserved
