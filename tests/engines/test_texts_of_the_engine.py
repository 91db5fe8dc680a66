"""The engine's own words that causes and phases look for are in the engine that is installed.

Without this a new version that says the same otherwise would leave users without a cause.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from serving.runtime.phases import _MARKS

TEXTS = [
    ("v1/core/kv_cache_utils.py", "the estimated maximum model length is "),
    ("v1/core/kv_cache_utils.py", "No available memory for the cache blocks"),
    ("v1/core/kv_cache_utils.py", "cache is needed, which is larger than the available KV cache "),
    ("v1/worker/cpu_worker.py", "Available memory on node "),
    ("v1/worker/cpu_worker.py", " allocation is less than requested memory for kv "),
    ("v1/worker/utils.py", "Free memory on device "),
    ("distributed/device_communicators/shm_broadcast.py", "Insufficient space in "),
    ("model_executor/models/registry.py", " are not supported for now"),
    ("model_executor/models/registry.py", "to be inspected"),
    ("model_executor/models/registry.py", "was supported in vLLM until"),
    ("model_executor/models/utils.py", "There is no module or parameter named "),
    ("model_executor/model_loader/default_loader.py", "Cannot find any model weights with "),
    ("model_executor/model_loader/default_loader.py", "weights were not initialized from "),
    ("model_executor/layers/linear.py", "assert param_data.shape == loaded_weight.shape"),
    ("config/model.py", "User-specified max_model_len ("),
    ("config/model.py", "must be divisible by tensor parallel size "),
    ("config/model.py", "Unknown quantization method: "),
    ("config/device.py", "Failed to infer device type"),
    ("platforms/interface.py", " quantization is currently not supported in "),
    ("platforms/cuda.py", "Bfloat16 is only supported on GPUs "),
    ("entrypoints/launchers/launcher.py", "invalid tool call parser: "),
    ("entrypoints/launchers/cli_args.py", "--enable-auto-tool-choice requires --tool-call-parser"),
    ("v1/executor/multiproc_executor.py", "died unexpectedly (exit code: %s)"),
    ("v1/engine/utils.py", "Failed core proc(s): "),
    ("v1/engine/core.py", "Initializing a V1 LLM engine"),
    ("v1/engine/core.py", "init engine (profile"),
    ("v1/worker/cpu_model_runner.py", "Starting to load model"),
    ("model_executor/model_loader/default_loader.py", "Loading weights took"),
]


def package() -> Path:
    spec = importlib.util.find_spec("vllm")
    assert spec is not None, "vLLM is not installed"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@pytest.mark.parametrize(("file", "text"), TEXTS)
def test_the_engine_still_says(file: str, text: str) -> None:
    assert text in (package() / file).read_text()


def test_every_mark_of_a_phase_is_printed_by_somebody() -> None:
    replica = (Path(__file__).parents[2] / "serving/runtime/replica.py").read_text()
    engine = " ".join(text for _, text in TEXTS)
    assert [mark for mark in _MARKS if mark not in engine and mark not in replica] == []
