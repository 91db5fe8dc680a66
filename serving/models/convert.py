"""Turn a GGUF file into safetensors: `python -m serving.models.convert FILE DIRECTORY`.

A program of its own, so that the memory it takes is given back, and a crash of the readers of a
foreign format ends here. The weights become bfloat16, dequantised: what an engine then loads is an
ordinary model directory.
"""

from __future__ import annotations

import sys
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


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
