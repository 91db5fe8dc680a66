"""What holds for every test: none reaches the user's own state, and none is skipped silently.

With CI set, a skipped test fails: an engine that is missing there is a fault, not a reason to
pass. Without it, `-ra` prints what each skip needs.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("llmops", deadline=None)
settings.load_profile("llmops")

E2E = Path(__file__).parent / "e2e"


@pytest.fixture(autouse=True)
def _private_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, a test that forgets to name its state folder would use the developer's."""
    if "LLMOPS_HOME" not in os.environ:
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path_factory.mktemp("llmops-home")))


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        if E2E in item.path.parents:
            item.add_marker("e2e")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))  # an engine starts in some of them


def _skips_fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped where CI is set: {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    _skips_fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    _skips_fail(report)
    return report
