"""Rows become tokens: what is learnt is what the assistant says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llmops.errors import InputError, ModelError
from serving.finetune.data.rows import Bad, Part, Row
from serving.finetune.data.tokens import Encoded, Tokenizer
from tests.finetuning.data.making import TEMPLATE, tokenizer

MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}"
    "{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
COUNTS = "{{ messages | length }} messages\n" + TEMPLATE
FORGETS = TEMPLATE.replace(
    "message['content'] +",
    "('' if message['role'] == 'assistant' and not loop.last else message['content']) +",
)


def chat(*said: str) -> Row:
    roles = ("user", "assistant")
    return Row("a:1", "chat", tuple(Part(roles[at % 2], text) for at, text in enumerate(said)))


def encoded_of(known: Tokenizer, row: Row) -> tuple[Encoded, ...]:
    """The readings of a row that the template takes."""
    (found,) = known.encode([row])
    assert isinstance(found, tuple)
    return found


def spoken(base: Path, encoded: Encoded) -> tuple[str, str]:
    """All of it, and what of it is learnt."""
    from transformers import AutoTokenizer

    known = AutoTokenizer.from_pretrained(str(base))
    learnt = [one for one, mask in zip(encoded.ids, encoded.mask, strict=True) if mask]
    return known.decode(encoded.ids), known.decode(learnt)


def test_all_answers_are_learnt_to_the_end_of_their_turns(base: Path) -> None:
    (encoded,) = encoded_of(Tokenizer(base), chat("one", "two", "three é", "four é"))
    whole, learnt = spoken(base, encoded)
    assert whole == (
        "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n"
        "<|im_start|>user\nthree é<|im_end|>\n<|im_start|>assistant\nfour é<|im_end|>\n"
    )
    assert learnt == "two<|im_end|>four é<|im_end|>"


@given(some.lists(some.text(min_size=1, max_size=20), min_size=2, max_size=6))
def test_any_conversation_is_learnt_as_a_template_with_marks_says(
    base: Path, said: list[str]
) -> None:
    row = chat(*said[: len(said) // 2 * 2])
    (plain,) = encoded_of(Tokenizer(base), row)
    (marked,) = encoded_of(Tokenizer(base, MARKED), row)
    assert plain == marked
    assert len(plain.ids) == len(plain.mask)


def test_a_template_with_marks_is_taken_at_its_word(base: Path) -> None:
    (encoded,) = encoded_of(Tokenizer(base, MARKED), chat("one", "two", "three", "four"))
    assert spoken(base, encoded)[1] == "two<|im_end|>four<|im_end|>"


@pytest.mark.parametrize("template", [COUNTS, FORGETS])
def test_a_template_that_cannot_tell_the_answers_is_refused(base: Path, template: str) -> None:
    with pytest.raises(InputError, match="which tokens are the answer cannot be told") as refused:
        Tokenizer(base, template).check("chat")
    assert refused.value.path == "data.chat_template"
    assert "{% generation %}" in refused.value.hint


def test_all_can_be_learnt(base: Path) -> None:
    (encoded,) = encoded_of(Tokenizer(base, learn="all"), chat("one", "two"))
    assert set(encoded.mask) == {1}


def test_a_conversation_that_the_template_refuses_is_told(base: Path) -> None:
    strict = "{{ raise_exception('users begin') if messages[0]['role'] != 'user' }}" + TEMPLATE
    row = Row("a:7", "chat", (Part("system", "s"), Part("user", "q"), Part("assistant", "a")))
    known = Tokenizer(base, strict)
    known.check("chat")
    bad, good = known.encode([row, chat("one", "two")])
    why = "the chat template refuses a conversation of system, user, assistant"
    assert bad == Bad("a:7", why)
    assert isinstance(good, tuple)
    marked = Tokenizer(base, strict.replace(TEMPLATE, MARKED))
    assert marked.encode([row, chat("one", "two")])[0] == Bad("a:7", why)


@pytest.mark.parametrize("template", [TEMPLATE, MARKED], ids=["plain", "marked"])
def test_a_template_that_refuses_every_conversation_is_refused(base: Path, template: str) -> None:
    with pytest.raises(InputError, match=r"refuses a conversation of user, .*: never"):
        Tokenizer(base, "{{ raise_exception('never') }}" + template).check("chat")


def test_without_a_template_messages_are_refused_and_instructions_plain(tmp_path: Path) -> None:
    bare = tokenizer(tmp_path, template=None)
    with pytest.raises(InputError, match="has no chat template"):
        Tokenizer(bare).check("chat")
    row = Row("a:1", "instruction", (Part("user", "2+2?"), Part("assistant", "4")))
    known = Tokenizer(bare)
    known.check("instruction")
    (encoded,) = encoded_of(known, row)
    assert spoken(bare, encoded) == ("2+2?\n\n4<|im_end|>", "4<|im_end|>")


def test_all_of_a_text_is_learnt_and_its_end(base: Path) -> None:
    (encoded,) = encoded_of(Tokenizer(base), Row("a:1", "text", (Part("text", "some text"),)))
    assert spoken(base, encoded) == ("some text<|im_end|>",) * 2


def test_of_a_pair_both_answers_are_read_after_the_same_question(base: Path) -> None:
    parts = (
        Part("user", "q"), Part("assistant", "yes", "chosen"), Part("assistant", "no", "rejected"),
    )  # fmt: skip
    readings = encoded_of(Tokenizer(base), Row("a:1", "preference", parts))
    asked = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    assert [spoken(base, one) for one in readings] == [
        (f"{asked}yes<|im_end|>\n", "yes<|im_end|>"),
        (f"{asked}no<|im_end|>\n", "no<|im_end|>"),
    ]


@given(some.integers(2, 300), some.integers(2, 50))
def test_pieces_of_a_text_lose_nothing_and_are_even(count: int, most: int) -> None:
    whole = Encoded(tuple(range(count)), (1,) * count)
    pieces = whole.pieces(most)
    assert [one for piece in pieces for one in piece.ids] == list(whole.ids)
    sizes = {len(piece.ids) for piece in pieces}
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_a_base_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match="has no tokenizer that can be loaded"):
        Tokenizer(tmp_path)


def test_digests_tell_tokenizers_and_templates_apart(base: Path, tmp_path: Path) -> None:
    same = tokenizer(tmp_path / "same")
    assert Tokenizer(base).digest == Tokenizer(same).digest
    assert Tokenizer(base).template_digest != Tokenizer(base, MARKED).template_digest
