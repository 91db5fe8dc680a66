"""What is asked of a service wherever it runs: what a fleet plan answers. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.memory import UTILISATION
from llmops.planning.parallel import Parallel

TYPICAL = 2048
"""Tokens of a typical request, prompt and answer, where nobody says otherwise: an assumption, and
shown as one."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What must fit, and what may be spent; None where it is left to the planner."""

    context: int | None = None
    """Longest request in tokens; None: what the model was trained for, or what fits."""
    in_flight: int = 16
    """Requests at work at once in one replica."""
    typical: int = TYPICAL
    """Tokens of a typical one of them."""
    replicas: int = 1
    dtype: str = "auto"
    kv_dtype: str = "auto"
    """Format of the KV cache: the engine's `kv_cache_dtype`."""
    parallel: Parallel | None = None
    """The layout that is asked for; its `expert` and `context` count too."""
    experts: bool = False
    """Whether experts must be dealt whole over the ranks, where no layout is asked for."""
    gpus: tuple[str, ...] = ()
    """Names of accelerators in the catalogue; empty: any GPU."""
    count: int | None = None
    """Accelerators that one replica takes."""
    providers: tuple[str, ...] = ()
    """Only offers of these; empty: of all."""
    regions: tuple[str, ...] = ()
    """Only prices of regions that begin so; empty: of all."""
    spot: bool = False
    """Whether machines that may be taken away at any time will do."""
    budget: float | None = None
    """US dollars an hour for all replicas together."""
    utilisation: float = UTILISATION
    machines: int = 8
    """Machines that one replica may be spread over at most."""
    block: int | None = None
    """Tokens in a KV block; None: the engine's own."""
    batch_tokens: int | None = None
    """`max_num_batched_tokens`; None: the engine's default for the device."""
    sequences: int | None = None
    """`max_num_seqs`; None: the engine's default for the device."""
    eager: bool = False
    """Whether CUDA graphs are off (`enforce_eager`)."""

    def takes(self, parallel: Parallel) -> bool:
        """Whether a legal layout is one of those that are asked for."""
        return (
            self.parallel in (None, parallel)
            and self.count in (None, parallel.devices)
            and (self.parallel is not None or not self.experts or parallel.expert)
        )
