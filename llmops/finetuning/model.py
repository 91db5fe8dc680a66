"""What a user may write in a file of `kind: FineTune`: the fields, their defaults, and why those.

Every field is documented by the docstring right below it; the reference page and `llmops explain`
are made from these. Nothing here reads a file, looks at a machine or checks two sections against
each other: see `document` and `contradictions`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.evaluating import Metric
from llmops.finetuning.data import Data
from llmops.finetuning.method import Lora, Method
from llmops.finetuning.training import Checkpoints, Hardware, Training
from llmops.spec import Form, Name, Section

HELD_OUT = "held-out"
"""The word for what `data.eval` or `data.split` holds out."""


class Base(Section):
    """The model that is trained further."""

    source: Annotated[
        str,
        Field(json_schema_extra={"pattern": "^(hf://[^/]+/[^/]+$|file:///|(pkg|s3|gs)://[^/]+/.)"}),
        Form("an address such as hf://owner/name"),
    ]
    """Where the weights come from: `hf://owner/name`, `file:///path`, `s3://bucket/prefix`,
    `gs://bucket/prefix`, or `pkg://module/file`, as in a service's `model.source`."""

    revision: Annotated[str, Form("a commit hash, a branch or a tag")] | None = None
    """For `hf://`: a full commit hash (40 hex digits), so that each run begins with the same
    weights. A branch or tag is resolved once, and the run pins the commit it stood for."""


class Exam(Section):
    """What the trained model has to pass before it may be served."""

    set: (
        Annotated[
            str,
            Field(min_length=1, max_length=4096),
            Form("a path beside this file, or file:///path"),
        ]
        | Literal["held-out"]
    )
    """Rows that are asked: a JSON Lines file with `prompt` or `messages`, and `reference`,
    `references` or `label`, in each line; its path relative to the folder of this file. A chat file
    whose conversations end with the assistant's turn is one too. `held-out` is what `data.eval` or
    `data.split` holds out, of which the perplexity can be told and nothing else."""

    metric: Annotated[Metric, Field(strict=False)]
    """What is measured. `accuracy`, `f1_macro` and `f1_micro` compare answers as classes,
    `exact_match` as texts, `rouge1`, `rouge2`, `rougeL`, `bleu` and `chrf` by what they have in
    common; `perplexity` is of the references, and less of it is better."""

    min: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """Least value that passes. Shares are from 0 to 1; `bleu` and `chrf` from 0 to 100."""

    max: Annotated[float, Field(ge=1.0, le=1_000_000.0)] | None = None
    """Largest value that passes, for `perplexity`."""

    no_worse_than: Literal["base", "live"] | None = None
    """Another model that must not be better: `base`, or `live`, what `output.service` serves when
    the run ends. Both answer the same rows, and the difference is judged row by row."""

    margin: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """How much worse it may be than `no_worse_than`, in the metric's unit; for `perplexity` as a
    share, so that 0.02 forgives 2 %. Left out it is 2 % of the scale: with nothing forgiven, no
    number of rows could show that two equal models are equal."""

    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    """How sure it must be that the model is no worse than that: the confidence of the interval of
    the paired difference. More needs more rows."""

    max_tokens: Annotated[int, Field(ge=1, le=1_048_576)] = 256
    """Longest answer that is asked for."""


class Result(Section):
    """What a run makes."""

    merge: bool = False
    """Whether an adapter is added into the weights of the base, so that a whole model is the
    result. An adapter by itself is small, and is loaded beside the base that runs already."""

    service: Name | None = None
    """The service that the result is meant for: `no_worse_than: live` compares with what it serves.
    Nothing is served by a run; `llmops finetune promote` does."""

    keep_runs: Annotated[int, Field(ge=1, le=1000)] = 10
    """Runs that are kept, the newest; one that is served is kept in any case."""


class LocalTarget(Section):
    """Train on this machine."""

    kind: Literal["local"] = "local"
    """Where it is trained: `local` is this machine."""


class FineTune(Section):
    """What to train on which data, and what it must be able to do."""

    apiVersion: Literal["llmops/v1"] = "llmops/v1"  # noqa: N815
    """Version of this form."""

    kind: Literal["FineTune"]
    """What this file is."""

    name: Name
    """Name of the runs: each gets a number behind it, and what they make is called after it."""

    model: Base
    """The model that is trained further."""

    data: Data
    """What is learnt from."""

    method: Method = Lora()
    """What is trained: adapters, unless it says otherwise."""

    training: Training = Training()
    """How it is trained."""

    checkpoints: Checkpoints = Checkpoints()
    """What a run goes on from after an interruption."""

    hardware: Hardware = Hardware()
    """What a worker may use of the machine."""

    eval: Annotated[tuple[Exam, ...], Field(strict=False)] = ()
    """What the trained model has to pass before it may be served: all of it. One that fails is
    kept, named, and not served."""

    output: Result = Result()
    """What a run makes."""

    target: LocalTarget = LocalTarget()
    """Where it is trained."""

    @property
    def preference(self) -> bool:
        """Whether it learns from pairs of a better and a worse answer."""
        return any(rows.format == "preference" for rows in self.data.train)


__all__ = [
    "Base",
    "Exam",
    "FineTune",
    "HELD_OUT",
    "LocalTarget",
    "Result",
]
