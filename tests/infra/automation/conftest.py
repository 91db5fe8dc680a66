"""What every test of stacks starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infra.automation.stage import Stage, set_stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The scripted `pulumi` on the path; nothing is deployed yet."""
    return set_stage(tmp_path, monkeypatch)
