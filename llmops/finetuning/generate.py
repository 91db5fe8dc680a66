"""Write what is made from the models of `kind: FineTune`: its JSON Schema and its reference page.

`python -m llmops.finetuning.generate` writes both; `--check` writes nothing and fails when one
differs. For developers: it works in a checkout of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llmops.finetuning.model import FineTune
from llmops.spec import Generated, as_json, page_of, schema_of

COMMAND = "python -m llmops.finetuning.generate"

_HEAD = """\
# The fine-tuning: `finetune.yaml`

<!-- Made from the docstrings in llmops/finetuning/model.py, data.py, method.py and training.py
     beside it. Change those, then run: python -m llmops.finetuning.generate -->

One file says what to train on which data, and what the result must be able to do. Only `kind`,
`name`, `model.source` and `data.train` are required; every other field has a default. `llmops init
NAME --kind finetune` writes a file to start from, `llmops validate` checks one, `llmops plan -f`
says what it takes and refuses what cannot fit, `llmops finetune run -f` trains, and `llmops explain
--kind finetune FIELD` shows what stands below. It is spelled as a [spec](spec.md) is.

```yaml
kind: FineTune
name: support-style
model: {source: hf://Qwen/Qwen2.5-0.5B-Instruct}
data:
  train: [{source: data/train.jsonl}]
  split: 0.05
eval:
  - {set: data/exam.jsonl, metric: exact_match, min: 0.5, no_worse_than: base}
```

**Rows.** Each line of a JSON Lines file is one row:

| `format` | a row |
|---|---|
| `chat` | `{"messages": [{"role": "user", "content": "…"}, …]}`, the last of the assistant |
| `instruction` | `{"prompt": "…", "completion": "…"}` |
| `text` | `{"text": "…"}` |
| `preference` | `{"prompt": "…", "chosen": "…", "rejected": "…"}` |

Other names of columns are told by `columns`, and a prompt of several columns by `template`.

**Paths** are relative to the folder of the file that they are written in. Of standard input they
are absolute: `file:///path`.
"""


def made() -> dict[Path, str]:
    """What each generated file has to hold, by its path below the root."""
    return {
        Path("llmops/finetuning/finetune.schema.json"): as_json(
            schema_of(FineTune, "finetune.yaml")
        ),
        Path("docs/reference/finetune.md"): page_of(FineTune, _HEAD, "The fine-tuning"),
    }


FILES = Generated(COMMAND, made)
stale, write, main = FILES.stale, FILES.write, FILES.main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
