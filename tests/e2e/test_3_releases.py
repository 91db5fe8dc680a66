"""Releases following one another, on the real runtime. In the order of this file."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage, until


class Traffic:
    """Clients that ask all the time, and count what they get."""

    def __init__(self, stage: Stage, service: Service) -> None:
        self._stage, self._service = stage, service
        self._end = threading.Event()
        self.good: list[str] = []
        self.bad: list[str] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(2)]

    def _ask(self) -> None:
        while not self._end.is_set():
            try:
                answer = self._stage.complete(
                    self._service.name, self._service.key, stream=True, max_tokens=4
                )
                complete = answer.status_code == 200 and "data: [DONE]" in answer.text
                (self.good if complete else self.bad).append(
                    answer.headers.get("x-llmops-release", answer.text[:200])
                )
            except OSError as error:
                self.bad.append(repr(error))
            time.sleep(0.2)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)


def test_an_update_with_two_shards_loses_no_request(
    stage: Stage, service: Service, model: Path
) -> None:
    before = stage.live(service.name)
    spec = stage.spec(service.name, f"file://{model}", parallelism="{tensor: 2}")
    with Traffic(stage, service) as traffic:
        done = stage.deploy(spec)
        assert done.code == 0, done.text
        after = stage.live(service.name)
        until(lambda: str(after) in traffic.good[-1:], 30)
    assert after == before + 1
    assert not traffic.bad
    assert str(before) in traffic.good, "the old release was not seen serving"


def test_a_release_that_cannot_load_is_removed_and_the_old_one_never_noticed(
    stage: Stage, service: Service, model: Path, tmp_path: Path
) -> None:
    before = stage.live(service.name)
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    config = broken / "config.json"
    config.write_text(
        config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    )
    spec = stage.spec(service.name, f"file://{broken}")
    with Traffic(stage, service) as traffic:
        done = stage.deploy(spec)
    assert done.code == 4, done.text
    assert "Traceback" not in done.text
    assert f"release {before} still serves" in done.text
    assert stage.live(service.name) == before
    assert not traffic.bad
    history = stage.run("history", service.name, "-o", "json").json()["releases"]
    assert history[-1]["state"] == "failed"
    assert history[-1]["reason"]


def test_a_flipped_byte_is_refused_before_the_engine_reads_it(
    stage: Stage, service: Service, model: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(model, changed)
    spec = stage.spec(service.name, f"file://{changed}")
    assert stage.run("plan", "-f", str(spec)).code == 0
    running = stage.start("deploy", "-f", str(spec), "--yes")
    # After the files were recorded, and before a replica has checked them.
    records = stage.home / "models"
    until(lambda: any("changed" in p.read_text() for p in records.glob("*/*/model.json")), 60)
    weights = changed / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    times = weights.stat()
    weights.write_bytes(content)
    assert times.st_size == weights.stat().st_size
    printed = running.communicate(timeout=300)[0]
    assert running.returncode == 4, printed
    assert "manifest" in printed
    assert stage.complete(service.name, service.key).status_code == 200


def test_a_second_writer_is_told_at_once_who_is_at_work(
    stage: Stage, service: Service, model: Path
) -> None:
    spec = stage.spec(
        service.name, f"file://{model}", model=f"{{source: 'file://{model}', context: 256}}"
    )
    first = stage.start("deploy", "-f", str(spec), "--yes")
    until(lambda: len(stage.status(service.name)["releases"]) == 2, 60)
    second = stage.deploy(spec)
    assert first.poll() is None, "it was told only once the first had ended"
    assert second.code == 3, second.text
    assert f"pid {first.pid}" in second.text
    # It goes on in the next test, killed.
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)


def test_a_killed_deploy_is_continued_by_the_next(
    stage: Stage, service: Service, model: Path
) -> None:
    releases = stage.status(service.name)["releases"]
    [killed] = [r for r in releases if r["state"] == "staging"]
    done = stage.deploy(stage.folder / f"{service.name}.yaml")
    assert done.code == 0, done.text
    assert stage.live(service.name) == killed["number"], "a new release was made"


def test_rollback_repeats_the_release_before(stage: Stage, service: Service) -> None:
    before = stage.live(service.name)
    done = stage.run("rollback", service.name, "1", "--yes")
    assert done.code == 0, done.text
    history = stage.run("history", service.name, "-o", "json").json()["releases"]
    assert stage.live(service.name) == history[-1]["number"] > before
    assert history[-1]["rollback_of"] == 1
    assert history[-1]["identity"] == history[0]["identity"]


@pytest.mark.parametrize("service_name", ["absent"])
def test_a_service_that_is_not_there_is_named_with_those_that_are(
    stage: Stage, service: Service, service_name: str
) -> None:
    for verb in ("status", "logs", "history", "destroy", "rollback"):
        arguments = [verb, service_name, *(["--yes"] if verb in ("destroy", "rollback") else [])]
        done = stage.run(*arguments)
        assert done.code == 2, (verb, done.text)
        assert "Traceback" not in done.text
