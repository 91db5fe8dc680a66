"""What the planner says of classes that vLLM does not serve is what vLLM's own registry says."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmops.planning.served import PLUGINS, UNTIL
from tests.planning.architectures.cases import CASES
from tests.planning.fleet import worlds


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t5-11b", "it has an encoder and a decoder"),
        ("bart-large-cnn", "only with a plugin"),
        ("llama-3.2-11b-vision", "since its version 0.10.2"),
        ("whisper-large-v3", ""),
        ("llama-3.1-8b", ""),
        ("bert-base-uncased", ""),
    ],
)
def test_what_is_not_served_is_said_with_the_reason(name: str, words: str) -> None:
    why = worlds.subject(name).unserved
    assert words in why
    assert bool(why) is bool(words)


def test_the_lists_are_those_of_the_engines_registry() -> None:
    spec = find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "model_executor" / "models" / "registry.py"
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("_PREVIOUSLY_SUPPORTED_MODELS", "_OOT_SUPPORTED_MODELS"):
                found[name] = ast.literal_eval(node.value)
    gone = found["_PREVIOUSLY_SUPPORTED_MODELS"]
    assert UNTIL.items() <= gone.items()
    named = {name for case in CASES.values() for name in case["config"].get("architectures", [])}
    assert named & gone.keys() <= UNTIL.keys(), "a class of a case is no longer served"
    assert set(found["_OOT_SUPPORTED_MODELS"]) >= PLUGINS
