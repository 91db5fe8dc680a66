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

from llmops.planning import make_plan
from llmops.releases import Release, State
from serving.finetune.artefacts import Lineage, base_of, keep, promotion
from serving.finetune.training import Kind, TrainingJob, read_failure
from serving.finetune.training.checkpoints import PAUSE, Checkpoints, damage
from serving.finetune.training.files import STOP
from serving.models import Models
from tests.finetuning.serving.test_adapter_plans import facts
from tests.finetuning.training import tiny
from tests.finetuning.training.driving import (
    DEADLINE,
    Driver,
    furthest,
    steps,
    told,
    weights,
)
from tests.finetuning.training.processes import train_together
from tests.planning.worlds import deployment

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

SAME = 2e-4
"""By how much losses of two strategies may differ: sums of float32 in another order."""

RESUMED = 1e-6
"""The same for a weight of a training that was killed, against one that was not."""

MERGED = 1e-4
"""The same for logits of weights with an adapter in them, against those with it beside them."""


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


Runs = dict[tuple[str, str], tuple[Path, str]]
"""By strategy and method: the folder of a run, and what it ended with."""


@pytest.fixture(scope="module")
def alone(place: Path) -> Runs:
    """The runs of one worker."""
    methods = ("lora", "full")
    jobs = [job(place, f"one-{method}", method=method) for method in methods]
    (place / "ends-alone").mkdir()
    ends = train_together(jobs, place / "ends-alone")
    found = zip(methods, jobs, ends, strict=True)
    return {("one", method): (one.folder, end) for method, one, end in found}


@pytest.fixture(scope="module")
def trained(place: Path, alone: Runs) -> Runs:
    """Each strategy's run."""
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
    (place / "ends-together").mkdir()
    ends = train_together(pairs, place / "ends-together")
    folders = [one.folder for one in pairs]
    return alone | dict(zip(STRATEGIES, zip(folders, ends, strict=True), strict=True))


@pytest.mark.parametrize(("strategy", "method"), STRATEGIES)
def test_two_workers_learn_what_one_does(trained: Runs, strategy: str, method: str) -> None:
    folder, end = trained[strategy, method]
    single, _ = trained["one", method]
    assert not end
    assert tiny.losses(folder) == pytest.approx(tiny.losses(single), abs=SAME)
    assert tiny.losses(single)[-1] < tiny.losses(single)[0] - 0.01
    assert furthest(weights(folder / "final"), weights(single / "final")) < 1e-3
    assert damage(folder / "final") == ""
    found, expected = (json.loads((one / "result.json").read_text()) for one in (folder, single))
    assert found["eval_loss"] == pytest.approx(expected["eval_loss"], abs=SAME)


def test_a_trained_adapter_that_is_merged_is_served_as_a_model_of_its_own(
    alone: Runs, place: Path, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    final = alone["one", "lora"][0] / "final"
    base, source = place / "base", f"file://{place / 'base'}"
    models = Models(tmp_path / "models")
    known = models.describe(source, None)
    for _ in models.ensure(source, known.revision):
        pass
    kept = Lineage("tiny", 1, 17, base_of(base, source, known.revision), "", "", "", "")
    keep(final, tmp_path / "finetune" / "tiny" / "runs" / "1" / "artefact", kept)
    plan = make_plan(deployment(model={"source": source}), replace(facts(None), model=known))
    live = (Release("chat", 1, plan, State.LIVE, 0.0),)
    made = promotion(tmp_path, "tiny/1", live, merge=True).deployment.model
    assert made.adapter is None
    found = models.describe(made.source, None)
    assert found.parameters == known.parameters
    bare, apart, merged = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for folder in (base, base, made.source.removeprefix("file://"))
    )
    ids = torch.arange(10, 60).reshape(2, 25)
    with torch.no_grad():
        without = bare(ids).logits
        adapted = PeftModel.from_pretrained(apart, str(final)).eval()(ids).logits
        whole = merged(ids).logits
    assert float((whole - adapted).abs().max()) < MERGED
    assert float((adapted - without).abs().max()) > 100 * MERGED


def test_what_a_training_tells_is_there_for_programs_and_dashboards(alone: Runs) -> None:
    folder, _ = alone["one", "lora"]
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
    assert losses[-1] < losses[0] - 0.01
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
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert said["kind"] == "disk-full", done.stderr[-3000:]
    assert "damaged" not in said
    assert said["result"] == "True"


def _told_to_stop(driver: Driver, folder: Path, kept: Checkpoints) -> None:
    """It keeps a checkpoint; all it listens on meanwhile is loopback."""
    at = steps(folder)
    driver.until("had a worker", driver.worker)
    driver.until("went on", lambda: (folder / "checkpoints").exists() and steps(folder) >= at)
    open_to_all = [
        (process.name(), one.laddr)
        for process in driver.family()
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
        and one.laddr.ip.removeprefix("::ffff:") not in ("127.0.0.1", "::1")
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
        # Checkpoints are sealed slowly throughout: a kill is late on a busy machine, and must not
        # find the training ended. Before the first step the worker dies, and is replaced; then the
        # driver, before there is a checkpoint.
        driver = start(**{PAUSE: "2"})
        first = driver.until("had a worker", driver.worker)
        assert steps(folder) == 0
        first.kill()
        driver.until("replaced it", lambda: (w := driver.worker()) and w.pid != first.pid)
        driver.until("did two steps", lambda: steps(folder) >= 2)
        driver.kill()
        assert not (folder / "result.json").exists()

        _told_to_stop(start(**{PAUSE: "2"}), folder, kept)

        # While a checkpoint is written: it stays aside, and is never taken.
        driver = start(**{PAUSE: "2"})
        driver.until("wrote", lambda: list(kept.aside.glob("*/optimizer.pt")))
        before = {path.name for path in kept.aside.parent.iterdir()}
        driver.kill()
        assert list(kept.aside.glob("*/optimizer.pt"))
        assert {path.name for path in kept.aside.parent.iterdir()} == before

        # After the last step, before there is a result.
        driver = start(**{PAUSE: "2"})
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


@pytest.mark.parametrize("strategy", ["tensor", "pipeline"])
def test_a_divided_model_goes_on_where_it_was_killed(place: Path, strategy: str) -> None:
    changed: dict[str, Any] = {strategy: 2, "strategy": strategy, "workers": 2, "method": "full"}
    chosen = job(place, f"killed-{strategy}", **changed)
    calm = replace(chosen, out=str(place / f"calm-{strategy}"))
    calm.folder.mkdir()
    (place / f"ends-calm-{strategy}").mkdir()
    assert train_together([calm], place / f"ends-calm-{strategy}") == [""]
    kept, folder = Checkpoints(chosen.folder / "checkpoints", 2), chosen.folder
    driver = Driver(chosen, **{PAUSE: "3"})
    try:
        driver.until("kept a checkpoint", kept.path(3).is_dir)
        driver.kill()
        assert not (folder / "result.json").exists()
    finally:
        driver.close()
    at = told(folder)
    driver = Driver(chosen, **{PAUSE: "3"})
    try:
        driver.until("went on", lambda: told(folder) > at)
        worker = driver.until("had a worker", driver.worker)
        assert not (folder / "result.json").exists()
        worker.kill()
        driver.until("replaced it", lambda: (w := driver.worker()) and w.pid != worker.pid)
        assert driver.end() == 0, (folder / "driver.log").read_text()[-3000:]
    finally:
        driver.close()
    done = [json.loads(line)["step"] for line in (folder / "progress.jsonl").read_text().split("\n")
            if line]  # fmt: skip
    assert [done.count(step) for step in (1, 2, 3)] == [1, 1, 1], "it began anew"
    assert len(done) > len(set(done)), "no step was lost by a kill"
    assert tiny.losses(folder) == pytest.approx(tiny.losses(calm.folder), abs=RESUMED)
    assert furthest(weights(folder / "final"), weights(calm.folder / "final")) < RESUMED
