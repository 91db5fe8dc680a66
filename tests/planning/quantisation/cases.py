"""The case files about quantisation, and a model's bytes from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from llmops.planning import architecture as architectures
from llmops.planning.architecture import Profile, Weight
from llmops.planning.quantisation import Quantisation, read

CASES = Path(__file__).parents[2] / "cases"


def of(kind: str) -> dict[str, dict[str, Any]]:
    """The cases of a kind, by name."""
    found = sorted((CASES / "quantisation" / kind).glob("*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text()) for path in found}


@cache
def architecture(name: str) -> dict[str, Any]:
    """The published configuration of a model, without a quantisation."""
    case = yaml.safe_load((CASES / "architectures" / f"{name}.yaml").read_text())
    config: dict[str, Any] = case["config"]
    config.pop("quantization_config", None)
    return config


def model(case: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a case is about, with its quantisation."""
    changed: dict[str, Any] = architecture(case["model"]) | case.get("changes", {})
    return changed | {"quantization_config": case["config"]}


def profile(config: Mapping[str, Any]) -> Profile:
    """A model's weights."""
    return architectures.read(config)


def weights(config: Mapping[str, Any]) -> Iterator[tuple[str, Weight]]:
    """A model's weights with their names."""
    yield from profile(config).named()


def stored(config: Mapping[str, Any], quantisation: Quantisation) -> int:
    """Bytes of a whole model whose other elements take 2."""
    return sum(quantisation.stored(name, weight, 2) for name, weight in weights(config))


def understood(config: Mapping[str, Any]) -> Quantisation:
    """The quantisation, which there must be."""
    found = read(config)
    assert found is not None, "the quantisation was not seen"
    return found
