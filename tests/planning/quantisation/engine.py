"""A program: the parameters that vLLM itself creates for each tiny quantised model, as JSON.

It builds whole models on this machine's CPU and loads nothing. Which kernel multiplies is chosen
while a model is built, and no CPU has all of them: that choice is taken away, so that every method
gets as far as its tensors. A process of its own, because vLLM's state is the process's.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

_CHOICES = re.compile(r"(init|choose|select)_\w+_(linear_kernel|moe_backend)|verify_marlin_\w+")
_PACKAGE = "vllm.model_executor.layers.quantization"


def _answer(*_: object, **__: object) -> tuple[MagicMock, MagicMock]:
    return MagicMock(), MagicMock()


def _kernel(*_: object, **__: object) -> MagicMock:
    return MagicMock(__name__="Kernel")


def _without_kernels() -> None:
    """Replace every choice of a kernel in vLLM's methods."""
    package = importlib.import_module(_PACKAGE)
    for found in pkgutil.walk_packages(package.__path__, f"{_PACKAGE}."):
        try:
            module = importlib.import_module(found.name)
        except ImportError:  # kernels of other platforms
            continue
        _replace(module)


def _replace(module: ModuleType) -> None:
    for name in dir(module):
        if _CHOICES.fullmatch(name):
            setattr(module, name, _answer if name.endswith("_moe_backend") else _kernel)


def _one_rank() -> None:
    from vllm.config import DeviceConfig, VllmConfig, set_current_vllm_config
    from vllm.distributed import init_distributed_environment, initialize_model_parallel

    with tempfile.TemporaryDirectory() as folder:
        init_distributed_environment(
            world_size=1,
            rank=0,
            distributed_init_method=f"file://{folder}/meet",
            local_rank=0,
            backend="gloo",
        )
        with set_current_vllm_config(VllmConfig(device_config=DeviceConfig("cpu"))):
            initialize_model_parallel(1, 1)


def _parameters(config: dict[str, Any]) -> dict[str, int]:
    """Bytes of each parameter of the model that vLLM builds."""
    import torch
    from vllm.config import CacheConfig, DeviceConfig, ModelConfig, VllmConfig
    from vllm.config import set_current_vllm_config as using
    from vllm.model_executor.model_loader.utils import initialize_model

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        model_config = ModelConfig(
            model=folder, tokenizer=folder, skip_tokenizer_init=True, dtype="bfloat16",
            enforce_eager=True, max_model_len=128, allow_deprecated_quantization=True,
        )  # fmt: skip
        vllm_config = VllmConfig(
            model_config=model_config,
            device_config=DeviceConfig("cpu"),
            cache_config=CacheConfig(block_size=32),
        )
        torch.set_default_dtype(torch.bfloat16)
        with using(vllm_config), torch.device("cpu"):
            model = initialize_model(vllm_config=vllm_config)
        torch.set_default_dtype(torch.float32)
    return {name: parameter.nbytes for name, parameter in model.named_parameters()}


def main() -> None:
    """Read `{name: config}` from standard input, write `{name: {parameter: bytes}}` to a file."""
    wanted: dict[str, dict[str, Any]] = json.load(sys.stdin)
    _without_kernels()
    _one_rank()
    found = {name: _parameters(config) for name, config in wanted.items()}
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
