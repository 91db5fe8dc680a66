"""Fine-tunings that can be written, of every shape that the models and the checks allow."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from llmops.finetuning import FineTune
from llmops.finetuning.contradictions import find_contradictions
from tests.spec.strategies import names, parts, sources

files = st.builds("{}.{}".format, parts, st.sampled_from(["jsonl", "csv", "parquet", "json.gz"]))
places = st.one_of(
    files,
    st.builds("data/{}".format, files),
    st.builds("file:///srv/{}".format, files),
    st.builds("hf://{}/{}".format, parts, parts),
)
shares = st.floats(0, 0.5, allow_nan=False)


def _section(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def rows(formats: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"source": places},
        optional={"format": st.sampled_from(formats), "revision": st.just("0" * 40)},
    )


_CONVERSATIONS = ["chat", "instruction", "text"]
data: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"train": st.lists(rows(_CONVERSATIONS), min_size=1, max_size=3)},
    optional={
        "eval": st.lists(rows(_CONVERSATIONS), max_size=2),
        "split": st.floats(0.0001, 0.5),
        "filters": _section(
            min_tokens=st.integers(1, 64),
            languages=st.lists(st.sampled_from(["en", "de", "fr"]), max_size=2),
            repetition=st.floats(0, 1),
            broken_text=st.booleans(),
            too_long=st.sampled_from(["drop", "cut"]),
        ),
        "duplicates": _section(exact=st.booleans(), near=st.just("off") | st.floats(0.5, 1)),
        "personal_data": st.sampled_from(["redact", "fail", "keep"]),
        "on_bad": st.sampled_from(["fail", "skip"]),
    },
)
adapters = _section(
    kind=st.sampled_from(["lora", "qlora"]),
    rank=st.integers(1, 1024),
    alpha=st.just("auto") | st.integers(1, 4096),
    dropout=st.floats(0, 0.9),
    targets=st.just("all-linear") | st.lists(st.sampled_from(["q_proj", "v_proj"]), min_size=1),
)
training = _section(
    strategy=st.sampled_from(
        ["auto", "ddp", "fsdp", "deepspeed-zero1", "deepspeed-zero2", "deepspeed-zero3"]
    ),
    workers=st.integers(1, 4),
    precision=st.sampled_from(["auto", "float32", "bfloat16"]),
    gradient_checkpointing=st.just("auto") | st.booleans(),
    packing=st.booleans(),
    sequence=st.integers(128, 2048),
    tokens_per_step=st.integers(128, 100_000),
    micro_batch=st.just("auto") | st.integers(1, 8),
    learning_rate=st.just("auto") | st.floats(1e-6, 1e-3),
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
    warmup=shares,
    weight_decay=st.floats(0, 1),
    epochs=st.integers(1, 1000),
    seed=st.integers(0, 2**32 - 1),
)
documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "kind": st.just("FineTune"),
        "name": names,
        "model": st.fixed_dictionaries({"source": sources}),
        "data": data,
    },
    optional={
        "method": adapters | st.just({"kind": "full"}),
        "training": training,
        "checkpoints": _section(every=st.integers(1, 1000), keep=st.integers(1, 10)),
        "hardware": _section(device=st.sampled_from(["auto", "cpu", "gpu"])),
        "output": _section(merge=st.booleans(), service=names),
    },
)
"""What a file holds, as plain data; contradictions are still in it."""

finetunes: st.SearchStrategy[FineTune] = documents.map(FineTune.model_validate).filter(
    lambda made: not any(find_contradictions(made, lambda _: False))
)
"""Fine-tunings that mean something."""
