"""Loaded by vLLM into each of its workers: counts a rank's weights as they are made.

The CPU engine repacks them right after, and then they are no parameters any more. Importing this
module is what arms it: it is named as the engine's `worker_extension_cls`, which every worker
imports before it loads a model. It writes into the directory that `RANKS` names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vllm.distributed import get_world_group
from vllm.model_executor.model_loader import base_loader

RANKS = "LLMOPS_YARDSTICK_RANKS"
"""Environment variable: the directory to write to."""

_original = base_loader.process_weights_after_loading


def _counted(model: Any, *rest: Any) -> Any:
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    Path(os.environ[RANKS], f"rank-{get_world_group().rank}").write_text(str(size))
    return _original(model, *rest)


base_loader.process_weights_after_loading = _counted


class Extension:
    """Adds nothing to a worker."""
