"""The memory of training, predicted and as PyTorch has it: tiny models train a step on the CPU.

Formulas are read off the operations, so the figures agree but for what is left out on purpose: the
tables of rotary positions, and the numbers of tokens. Both are below `CLOSE` here and nothing in a
model of ordinary size.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from llmops.planning.architecture.families import READERS
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Profile
from llmops.planning.model import Figure
from llmops.planning.training import TrainingMemory, TrainingSetup, training_memory

CLOSE = 0.01
"""Share by which kept activations may differ."""

TABLES = 0.06
"""The same with checkpointing, which keeps so little that those tables are several per cent."""

PEAK = 0.20
"""Share by which the highest moment of a step may lie below what is predicted: the gradient of the
head and that of a layer are counted together, which shows with few tokens."""

FIRST = 0.02
"""Share by which adapters on some layers only may differ: what stands before the first of them
keeps nothing, and is counted."""

VOCABULARY = 512
SHAPE = {
    "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
    "intermediate_size": 320, "vocab_size": VOCABULARY, "max_position_embeddings": 512,
}  # fmt: skip
PLAIN = {name: value for name, value in SHAPE.items() if name != "num_key_value_heads"}
FAMILIES: list[tuple[str, dict[str, Any], float]] = [
    ("Qwen2ForCausalLM", SHAPE, CLOSE),
    ("Qwen3ForCausalLM", {**SHAPE, "head_dim": 32}, CLOSE),
    ("Gemma3ForCausalLM", {**SHAPE, "head_dim": 32}, CLOSE),
    ("GPTNeoXForCausalLM", PLAIN, CLOSE),
    ("GPT2LMHeadModel", {"n_embd": 128, "n_head": 4, "n_layer": 3, "vocab_size": VOCABULARY,
                         "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}, CLOSE),
    ("Phi3ForCausalLM", {**SHAPE, "pad_token_id": 0}, 0.06),
    ("Gemma2ForCausalLM", {**SHAPE, "head_dim": 32}, 0.06),
    ("BertForSequenceClassification", {**PLAIN, "hidden_dropout_prob": 0,
                                       "attention_probs_dropout_prob": 0}, 0.04),
    ("ModernBertForSequenceClassification", {**PLAIN, "pad_token_id": 0, "bos_token_id": 1,
                                             "eos_token_id": 2, "cls_token_id": 1,
                                             "sep_token_id": 2}, 0.04),
    ("MixtralForCausalLM", {**SHAPE, "num_local_experts": 4, "num_experts_per_tok": 2}, 0.08),
    ("Qwen3MoeForCausalLM", {**SHAPE, "head_dim": 32, "num_experts": 4, "num_experts_per_tok": 2,
                             "moe_intermediate_size": 64}, 0.08),
    ("BartForConditionalGeneration", {"d_model": 128, "encoder_layers": 3, "decoder_layers": 3,
                                      "encoder_attention_heads": 4, "decoder_attention_heads": 4,
                                      "encoder_ffn_dim": 512, "decoder_ffn_dim": 512,
                                      "vocab_size": VOCABULARY, "dropout": 0}, 0.03),
]  # fmt: skip
"""Classes of transformers, their sizes, and the share by which what they keep may differ."""

SIZES = [(1, 32), (2, 64), (4, 128)]
"""Sequences and tokens of each."""


def tiny(dtype: str = "bfloat16", *, attention: str = "sdpa", layers: int = 3) -> Any:
    """A Llama with grouped heads and an untied head."""
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"], hidden_size=128, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, intermediate_size=320, num_hidden_layers=layers,
        vocab_size=VOCABULARY, max_position_embeddings=512, tie_word_embeddings=False,
        use_cache=False, attn_implementation=attention,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(config).to(getattr(torch, dtype)).train()


def profile(model: Any) -> Profile:
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    return READERS[config["model_type"]](Fields(config))


def plan(model: Any, **setup: Any) -> TrainingMemory:
    return training_memory(profile(model), TrainingSetup(**setup))


def size(figure: Figure) -> int:
    assert isinstance(figure.value, int)
    return figure.value


def apart(figure: Figure, measured: int) -> float:
    """How far a figure is from what was measured, as a share of that."""
    return (size(figure) - measured) / measured


def loss_of(model: Any, batch: int, sequence: int) -> Any:
    tokens = torch.randint(3, VOCABULARY, (batch, sequence))
    classes = "Classification" in type(model).__name__
    return model(
        input_ids=tokens, labels=torch.zeros(batch, dtype=torch.long) if classes else tokens
    )


def saved_bytes(model: Any, batch: int, sequence: int) -> int:
    """Bytes of what the forward pass saves, each storage once, without weights and the loss."""
    there = (*model.parameters(), *model.buffers())
    weights = {tensor.untyped_storage()._cdata for tensor in there}
    storages: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        answer = loss_of(model, batch, sequence)
    softmax = 4 * batch * sequence * VOCABULARY if answer.logits.shape[-1] == VOCABULARY else 0
    assert answer.loss.requires_grad
    kept: int = sum(storage.nbytes() for storage in storages.values())
    return kept - softmax


class Live(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of storages that operations made and that are still there."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.now = self.most = 0
        # Weights and held gradients are there before the first operation.
        there = [*model.parameters(), *(w.grad for w in model.parameters() if w.grad is not None)]
        self._held = [tensor.untyped_storage() for tensor in there]
        self._known: dict[int, Any] = {id(storage): storage for storage in self._held}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        at, bytes_ = id(storage), storage.nbytes()
        if at in self._known:
            return

        def gone(_: Any) -> None:
            self.now -= bytes_
            del self._known[at]

        self._known[at] = weakref.ref(storage, gone)
        self.now += bytes_
        self.most = max(self.most, self.now)


class Adapted(torch.nn.Module):  # type: ignore[misc]
    """A frozen linear layer with an adapter that computes as peft's does, in float32."""

    def __init__(self, base: Any, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = torch.nn.Linear(base.in_features, rank, bias=False)
        self.b = torch.nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x: Any) -> Any:
        result = self.base(x)
        return (result + self.b(self.a(x.to(self.a.weight.dtype))) * 2.0).to(result.dtype)


def adapt(model: Any, targets: tuple[str, ...], rank: int) -> Any:
    """Freeze a model and give adapters to the layers of these names (all but the head: none)."""
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        parent, _, last = name.rpartition(".")
        if isinstance(module, torch.nn.Linear) and (
            last in targets if targets else last != "lm_head"
        ):
            setattr(model.get_submodule(parent), last, Adapted(module, rank))
    return model


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_kept_activations_are_what_the_forward_pass_saves(dtype: str, attention: str) -> None:
    model = tiny(dtype, attention=attention)
    for batch, sequence in SIZES:
        memory = plan(
            model, sequence=sequence, micro_batch=batch, dtype=dtype,
            flash_attention=attention == "sdpa", checkpointing=False,
        )  # fmt: skip
        error = apart(memory.kept, saved_bytes(model, batch, sequence))
        assert abs(error) < CLOSE, f"{batch} x {sequence}, {dtype}, {attention}: {error:+.2%}"
        assert memory.activations == memory.kept


@pytest.mark.parametrize(("name", "config", "close"), FAMILIES)
def test_other_families_keep_about_what_is_predicted(
    name: str, config: dict[str, Any], close: float
) -> None:
    made = getattr(transformers, name)
    torch.manual_seed(0)
    settings = made.config_class(**config, attn_implementation="sdpa")
    settings.use_cache = False  # what would be copied for answers to come has no use here
    model = made(settings).to(torch.bfloat16).train()
    memory = plan(model, sequence=64, micro_batch=2, checkpointing=False)
    error = apart(memory.kept, saved_bytes(model, 2, 64))
    assert abs(error) < close, f"{name}: {error:+.2%}"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj"), ("o_proj", "down_proj")])
def test_activations_of_adapters_are_what_the_forward_pass_saves(
    dtype: str, targets: tuple[str, ...]
) -> None:
    model = adapt(tiny(dtype, layers=12), targets, rank=8)
    for batch, sequence in SIZES:
        memory = plan(
            model, method="lora", rank=8, targets=targets or ("all-linear",), sequence=sequence,
            micro_batch=batch, dtype=dtype, checkpointing=False,
        )  # fmt: skip
        error = apart(memory.kept, saved_bytes(model, batch, sequence))
        assert abs(error) < FIRST, f"{batch} x {sequence}, {dtype}, {targets}: {error:+.2%}"


@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj"), ("gate_proj", "up_proj", "k_proj")])
def test_adapters_have_as_many_parameters_as_modules_made_of_the_real_layers(
    targets: tuple[str, ...],
) -> None:
    model = adapt(tiny(), targets, rank=5)
    made = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    memory = plan(model, method="lora", rank=5, targets=targets or ("all-linear",), sequence=32)
    assert memory.trainable.value == made
    assert memory.adapters.value == 4 * made


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("optimiser", ["adamw", "adafactor", "sgd"])
def test_states_are_those_of_the_optimiser_after_a_step(dtype: str, optimiser: str) -> None:
    model = tiny(dtype)
    kinds = {"adamw": torch.optim.AdamW, "adafactor": torch.optim.Adafactor, "sgd": torch.optim.SGD}
    stepped = kinds[optimiser](model.parameters(), lr=1e-4)
    loss_of(model, 1, 16).loss.backward()
    stepped.step()
    states = [state for held in stepped.state.values() for state in held.values()]
    measured = sum(state.nbytes for state in states if isinstance(state, torch.Tensor))
    memory = plan(model, sequence=16, dtype=dtype, optimiser=optimiser, master_weights=False)
    assert memory.optimiser.value == measured
    assert memory.parameters.value == sum(weight.nbytes for weight in model.parameters())
    assert memory.gradients.value == sum(weight.grad.nbytes for weight in model.parameters())


def test_states_of_float32_weights_beside_16_bit_ones_are_those_of_float32_training() -> None:
    mixed = plan(tiny(), sequence=16)
    whole = plan(tiny(), sequence=16, dtype="float32")
    assert mixed.optimiser.value == whole.optimiser.value
    assert mixed.master_weights.value == whole.parameters.value


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_with_checkpointing_the_inputs_of_layers_are_what_lives_after_the_forward_pass(
    dtype: str,
) -> None:
    model = tiny(dtype, layers=12)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for batch, sequence in SIZES:
        live = Live(model)
        with live:
            answer = loss_of(model, batch, sequence)
        softmax = 4 * batch * sequence * VOCABULARY
        measured = live.now - answer.logits.nbytes - softmax
        memory = plan(model, sequence=sequence, micro_batch=batch, dtype=dtype)
        error = apart(memory.checkpointed, measured)
        assert abs(error) < TABLES, f"{batch} x {sequence}, {dtype}: {error:+.2%}"
        assert memory.activations == memory.checkpointed


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_highest_moment_of_a_step_is_what_is_predicted(dtype: str, checkpointing: bool) -> None:
    model = tiny(dtype, layers=12)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for batch, sequence in [*SIZES, (1, 512)]:
        loss_of(model, batch, sequence).loss.backward()  # gradients are held from here on
        live = Live(model)
        with live:
            answer = loss_of(model, batch, sequence)
            answer.loss.backward()
        memory = plan(
            model, sequence=sequence, micro_batch=batch, dtype=dtype, checkpointing=checkpointing,
            master_weights=False, optimiser="sgd",
        )  # fmt: skip
        held = size(memory.parameters) + size(memory.gradients)
        error = (size(memory.total) - held - live.most) / live.most
        assert -CLOSE * 2 < error < PEAK, f"{batch} x {sequence}, {dtype}: {error:+.2%}"
