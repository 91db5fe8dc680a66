"""kill -9 at any moment: nothing half is ever visible, and the next run finishes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from llmops.errors import ModelError
from serving.models import Models
from tests.models.making import (
    contents_of,
    have,
    left_over,
    model_files,
    outcome,
    visible,
    write,
)
from tests.models.programs import ensuring, heard
from tests.support.hub import BLOCK, HubServer

SOURCE = "hf://acme/tiny"
SHARDS = [name for name in model_files() if name.endswith(".safetensors")]
WHOLE = sum(len(content) for content in model_files().values())


@pytest.mark.parametrize("after", [0, 60_000, 130_000, WHOLE - BLOCK])
def test_a_killed_fetch_shows_nothing_and_goes_on_where_it_was(
    hub: HubServer, models: Models, root: Path, after: int
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    hub.hold(after=after)
    with ensuring(root, SOURCE, commit, environment=hub.environment) as process:
        assert hub.held.wait(60), "the hub was never asked for so much"
        process.kill()
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert visible(root) == []
    with pytest.raises(ModelError, match="is not on this machine"):
        models.path(SOURCE, commit)
    hub.release()
    here = _sizes(root)
    hub.asked.clear()
    assert contents_of(outcome(models.ensure(SOURCE, commit))) == model_files()
    models.verified(SOURCE, commit)
    assert left_over(root) == []
    for name in SHARDS:
        begun = [asked.range.split("-")[0] for asked in hub.fetched(name, "storage")]
        whole = here.get(name) == len(model_files()[name])
        assert begun == ([] if whole else [f"bytes={here.get(name, 0)}"])


def _sizes(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in root.glob("*/*.part/files/*")}


STRIKES = [
    "before serving.models.entries.Entry.remove_stale_parts",
    "before serving.models.manifest.make",
    "after serving.models.manifest.write",
    "before pathlib.Path.rename",
    "after pathlib.Path.rename",
]


@pytest.mark.parametrize("strike", STRIKES)
def test_a_kill_at_any_step_is_mended_by_the_next_run(
    hub: HubServer, models: Models, root: Path, strike: str
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    with ensuring(root, SOURCE, commit, strike=strike, environment=hub.environment) as process:
        heard(process, "struck")
        assert process.wait(timeout=10) == -signal.SIGKILL
    published = strike == "after pathlib.Path.rename"
    assert len(visible(root)) == published
    if published:
        assert contents_of(models.verified(SOURCE, commit)) == model_files()
    assert list(models.cached()) == [] or published
    assert contents_of(have(models, SOURCE)) == model_files()
    assert left_over(root) == []


@pytest.mark.parametrize("strike", STRIKES[1:4])
def test_a_kill_while_a_directory_is_trusted_is_mended_by_the_next_run(
    models: Models, root: Path, tmp_path: Path, strike: str
) -> None:
    model = write(tmp_path / "model", model_files())
    source = f"file://{model}"
    revision = models.describe(source, None).revision
    with ensuring(root, source, revision, strike=strike, environment={}) as process:
        heard(process, "struck")
    assert visible(root) == []
    assert have(models, source) == model
    assert left_over(root) == []


def test_an_interrupted_fetch_ends_at_once_though_nothing_comes(
    hub: HubServer, models: Models, root: Path
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    hub.hold(after=60_000)
    with ensuring(root, SOURCE, commit, environment=hub.environment) as process:
        assert hub.held.wait(60)
        heard(process, "fetching")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        assert time.monotonic() - began < 15, "it waited for the hub"
    hub.release()
    assert contents_of(outcome(models.ensure(SOURCE, commit))) == model_files()
