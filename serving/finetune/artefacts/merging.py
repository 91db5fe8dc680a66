"""An adapter merged into its weights, in a process of its own: the memory is given back at its end.

peft does the merging (`merge_and_unload`). What it makes is written aside and renamed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from llmops.errors import LlmopsError, ModelError

TAIL = 600
"""Characters of a failed process's last words that are told."""


def merge(base: Path, adapter: Path, out: Path) -> Path:
    """Write the weights with the adapter merged into them, and the base's tokenizer, to `out`.

    Killed at any moment it leaves nothing at `out`; done twice it gives the first one back.

    Args:
        base: Folder with safetensors and a tokenizer.
        adapter: Folder in peft's format, or an artefact.
        out: Made by it.

    Raises:
        ModelError: When peft cannot merge them.
    """
    if out.exists():
        return out
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    command = [sys.executable, "-m", "serving.finetune.artefacts.merging"]
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "0",
    }
    done = subprocess.run(
        [*command, str(base), str(adapter), str(aside)],
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | offline,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(aside, ignore_errors=True)
        words = done.stderr.strip()[-TAIL:]
        raise ModelError(
            f"{adapter} could not be merged into {base}: {words}",
            hint="serve it as an adapter instead: model.adapter",
        )
    aside.rename(out)
    return out


def _merge(base: Path, adapter: Path, out: Path) -> None:
    try:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise LlmopsError(f"{error.name} is not installed") from error
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    kept = getattr(model.config, "dtype", None) or torch.bfloat16
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    stored = torch.bfloat16 if kept == torch.float32 and _is_half(base) else kept
    merged.to(stored).save_pretrained(out, safe_serialization=True)
    AutoTokenizer.from_pretrained(base).save_pretrained(out)


def _is_half(base: Path) -> bool:
    """Whether the base's own weights are in bfloat16."""
    from serving.models import tensors_of

    files = sorted(base.glob("*.safetensors"))
    return bool(files) and {tensor.dtype for tensor in tensors_of(files[0])} == {"BF16"}


if __name__ == "__main__":
    _merge(*(Path(argument) for argument in sys.argv[1:4]))
