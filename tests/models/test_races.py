"""Several commands want one model: one fetches it, the others wait, say so, and use it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from serving.models import Models
from tests.models.making import contents_of, left_over, model_files, visible
from tests.models.programs import ensuring, heard
from tests.support.hub import HubServer

SOURCE = "hf://acme/tiny"
SHARDS = [name for name in model_files() if name.endswith(".safetensors")]


def test_one_fetches_and_the_other_waits_and_uses_it(
    hub: HubServer, models: Models, root: Path
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    hub.hold(after=60_000)
    with ExitStack() as stack:
        first = stack.enter_context(ensuring(root, SOURCE, commit, environment=hub.environment))
        assert hub.held.wait(60)
        second = stack.enter_context(ensuring(root, SOURCE, commit, environment=hub.environment))
        line = heard(second, f"another llmops is getting {SOURCE}")
        assert "so far)" in line
        hub.release()
        for process in (first, second):
            heard(process, "had")
            assert process.wait(timeout=60) == 0
    assert [len(hub.fetched(name, "storage")) for name in SHARDS] == [1, 1]
    assert contents_of(models.verified(SOURCE, commit)) == model_files()
    assert left_over(root) == []


def test_who_waits_takes_over_when_the_other_is_killed(
    hub: HubServer, models: Models, root: Path
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    hub.hold(after=60_000)
    with ExitStack() as stack:
        first = stack.enter_context(ensuring(root, SOURCE, commit, environment=hub.environment))
        assert hub.held.wait(60)
        second = stack.enter_context(ensuring(root, SOURCE, commit, environment=hub.environment))
        heard(second, "another llmops is getting")
        first.kill()
        first.wait(timeout=10)
        hub.release()
        heard(second, "had")
        assert second.wait(timeout=60) == 0
    assert contents_of(models.verified(SOURCE, commit)) == model_files()
    assert left_over(root) == []


def test_four_at_once_leave_one_model(hub: HubServer, models: Models, root: Path) -> None:
    commit = hub.publish("acme/tiny", model_files())
    with ExitStack() as stack:
        processes = [
            stack.enter_context(ensuring(root, SOURCE, commit, environment=hub.environment))
            for _ in range(4)
        ]
        for process in processes:
            heard(process, "had")
            assert process.wait(timeout=60) == 0
    assert [len(hub.fetched(name, "storage")) for name in SHARDS] == [1, 1]
    assert len(visible(root)) == 1
    assert contents_of(models.verified(SOURCE, commit)) == model_files()


def test_two_models_do_not_wait_for_each_other(hub: HubServer, models: Models, root: Path) -> None:
    slow = hub.publish("acme/tiny", model_files())
    quick = hub.publish("acme/other", model_files(seed=3, shards=1))
    hub.hold(SHARDS[0], after=60_000)
    with ensuring(root, SOURCE, slow, environment=hub.environment) as first:
        assert hub.held.wait(60)
        with ensuring(root, "hf://acme/other", quick, environment=hub.environment) as second:
            heard(second, "had")
        assert first.poll() is None
        hub.release()
        heard(first, "had")
    assert len(list(models.cached())) == 2
