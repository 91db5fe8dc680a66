"""What an engine is told: the values of a plan that reach the process that runs the model.

Plain data, so that it can travel through a Serve application's arguments and be shown by
`llmops render`. It holds no secret.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from llmops.releases import Release


@dataclass(frozen=True, slots=True)
class EngineRun:
    """One release's engine. Sizes in bytes, `kv_cache_bytes` for all shards of one replica."""

    service: str
    release: int
    engine: str
    source: str
    revision: str
    dtype: str
    context: int
    device: str
    tensor: int
    threads: int
    kv_cache_bytes: int
    args: dict[str, Any]
    stats: bool = False
    """Whether the engine counts what it does: where replicas follow the load, its queue and its KV
    cache are looked at."""
    adapter_rank: int = 0
    """Rank of adapters that it keeps room for; 0 for none."""
    adapter_count: int = 1
    """Adapters of one release that it keeps room for."""
    pipeline: int = 1
    """Stages, each on a machine of its own."""

    @property
    def world(self) -> int:
        """Shards of one replica."""
        return self.tensor * self.pipeline

    @classmethod
    def of(cls, release: Release) -> EngineRun:
        """The engine run that a recorded release asks for."""
        plan = release.plan
        return cls(
            service=plan.service,
            release=release.number,
            engine=plan.engine.kind,
            source=plan.model.source,
            revision=plan.model.revision,
            dtype=plan.engine.dtype,
            context=int(plan.model.context.value),
            device=plan.layout.device,
            tensor=plan.layout.tensor,
            threads=int(plan.layout.threads.value),
            kv_cache_bytes=int(plan.memory.kv_cache.value),
            args=dict(plan.engine.args),
            stats=plan.layout.replicas_low != plan.layout.replicas_high,
            adapter_rank=plan.engine.adapter_rank,
            adapter_count=plan.engine.adapter_count,
            pipeline=plan.layout.pipeline,
        )

    def document(self) -> dict[str, Any]:
        """As plain data; `EngineRun(**document)` is equal to this."""
        document = asdict(self)
        for name in ("stats", "adapter_rank"):
            if not document[name]:
                del document[name]
        for name in ("pipeline", "adapter_count"):
            if document[name] == 1:
                del document[name]
        return document


@dataclass(frozen=True, slots=True)
class Place:
    """Where one part of a replica over several machines stands, and where its parts meet."""

    rank: int
    """Its stage; the first answers."""
    address: str
    """Of its machine, on the network that its Ray is on."""
    interface: str
    """Of that address."""
    meeting: str
    """The first part's address."""
    port: int
    """And port, at which the others find it."""
