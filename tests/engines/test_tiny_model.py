"""The tiny model that other tests serve is a real checkpoint, as real libraries read it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from llmops.planning import architecture
from llmops.planning.memory import CPU_HEADS
from llmops.planning.parallel import Cuts, tensor_sizes
from tests.effort import effort
from tests.support.tiny_model import BASE, make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def header(model: Path) -> dict[str, Any]:
    data = (model / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    found: dict[str, Any] = json.loads(data[8 : 8 + length])
    return found


def test_it_is_made_in_a_moment(tmp_path: Path) -> None:
    with effort() as spent:
        make_tiny_model(tmp_path / "tiny")
    assert spent.seconds < 2


def test_a_seed_gives_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    one, same, other = (
        make_tiny_model(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    weights = [(path / "model.safetensors").read_bytes() for path in (one, same, other)]
    assert weights[0] == weights[1] != weights[2]
    assert (one / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()


def test_its_configuration_plans_on_a_cpu_in_two_shards(model: Path) -> None:
    text = (model / "config.json").read_text()
    assert '"num_hidden_layers": 2' in text
    arch = architecture.read(json.loads(text))
    assert arch.head_dim in CPU_HEADS
    assert arch.max_positions == 512
    assert tensor_sizes(Cuts.of(arch), 2) == [1, 2]


@pytest.mark.parametrize(("layers", "heads", "kv_heads", "hidden"), [(1, 2, 1, 64), (3, 9, 3, 576)])
def test_it_is_made_in_other_shapes(
    tmp_path: Path, layers: int, heads: int, kv_heads: int, hidden: int
) -> None:
    made = make_tiny_model(
        tmp_path / "m", layers=layers, heads=heads, kv_heads=kv_heads, hidden=hidden, vocabulary=400
    )
    arch = architecture.read(json.loads((made / "config.json").read_text()))
    assert (len(arch.layers), arch.heads, arch.kv_heads, arch.hidden) == (
        layers,
        heads,
        kv_heads,
        hidden,
    )
    assert header(made)["lm_head.weight"]["shape"] == [400, hidden]


def test_a_vocabulary_that_cannot_spell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(BASE)):
        make_tiny_model(tmp_path / "m", vocabulary=BASE - 1)


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_its_tokenizer_spells_any_text(model: Path, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_transformers_reads_and_runs_it(model: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    with torch.device("meta"):
        expected = LlamaForCausalLM(AutoConfig.from_pretrained(model)).state_dict()
    found = header(model)
    assert found.pop("__metadata__") == {"format": "pt"}
    shapes = {name: tuple(entry["shape"]) for name, entry in found.items()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in expected.items()}
    assert {entry["dtype"] for entry in found.values()} == {"BF16"}

    tokenizer = AutoTokenizer.from_pretrained(model)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|start|>user: hi\nassistant: "

    llama = LlamaForCausalLM.from_pretrained(model)
    inputs = tokenizer("one two three", return_tensors="pt")
    answer = llama.generate(**inputs, max_new_tokens=24, do_sample=False)[0]
    text = tokenizer.decode(answer[inputs.input_ids.shape[1] :])
    assert text.isascii(), text
    assert text.isprintable(), text
    assert len(answer) == inputs.input_ids.shape[1] + 24, "it ended by itself"
