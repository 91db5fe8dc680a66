"""`llmops status`: how a service does, in a word, and how many replicas it has and is to have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.status import _health, _print_one
from llmops.releases import Summary
from llmops.targets import ReleaseStatus, ServiceStatus

RELEASE = ReleaseStatus(
    number=3,
    state="live",
    phase="ready",
    share=100,
    replicas=1,
    in_flight=0,
    memory_bytes=2**30,
    verified_at=None,
    reason="",
)
SERVICE = ServiceStatus(
    name="chat",
    target="local",
    url="http://127.0.0.1:8000/v1",
    metrics_url="",
    model="chat",
    healthy=True,
    last_generation_at=None,
    requests_per_minute=0.0,
    tokens_per_second=0.0,
    releases=(RELEASE,),
)
ASLEEP = replace(RELEASE, replicas=0, wanted=0, scaling="no request for 300 s")


@pytest.mark.parametrize(
    ("release", "healthy", "word"),
    [
        (RELEASE, True, "healthy"),
        (RELEASE, False, "quiet"),
        (ASLEEP, True, "asleep"),
        (ASLEEP, False, "quiet"),
        (replace(RELEASE, phase="failed"), True, "down"),
    ],
)
def test_a_word_says_how_a_service_does(release: ReleaseStatus, healthy: bool, word: str) -> None:
    assert _health(replace(SERVICE, healthy=healthy, releases=(release,))) == word


def test_replicas_on_their_way_are_shown_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    grows = replace(RELEASE, wanted=3, scaling="45 in flight, 16 per replica")
    _print_one(replace(SERVICE, releases=(grows,)))
    printed = capsys.readouterr().out
    assert "1 of 3" in printed
    assert "release 3 scales to 3: 45 in flight, 16 per replica" in printed


def test_a_fixed_number_has_no_reason(capsys: pytest.CaptureFixture[str]) -> None:
    _print_one(SERVICE)
    assert "scales" not in capsys.readouterr().out


@pytest.mark.parametrize(("count", "said"), [(1, "1 request refused"), (3, "3 requests refused")])
def test_what_is_in_quarantine_is_told(
    capsys: pytest.CaptureFixture[str], count: int, said: str
) -> None:
    _print_one(replace(SERVICE, quarantined=count))
    assert f"{said} that ended the engine twice" in capsys.readouterr().out


def test_what_a_release_made_of_shadowed_requests_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = Summary(requests=120, failures=1, empty=2, truncated=3, ttft=0.0421)
    _print_one(replace(SERVICE, releases=(replace(RELEASE, shadowed=both),)))
    said = "shadows      release 3: of 120 asked of both, 1 failed, 2 empty, 3 truncated;"
    assert f"{said} nine of ten begun within 0.0421 s" in capsys.readouterr().out
    _print_one(SERVICE)
    assert "shadows" not in capsys.readouterr().out
