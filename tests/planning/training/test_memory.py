"""The sums of training's memory: published figures, laws of sharding, and quickness."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.planning.model import Figure
from llmops.planning.training import TrainingMemory, TrainingSetup, training_memory
from tests.effort import effort
from tests.planning.training.profiles import llama, published

HELD = ("parameters", "gradients", "optimiser", "master_weights")
STRATEGIES = ("ddp", "zero1", "zero2", "zero3", "fsdp")


def plan(model: str = "llama-3.1-8b", **setup: Any) -> TrainingMemory:
    return training_memory(published(model), TrainingSetup(**({"sequence": 2048} | setup)))


def size(figure: Figure) -> int:
    assert isinstance(figure.value, int)
    return figure.value


def held(memory: TrainingMemory) -> int:
    return sum(size(getattr(memory, name)) for name in HELD)


def test_mixed_precision_adam_holds_sixteen_bytes_a_parameter() -> None:
    """Rajbhandari et al., 2020, section 3.1."""
    memory = plan()
    count = published("llama-3.1-8b").parameters
    assert held(memory) == pytest.approx(16 * count, rel=1e-6)
    assert size(memory.parameters) == 2 * count


@pytest.mark.parametrize(
    ("strategy", "bytes_"), [("ddp", 16), ("zero1", 4 + 12 / 64), ("zero2", 2 + 14 / 64),
                             ("zero3", 16 / 64), ("fsdp", 16 / 64)]
)  # fmt: skip
def test_sharding_over_64_devices_divides_what_the_papers_figure_says(
    strategy: str, bytes_: float
) -> None:
    """Rajbhandari et al., 2020, figure 1: 7.5 B parameters on 64 devices."""
    memory = plan(strategy=strategy, devices=64)
    assert held(memory) / published("llama-3.1-8b").parameters == pytest.approx(bytes_, rel=1e-3)


def test_nf4_weights_take_about_four_bits_and_an_eighth() -> None:
    """Dettmers et al., 2023, section 3: 0.127 bits a parameter for the scales."""
    memory = plan(method="qlora", upcast=False)
    profile = published("llama-3.1-8b")
    outside = 2 * profile.vocabulary * profile.hidden + (2 * 32 + 1) * profile.hidden
    packed = size(memory.parameters) - 2 * outside
    assert 8 * packed / (profile.parameters - outside) == pytest.approx(4.127, abs=1e-3)


def test_a_65b_model_in_4_bits_leaves_room_on_a_48_gb_gpu() -> None:
    """The claim of the QLoRA paper, on a model of 70 B and short sequences."""
    memory = plan("llama-3.1-70b", method="qlora", upcast=False, rank=64, sequence=512,
                  optimiser="adamw_8bit")  # fmt: skip
    assert size(memory.total) < 48 * 2**30
    assert size(plan("llama-3.1-70b", method="lora", sequence=512).total) > 140 * 10**9


def test_activations_of_a_plain_decoder_are_the_papers_without_dropout() -> None:
    """Korthikanti et al., 2022: 34 s b h with two masks of 1 byte, so 32 without them."""
    profile = published("bloom-560m")  # layer norms, a plain GELU, a width of 4h
    setup = TrainingSetup(sequence=1024, checkpointing=False)
    one = size(training_memory(profile, setup).kept)
    layers = len(profile.layers)
    expected = layers * 32 * 1024 * profile.hidden
    statistics = layers * 1024 * (2 * 8 + 4 * profile.heads)  # of norms, and of flash attention
    tail = 1024 * (2 * 2 * profile.hidden + 8)
    assert one == expected + statistics + tail


def test_attention_without_flash_keeps_the_square_of_the_sequence() -> None:
    short = plan(sequence=1024, checkpointing=False, flash_attention=False)
    twice = plan(sequence=2048, checkpointing=False, flash_attention=False)
    pairs = 32 * 32 * 6  # layers, heads, a float32 and a 16-bit matrix
    assert size(twice.kept) - 2 * size(short.kept) == pairs * (2048**2 - 2 * 1024**2)


def test_checkpointing_keeps_inputs_only() -> None:
    memory = plan()
    inputs = 32 * 2048 * 4096 * 2
    assert inputs < size(memory.checkpointed) < 1.15 * inputs
    assert size(memory.checkpointed) < size(memory.kept) / 10
    assert memory.activations == memory.checkpointed
    assert plan(checkpointing=False).activations == memory.kept


def test_the_vocabulary_is_often_the_largest_part() -> None:
    memory = plan(method="lora", sequence=8192)
    assert size(memory.logits) == 128256 * 8192 * 14
    assert size(memory.logits) > size(memory.activations)


def test_a_model_that_embeds_has_no_logits() -> None:
    assert size(plan("e5-mistral-7b").logits) == 0


def test_every_figure_says_why() -> None:
    for setup in ({}, {"method": "lora"}, {"method": "qlora"}, {"strategy": "fsdp", "devices": 8}):
        memory = plan(**setup)
        for name in TrainingMemory.__dataclass_fields__:
            figure = getattr(memory, name)
            if name != "notes":
                assert figure.reason, name


def test_the_total_is_the_sum_of_its_parts_at_the_higher_of_two_moments() -> None:
    memory = plan(devices=2)
    held_back = size(memory.buckets) + size(memory.adapters) + size(memory.activations)
    moment = max(size(memory.logits), size(memory.working))
    assert size(memory.total) == held(memory) + held_back + moment


def test_what_is_estimated_is_said() -> None:
    assert any("routed experts" in note for note in plan("qwen3-30b-a3b").notes)
    assert any("latent attention" in note for note in plan("deepseek-v2-lite").notes)
    assert plan().notes == ()


@given(
    devices=st.integers(1, 512),
    strategy=st.sampled_from(STRATEGIES),
    method=st.sampled_from(("full", "lora", "qlora")),
)
def test_more_devices_never_hold_more_each(devices: int, strategy: str, method: str) -> None:
    def of(number: int) -> int:
        setup = TrainingSetup(sequence=64, devices=number, strategy=strategy, method=method)  # type: ignore[arg-type]
        return held(training_memory(llama(), setup))

    assert of(devices + 1) <= of(devices)


@given(devices=st.integers(1, 512), strategy=st.sampled_from(STRATEGIES))
def test_sharding_conserves_what_is_held(devices: int, strategy: str) -> None:
    """All devices together hold at least what one alone would, but for rounding."""

    def of(number: int) -> TrainingMemory:
        setup = TrainingSetup(sequence=64, devices=number, strategy=strategy, dtype="float32")  # type: ignore[arg-type]
        return training_memory(llama(), setup)

    for name in HELD:
        whole = size(getattr(of(1), name))
        assert whole <= devices * size(getattr(of(devices), name)) <= devices * (whole + 1)


@given(batch=st.integers(1, 64), sequence=st.integers(1, 1023), flash=st.booleans())
def test_more_tokens_never_need_less(batch: int, sequence: int, flash: bool) -> None:
    def of(number: int, length: int) -> int:
        setup = TrainingSetup(sequence=length, micro_batch=number, flash_attention=flash)
        return size(training_memory(llama(), setup).total)

    assert of(batch, sequence) <= min(of(batch + 1, sequence), of(batch, sequence + 1))


@given(setup=st.fixed_dictionaries({
    "method": st.sampled_from(("full", "lora", "qlora")),
    "dtype": st.sampled_from(("bfloat16", "float16", "float32")),
    "optimiser": st.sampled_from(("adamw", "adamw_8bit", "sgd")),
    "strategy": st.sampled_from(STRATEGIES),
    "sequence": st.integers(1, 1024),
    "micro_batch": st.integers(1, 2**31 - 1),
    "devices": st.integers(1, 2**31 - 1),
    "rank": st.integers(1, 2**31 - 1),
    "checkpointing": st.booleans(),
    "upcast": st.booleans(),
}))  # fmt: skip
def test_absurd_sizes_are_only_large(setup: dict[str, Any]) -> None:
    memory = training_memory(llama(), TrainingSetup(**setup))
    assert size(memory.total) > 0
    assert all(size(getattr(memory, name)) >= 0 for name in HELD)


def test_the_largest_models_take_milliseconds() -> None:
    profile = published("llama-3.1-405b")
    with effort() as spent:
        for _ in range(20):
            training_memory(profile, TrainingSetup(method="lora", strategy="fsdp", devices=64))
    assert spent.seconds / 20 < 0.02
