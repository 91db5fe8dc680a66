"""What one replica can do: the figures that the model of an engine is made of.

A profile is measured (`llmops bench NAME --profile FILE`) or stated; the usual one below is a
round guess that belongs to no machine, and whoever uses it is told so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One replica; times in seconds."""

    slots: int = 16
    """Requests that its engine works on at once (vLLM: `max_num_seqs`, or what its cache holds)."""
    prefill_rate: float = 8000.0
    """Tokens of prompts that it reads in a second when it does nothing else."""
    step: float = 0.020
    """One step of decoding with an empty batch: the time to read the weights."""
    step_each: float = 0.001
    """What each request of the batch adds to a step."""
    chunk: int = 2048
    """Tokens of prompts that are read in one step beside decoding (`max_num_batched_tokens`)."""
    startup: float = 60.0
    """From asking for a replica to its first answer."""
    devices: int = 1
    """GPUs of one replica; on a machine without GPUs, the machine's share that it has."""
    takes: int | None = None
    """Requests that are handed to one replica at most (`scaling.max_in_flight`); None is as many as
    its slots. Others wait at the gateway for the first replica with room. What was handed to one is
    not taken over by another."""
    kv_tokens: int | None = None
    """Tokens that the KV cache holds: for its use, as the decision sees it; None is not known."""

    def step_of(self, batch: int) -> float:
        """Seconds that one step takes: each request of the batch gets a token."""
        return self.step + self.step_each * batch

    @property
    def most(self) -> int:
        """Requests that are handed to one replica at most."""
        return self.slots if self.takes is None else self.takes

    @property
    def mixed_step(self) -> float:
        """Seconds that reading prompts adds to a step."""
        return self.chunk / self.prefill_rate

    @property
    def slowest_step(self) -> float:
        """The longest that a request in the batch waits for its next token."""
        return self.mixed_step + self.step_of(self.slots)

    def work(self, input_tokens: int, output_tokens: int) -> float:
        """The least time of a replica that a request takes: in full batches.

        No replica does more than one second of it in a second: a step with b <= slots requests
        and c tokens of prompts takes c / prefill_rate + step + step_each * b, and does
        c / prefill_rate + b / slots * (step + step_each * slots), which is never more.
        """
        return (
            input_tokens / self.prefill_rate + output_tokens * self.step_of(self.slots) / self.slots
        )


USUAL = Profile()
"""Used where nothing was measured."""
