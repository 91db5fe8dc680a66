"""One runtime and one deployed service for all end-to-end tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, free_port
from tests.support.tiny_model import make_tiny_model

CANARY = "canary-8c1f0d4e"
"""Planted in prompts; it must never show up in a log or a state file."""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama that the real engine serves."""
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A home of the tests' own. Ends everything it started, also when a test failed."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    made = Stage(home, tmp_path_factory.mktemp("specs"), free_port())
    yield made
    made.end()


@pytest.fixture(scope="session")
def ray_token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The token of every Ray that tests start in this very process: Ray keeps the first that it
    reads, so a second one would be refused."""
    token = tmp_path_factory.mktemp("ray-token") / "token"
    token.write_text(secrets.token_hex(32))
    return token


@dataclass(frozen=True)
class Service:
    """The deployed tiny service, its spec, a key, and what the deploy printed."""

    name: str
    spec: Path
    key: str
    printed: str


@pytest.fixture(scope="session")
def service(stage: Stage, model: Path) -> Service:
    """The service that most tests ask; deployed once."""
    spec = stage.spec("tiny", f"file://{model}")
    done = stage.deploy(spec)
    assert done.code == 0, done.text
    return Service("tiny", spec, stage.key("tiny", "tests"), done.text)
