"""Real training: strategies that learn the same, kills that cost a few steps at most.

Strategies run in plain processes, since Ray adds nothing to what they compute; kills run as a
user's training does, through the driver and a Ray of its own.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.finetune.training import Kind, TrainingJob, read_failure
from serving.finetune.training.checkpoints import PAUSE, Checkpoints, damage
from serving.finetune.training.files import STOP
from tests.finetuning.training import tiny
from tests.finetuning.training.driving import DEADLINE, Driver, furthest, steps, weights
from tests.finetuning.training.processes import train_together

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

SAME = 2e-4
"""By how much losses of two strategies may differ: sums of float32 in another order."""

RESUMED = 1e-6
"""The same for a weight of a training that was killed, against one that was not."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    tiny.base(folder / "base")
    tiny.prepared(folder / "data")
    return folder


def job(place: Path, name: str, **changed: Any) -> TrainingJob:
    out = place / name
    out.mkdir(mode=0o700)
    return tiny.job(place / "base", place / "data", out, **changed)


STRATEGIES = [
    ("ddp", "lora"), ("fsdp", "lora"), ("deepspeed-zero3", "lora"), ("ddp", "full"),
    ("fsdp", "full"), ("deepspeed-zero1", "full"), ("deepspeed-zero2", "full"),
    ("deepspeed-zero3", "full"), ("tensor", "full"), ("pipeline", "full"),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(place: Path) -> dict[tuple[str, str], tuple[Path, str]]:
    """Each strategy's run: its folder, and what it ended with."""
    alone = [job(place, f"one-{method}", method=method) for method in ("lora", "full")]
    pairs = []
    for strategy, method in STRATEGIES:
        divided = strategy in ("tensor", "pipeline")
        changed: dict[str, Any] = {strategy: 2} if divided else {"accumulation": 1}
        pairs.append(
            job(
                place, f"{strategy}-{method}", strategy=strategy, method=method, workers=2,
                **changed,
            )
        )  # fmt: skip
    for name in ("alone", "together"):
        (place / f"ends-{name}").mkdir()
    ends = train_together(alone, place / "ends-alone")
    ends += train_together(pairs, place / "ends-together")
    names = [("one", "lora"), ("one", "full"), *STRATEGIES]
    folders = [one.folder for one in (*alone, *pairs)]
    return dict(zip(names, zip(folders, ends, strict=True), strict=True))


@pytest.mark.parametrize(("strategy", "method"), STRATEGIES)
def test_two_workers_learn_what_one_does(
    trained: dict[tuple[str, str], tuple[Path, str]], strategy: str, method: str
) -> None:
    folder, end = trained[strategy, method]
    alone, _ = trained["one", method]
    assert not end
    assert tiny.losses(folder) == pytest.approx(tiny.losses(alone), abs=SAME)
    assert tiny.losses(alone)[-1] < tiny.losses(alone)[0] - 0.01
    assert furthest(weights(folder / "final"), weights(alone / "final")) < 1e-3
    assert damage(folder / "final") == ""
    told, expected = (json.loads((one / "result.json").read_text()) for one in (folder, alone))
    assert told["eval_loss"] == pytest.approx(expected["eval_loss"], abs=SAME)


def test_what_a_training_tells_is_there_for_programs_and_dashboards(
    trained: dict[tuple[str, str], tuple[Path, str]],
) -> None:
    folder, _ = trained["one", "lora"]
    last = tiny.lines(folder)[-1]
    assert (last["step"], last["steps"], last["eta"]) == (8, 8, 0.0)
    prom = (folder / "metrics.prom").read_text()
    assert 'llmops_finetune_step{name="tiny"} 8.0' in prom
    assert list((folder / "tensorboard").iterdir())
    assert (folder / "final" / "adapter_config.json").is_file()


def test_preference_pairs_are_learnt_and_gone_on_with(place: Path) -> None:
    data = tiny.pairs(place / "pairs")
    chosen = replace(
        job(place, "dpo", accumulation=1, dropout=0.1), data=str(data), objective="dpo"
    )
    calm = replace(chosen, out=str(place / "dpo-calm"))
    calm.folder.mkdir()
    for folder in ("ends-dpo", "ends-dpo-calm"):
        (place / folder).mkdir()
    (chosen.folder / STOP).touch()
    (end,) = train_together([chosen], place / "ends-dpo")
    assert "stopped after step 1 of 8" in end
    for name in (STOP, "failure.json"):
        (chosen.folder / name).unlink()
    assert train_together([chosen, calm], place / "ends-dpo-calm") == ["", ""]
    losses = tiny.losses(chosen.folder)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < losses[0] - 0.05
    assert losses == pytest.approx(tiny.losses(calm.folder), abs=RESUMED)


def test_a_loss_that_is_no_number_stops_with_the_rows_of_its_batch(place: Path) -> None:
    from safetensors.torch import load_file, save_file

    bad = tiny.base(place / "bad-base")
    tensors = load_file(bad / "model.safetensors")
    tensors["model.embed_tokens.weight"][100] = float("nan")
    save_file(tensors, bad / "model.safetensors", metadata={"format": "pt"})
    chosen = replace(job(place, "nan"), base=str(bad))
    (place / "ends-nan").mkdir()
    (end,) = train_together([chosen], place / "ends-nan")
    failure = read_failure(chosen.folder)
    assert "TrainingError" in end
    assert failure is not None
    assert failure.kind is Kind.NOT_FINITE
    assert failure.sources
    assert all(source.startswith("data/train.jsonl:") for source in failure.sources)
    found = Checkpoints(chosen.folder / "checkpoints", 2).newest(pytest.fail)
    assert (found.step if found else 0) <= failure.step


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def test_a_full_disk_stops_cleanly_and_the_rest_is_trained_once_there_is_room(
    place: Path, tmp_path: Path
) -> None:
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a user and mount namespace")
    chosen = job(place, "small", method="full", save_every=2, steps=6)
    path = chosen.folder / "job.json"
    path.write_text(chosen.to_json())
    program = [sys.executable, "-m", "tests.finetuning.training.small_disk"]
    done = subprocess.run(
        [*NAMESPACE, *program, str(path), str(tmp_path)], capture_output=True, text=True,
        check=False, timeout=DEADLINE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert told["kind"] == "disk-full", done.stderr[-3000:]
    assert "damaged" not in told
    assert told["result"] == "True"


def _told_to_stop(driver: Driver, folder: Path, kept: Checkpoints) -> None:
    """It keeps a checkpoint; all it listens on meanwhile is loopback."""
    at = steps(folder)
    driver.until("had a worker", driver.worker)
    driver.until("went on", lambda: (folder / "checkpoints").exists() and steps(folder) >= at)
    open_to_all = [
        (process.name(), one.laddr)
        for process in driver.family()
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.ip not in ("127.0.0.1", "::1")
    ]
    assert not open_to_all
    driver.signal(signal.SIGTERM)
    assert driver.end() == 130
    failure = read_failure(folder)
    assert failure is not None
    assert failure.kind is Kind.STOPPED
    assert kept.path(failure.step).is_dir()


def test_killed_at_every_stage_it_ends_as_one_that_was_not(place: Path) -> None:
    chosen = job(place, "killed", dropout=0.1, steps=14, save_every=4)
    calm = replace(chosen, out=str(place / "calm"))
    calm.folder.mkdir()
    (place / "ends-calm").mkdir()
    assert train_together([calm], place / "ends-calm") == [""]
    kept, folder = Checkpoints(chosen.folder / "checkpoints", 2), chosen.folder
    started: list[Driver] = []

    def start(**environment: str) -> Driver:
        started.append(Driver(chosen, **environment))
        return started[-1]

    try:
        # Before the first step the worker dies, and is replaced; then the driver, within a step.
        driver = start()
        first = driver.until("had a worker", driver.worker)
        assert steps(folder) == 0
        first.kill()
        driver.until("replaced it", lambda: (w := driver.worker()) and w.pid != first.pid)
        driver.until("did two steps", lambda: steps(folder) >= 2)
        driver.kill()
        assert not (folder / "result.json").exists()

        _told_to_stop(start(), folder, kept)

        # While a checkpoint is written: it stays aside, and is never taken.
        driver = start(**{PAUSE: "2"})
        driver.until("wrote", lambda: list(kept.aside.glob("*/optimizer.pt")))
        before = {path.name for path in kept.aside.parent.iterdir()}
        driver.kill()
        assert kept.aside.exists()
        assert {path.name for path in kept.aside.parent.iterdir()} == before

        # After the last step, before there is a result.
        driver = start(**{PAUSE: "0.5"})
        driver.until("kept the last step", kept.path(14).is_dir)
        driver.kill()
        assert not (folder / "result.json").exists()

        driver = start()
        assert driver.end() == 0, (folder / "driver.log").read_text()[-3000:]
    finally:
        for one in started:
            one.close()
    assert tiny.losses(folder) == pytest.approx(tiny.losses(calm.folder), abs=RESUMED)
    assert furthest(weights(folder / "final"), weights(calm.folder / "final")) < RESUMED
