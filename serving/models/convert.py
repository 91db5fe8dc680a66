"""Turn a GGUF file into safetensors: `python -m serving.models.convert FILE DIRECTORY`.

A program of its own (see `conversion`). The weights become bfloat16, dequantised: what an engine
then loads is an ordinary model directory. It ends when its standard input does, so that it never
outlives the command that wants the model.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path


def convert(file: Path, directory: Path) -> None:
    """Read `file`, write config, weights and tokenizer to `directory`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True)
    )
    model = model.to(torch.bfloat16)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.save_pretrained(directory)


def end_with_parent() -> None:
    """End this process at once when standard input ends: its other end died with its holder."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
