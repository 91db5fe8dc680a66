"""Old runs are let go: none that is served or has not ended; what a kill left is finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from serving.finetune import artefacts
from serving.finetune.runs import Named, State, store
from serving.finetune.runs.keeping import let_go


@pytest.fixture
def named(tmp_path: Path) -> Named:
    """Runs 1 to 5, all but the second of which have ended."""
    named = Named(tmp_path, "style")
    for number in range(1, 6):
        paths = store.create(named, {"name": "style"}, "one", "0" * 40)
        state = State.TRAINING if number == 2 else State.SUCCEEDED
        store.write(paths, replace(store.read(paths), state=state))
    return named


def test_the_oldest_go_and_what_is_served_or_at_work_stays(
    named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "served_runs", lambda _: frozenset({("style", 3)}))
    let_go(named, 1)
    assert named.numbers() == (2, 3, 5)
    let_go(named, 3)
    assert named.numbers() == (2, 3, 5)


def test_a_removal_that_was_cut_off_is_finished(named: Named) -> None:
    half = named.runs / "1.gone"
    named.run(1).folder.rename(half)
    let_go(named, 10)
    assert not half.exists()
    assert named.numbers() == (2, 3, 4, 5)
