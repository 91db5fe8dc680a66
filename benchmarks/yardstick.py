"""What the real vLLM reports for a model of random weights: the yardstick of memory predictions.

    python -m benchmarks.yardstick < cases.json > results.json

A case is a model's configuration with the engine's settings; nothing is downloaded, since vLLM
fills in weights itself. Weights are counted rank by rank right after they are made, before the CPU
engine repacks them; blocks and tokens of the KV cache are those that the engine itself settles on.
Cases run one after the other in this process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # The engine core runs in this process, where its settings can be read.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOOPBACK_IP": "127.0.0.1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A model and how it is run; sizes of the cache in GiB for each rank."""

    name: str
    config: dict[str, Any]
    dtype: str = "bfloat16"
    context: int = 2048
    kv_gib: int = 1
    tensor: int = 1
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reported:
    """What the engine says; bytes."""

    name: str
    blocks: int
    tokens: int
    block: int
    """Tokens in a block of attention."""
    weights: tuple[int, ...]
    """Bytes of parameters on each rank."""
    in_flight: int
    resident: int
    """Resident bytes of this process once the engine is up."""


def measure(case: Case) -> Reported:
    """Start the engine for one case in this process, look at it, and end it."""
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory, "model")
        model.mkdir()
        (model / "config.json").write_text(json.dumps(case.config))
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(case.kv_gib)
        os.environ["LLMOPS_YARDSTICK_RANKS"] = directory
        with _engine(case, model) as engine:
            return _read(case, engine, Path(directory))


def _read(case: Case, engine: Any, directory: Path) -> Reported:
    import psutil

    config = engine.llm_engine.vllm_config
    weights = [int(path.read_text()) for path in sorted(directory.glob("rank-*"))]
    return Reported(
        name=case.name,
        blocks=config.cache_config.num_gpu_blocks,
        tokens=config.cache_config.kv_cache_size_tokens or 0,
        block=config.cache_config.block_size,
        weights=tuple(weights),
        in_flight=config.max_in_flight_tokens,
        resident=psutil.Process().memory_info().rss,
    )


@contextlib.contextmanager
def _engine(case: Case, model: Path) -> Iterator[Any]:
    from vllm import LLM
    from vllm.distributed import cleanup_dist_env_and_memory

    parallel: dict[str, Any] = {"tensor_parallel_size": case.tensor}
    if case.tensor > 1:
        parallel["distributed_executor_backend"] = "mp"
    engine = LLM(
        model=str(model),
        load_format="dummy",
        skip_tokenizer_init=True,
        enforce_eager=True,
        dtype=case.dtype,
        max_model_len=case.context,
        worker_extension_cls="benchmarks.ranks.Extension",
        **parallel,
        **case.args,
    )
    try:
        yield engine
    finally:
        engine.llm_engine.engine_core.shutdown()
        del engine
        gc.collect()
        cleanup_dist_env_and_memory()


def main() -> None:
    """Measure the cases on standard input; one line of JSON for each on standard output."""
    os.environ.update(ENVIRONMENT)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the engine prints is no answer
    for document in json.load(sys.stdin):
        answers.write(json.dumps(asdict(measure(Case(**document)))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
