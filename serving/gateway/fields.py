"""Which fields a request may have, and what each may hold, as data. Pure.

The names are those that OpenAI and vLLM give them. Ranges are the engine's own where it has one;
where it has none, they are wide enough for any use and narrow enough that no value overflows.
`null` means "not given" for every field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_LOGPROBS = 20
"""Of OpenAI's API, and vLLM's default of `max_logprobs`."""
MAX_STOPS = 4
"""Of OpenAI's API, and vLLM's default of `VLLM_MAX_STOP_STRINGS`."""
MAX_PROMPTS = 16
"""Prompts in one completion request; each is a generation of its own."""
INT32, INT64 = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field may hold: in words for the client, and as a test."""

    words: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int) -> Rule:
    """A whole number; neither `true` nor `1.0` is one."""
    return Rule(
        f"a whole number from {low} to {high}", lambda v: type(v) is int and low <= v <= high
    )


def number(low: float, high: float) -> Rule:
    """A finite number."""
    return Rule(
        f"a number from {low:g} to {high:g}",
        lambda v: type(v) in (int, float) and low <= v <= high,
    )


def text(longest: int) -> Rule:
    """A string of at most so many characters, none of them NUL."""
    return Rule(f"text of at most {longest} characters", lambda v: _is_text(v, longest))


def texts(most: int, longest: int) -> Rule:
    """A list of such strings."""
    return Rule(
        f"a list of at most {most} texts of at most {longest} characters",
        lambda v: isinstance(v, list) and len(v) <= most and all(_is_text(x, longest) for x in v),
    )


def text_or_texts(most: int, longest: int) -> Rule:
    """A string or a list of them."""
    one, many = text(longest), texts(most, longest)
    return Rule(f"{one.words}, or {many.words}", lambda v: one.holds(v) or many.holds(v))


def token_ids(most: int) -> Rule:
    """A list of token ids. That they are in the vocabulary is the engine's to check."""
    return Rule(
        f"a list of at most {most} token ids",
        lambda v: isinstance(v, list) and len(v) <= most and all(_is_token(x) for x in v),
    )


def one_of(*kinds: type) -> Rule:
    """A value of one of these types, looked into elsewhere."""
    names = {str: "text", list: "a list", dict: "an object", bool: "true or false"}
    return Rule(" or ".join(names[kind] for kind in kinds), lambda v: type(v) in kinds)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and "\0" not in value


def _is_token(value: object) -> bool:
    return type(value) is int and 0 <= value <= INT32


def _is_bias(value: object) -> bool:
    weight = number(-100, 100)
    return (
        isinstance(value, dict)
        and len(value) <= 1024
        and all(len(k) <= 10 and k.isascii() and k.isdigit() for k in value)
        and all(weight.holds(v) for v in value.values())
    )


def _is_metadata(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= 16
        and all(_is_text(k, 64) and _is_text(v, 512) for k, v in value.items())
    )


def _is_prompt(value: object) -> bool:
    """Text, one list of token ids, or up to MAX_PROMPTS of either."""
    if isinstance(value, str):
        return True
    if not isinstance(value, list) or not value:
        return False
    if type(value[0]) is int:
        return all(_is_token(x) for x in value)
    return len(value) <= MAX_PROMPTS and all(
        isinstance(x, str) or (isinstance(x, list) and all(_is_token(y) for y in x)) for x in value
    )


SWITCH = one_of(bool)

SAMPLING = {
    "model": text(256),
    "stream": SWITCH,
    "stream_options": one_of(dict),
    "temperature": number(0, 100),
    "top_p": number(0, 1),
    "top_k": whole(-1, INT32),
    "min_p": number(0, 1),
    "seed": whole(-INT64 - 1, INT64),
    "stop": text_or_texts(MAX_STOPS, 256),
    "stop_token_ids": token_ids(128),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "repetition_penalty": number(0.01, 100),
    "length_penalty": number(-100, 100),
    "logit_bias": Rule("at most 1024 token ids with a number from -100 to 100 each", _is_bias),
    "allowed_token_ids": token_ids(4096),
    "bad_words": texts(64, 128),
    "ignore_eos": SWITCH,
    "skip_special_tokens": SWITCH,
    "spaces_between_special_tokens": SWITCH,
    "include_stop_str_in_output": SWITCH,
    "response_format": one_of(dict),
    "structured_outputs": one_of(dict),
    "user": text(512),
    "metadata": Rule("at most 16 texts of 512 characters, by names of 64", _is_metadata),
    "store": SWITCH,
    "service_tier": text(32),
}
FIELDS: dict[str, dict[str, Rule]] = {
    "/v1/chat/completions": SAMPLING
    | {
        "messages": one_of(list),
        "tools": one_of(list),
        "tool_choice": one_of(str, dict),
        "parallel_tool_calls": SWITCH,
        "reasoning_effort": text(16),
        "include_reasoning": SWITCH,
        "add_generation_prompt": SWITCH,
        "continue_final_message": SWITCH,
        "logprobs": SWITCH,
        "top_logprobs": whole(0, MAX_LOGPROBS),
    },
    "/v1/completions": SAMPLING
    | {
        "prompt": Rule(
            f"text, a list of token ids, or a list of at most {MAX_PROMPTS} of these", _is_prompt
        ),
        "suffix": text(65536),
        "echo": SWITCH,
        "logprobs": whole(0, MAX_LOGPROBS),
    },
}
"""Allowed fields by route, but for those that `COUNTS` and `TOKENS` name."""

COUNTS = {"/v1/chat/completions": ("n",), "/v1/completions": ("n", "best_of")}
"""Fields that multiply a request, by route; their bound is the service's."""
TOKENS = {
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens", "min_tokens"),
    "/v1/completions": ("max_tokens", "min_tokens"),
}
"""Fields that count tokens to generate, by route; their bound is the service's."""

NOT_PASSED_ON = frozenset({"metadata", "service_tier", "store", "user"})
"""What only the client's own books need: taken, since clients send it, and never given away."""
