"""The small file that `llmops init --kind finetune` writes; the models tell its defaults."""

from __future__ import annotations

from llmops.finetuning.model import FineTune
from llmops.spec import check_starter, spelled, starter_options

_HEAD = """\
# What to train on which data. `llmops validate` checks this file, `llmops plan` says what it takes,
# `llmops finetune run` trains, and `llmops explain --kind finetune FIELD` tells what a field means.
# Lines such as `#method:` are options that show their defaults: to set one, take away its '#' and
# that of its section.
"""

_DATA = """\
data:
  train:
    - source: data/train.jsonl    # beside this file: {"messages": [{"role", "content"}, ...]}
  split: 0.05                     # share of the rows that is held out
"""

_EVAL = """\
eval:                             # what it has to pass before it may be served
  - {set: held-out, metric: perplexity, no_worse_than: base}
"""

_OF_DATA = (
    ("data.personal_data", "redact, fail or keep"),
    ("data.on_bad", "fail or skip, for rows that cannot be read"),
)

_OPTIONS = (
    ("method.kind", "lora, full or qlora"),
    ("method.rank", "more can hold more, and takes more memory"),
    ("training.strategy", "ddp, fsdp, deepspeed-zero1 to 3, tensor, pipeline"),
    ("training.workers", "processes that train"),
    ("training.sequence", "tokens of a sequence"),
    ("training.tokens_per_step", "tokens before the weights change"),
    ("training.learning_rate", "2e-4 for adapters, 2e-5 for all weights"),
    ("training.epochs", "how often each row is learnt from"),
    ("checkpoints.every", "steps that are lost at most by a kill"),
    ("hardware.device", "cpu, gpu, or auto: the GPUs that are there"),
    ("hardware.memory", "memory of one worker, such as 6GiB"),
    ("output.merge", "true: a whole model instead of an adapter"),
)


def starter(name: str, source: str) -> str:
    """The text of a file that trains `source` further as `name`; it is read as it is.

    Raises:
        InputError: When `name` is no name, or `source` no address.
    """
    check_starter(name, source, "support-style")
    head = f"kind: FineTune\nname: {spelled(name)}\nmodel:\n  source: {spelled(source)}\n"
    data = "\n".join(starter_options(_OF_DATA, FineTune, "data")) + "\n"
    rest = "\n".join(starter_options(_OPTIONS, FineTune, "data")) + "\n"
    return _HEAD + head + _DATA + data + _EVAL + rest


__all__ = ["starter"]
