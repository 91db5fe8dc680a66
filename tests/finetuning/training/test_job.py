"""What a job says, and what is refused before anything is started."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError, RefusedError
from serving.finetune.training import TrainingJob, driver, job_from_json
from serving.finetune.training.settings import arguments
from tests.finetuning.training import tiny

HERE = Path("/nowhere")


def job(**changed: Any) -> TrainingJob:
    return tiny.job(HERE, HERE, HERE, **changed)


def test_a_job_survives_json() -> None:
    first = job(targets=("q_proj", "v_proj"), epochs=1.5, steps=None)
    assert job_from_json(first.to_json()) == first


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"base": "relative"}, "base"),
        ({"method": "half"}, "method"),
        ({"strategy": "ring"}, "strategy"),
        ({"workers": 0}, "workers"),
        ({"micro_batch": True}, "micro_batch"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"dropout": 1.0}, "dropout"),
        ({"warmup": -0.1}, "warmup"),
        ({"epochs": 1.0}, "epochs"),
        ({"steps": None}, "epochs"),
        ({"steps": 2.5}, "steps"),
        ({"sequence": 1}, "sequence"),
        ({"tensor": 2, "workers": 2}, "tensor"),
        ({"strategy": "pipeline"}, "pipeline"),
        ({"strategy": "tensor", "tensor": 2, "workers": 3}, "workers"),
        ({"targets": ()}, "targets"),
        ({"cores": 0}, "cores"),
    ],
)
def test_a_contradiction_is_named_by_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=field):
        replace(job(), **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"strategy": "tensor", "tensor": 2, "workers": 4, "method": "full"},
        {"strategy": "pipeline", "pipeline": 2, "workers": 2},
        {"strategy": "tensor", "tensor": 2, "workers": 2, "method": "full", "objective": "dpo"},
    ],
)
def test_what_is_not_offered_is_refused_with_another_way(changed: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        job(**changed)
    assert refused.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "x"}'])
def test_a_text_that_is_no_job_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        job_from_json(text)


def test_an_unknown_field_is_named() -> None:
    told = json.loads(job().to_json()) | {"learning_rat": 1}
    with pytest.raises(InputError, match="learning_rat"):
        job_from_json(json.dumps(told))


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "qlora"},
        {"precision": "float16"},
        {"precision": "bfloat16", "strategy": "deepspeed-zero2"},
    ],
)
def test_what_needs_a_gpu_is_refused_without_one(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RefusedError, match="NVIDIA GPU"):
        driver.offered(job(**changed))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    driver.offered(job(**changed))
    with pytest.raises(RefusedError, match=r"3 workers need as many NVIDIA GPUs, .* has 2"):
        driver.offered(job(**changed | {"workers": 3}))


def test_a_job_file_that_is_not_there_ends_with_2_and_says_so(tmp_path: Path) -> None:
    assert driver.run(tmp_path / "job.json") == 2
    told = json.loads((tmp_path / "failure.json").read_text())
    assert told["kind"] == "input"


def test_a_folder_that_another_trains_in_is_refused(tmp_path: Path) -> None:
    from filelock import FileLock

    path = tmp_path / "job.json"
    path.write_text(replace(job(), out=str(tmp_path)).to_json())
    with FileLock(tmp_path / driver.LOCK, is_singleton=False):
        assert driver.run(path) == 3
    assert not (tmp_path / "failure.json").exists()


def test_settings_follow_the_job() -> None:
    told = arguments(job(warmup=0.25, clip=0.5, weight_decay=0.1), 8, HERE, cuda=False)
    assert (told["warmup_steps"], told["max_grad_norm"], told["weight_decay"]) == (2, 0.5, 0.1)
    assert told["use_cpu"] is True
    assert "fsdp" not in told


def test_a_constant_schedule_warms_up_where_it_is_told_to() -> None:
    names = [
        arguments(job(schedule="constant", warmup=share), 8, HERE, cuda=False)["lr_scheduler_type"]
        for share in (0.0, 0.1)
    ]
    assert names == ["constant", "constant_with_warmup"]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_deepspeed_gets_its_stage_and_clips_as_told(stage: int) -> None:
    chosen = job(strategy=f"deepspeed-zero{stage}", workers=2, clip=0.7)
    told = arguments(chosen, 8, HERE, cuda=False)["deepspeed"]
    assert told["zero_optimization"]["stage"] == stage
    assert told["gradient_clipping"] == 0.7
