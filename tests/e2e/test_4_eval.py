"""`llmops eval` and distillation on the live service: the shared one of these tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(600)]

N = 24


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    path = tmp_path / "exam.jsonl"
    items = [{"prompt": f"one two {n} ", "reference": "three four"} for n in range(N)]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_a_live_service_is_measured_and_its_perplexity_is_that_of_its_weights(
    stage: Stage, service: Service, model: Path, exam: Path, tmp_path: Path
) -> None:
    common = ("--set", str(exam), "-m", "rougeL", "-m", "perplexity", "--max-tokens", "4")
    live = stage.run(
        "eval", "run", service.name, *common, "--out", str(tmp_path / "live"), "-o", "json"
    )
    assert live.code == 0, live.text
    document = live.json()
    assert document["releases"] == [stage.live(service.name)]
    assert document["latency"]["ttft"]["n"] == N
    assert document["lost"] == {}
    weights = stage.run(
        "eval", "run", "--weights", str(model), *common, "--out", str(tmp_path / "weights"),
        "-o", "json",
    )  # fmt: skip
    assert weights.code == 0, weights.text
    found = [
        {score["metric"]: score["value"] for score in one["scores"]}
        for one in (document, weights.json())
    ]
    # The engine computes in bfloat16, the weights are measured in float32.
    assert found[0]["perplexity"] == pytest.approx(found[1]["perplexity"], rel=0.05)
    gate = stage.run(
        "eval", "compare", str(tmp_path / "live"), str(tmp_path / "weights"), "--min", "rougeL=0.99"
    )
    assert gate.code == 3, gate.text


def test_a_service_teaches(stage: Stage, service: Service, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\nthree\n")
    out = tmp_path / "taught.jsonl"
    done = stage.run(
        "finetune", "distil", "--service", service.name, "--prompts", str(prompts),
        "--out", str(out), "--max-tokens", "8", "-o", "json",
    )  # fmt: skip
    assert done.code == 0, done.text
    found = done.json()
    assert found["rows"] + len(found["cut"]) + len(found["empty"]) == 3
    assert found["tokens"]["output"] > 0
    assert len(out.read_text().splitlines()) == found["rows"]


MULTIPLE = """
task: north
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{right}}"
metric_list: [{metric: acc}]
"""
GENERATING = """
task: repeat
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[0]}}"
generation_kwargs: {until: ["|"], max_gen_toks: 4}
metric_list: [{metric: exact_match}]
"""


def test_task_files_of_the_harness_run_against_the_endpoint(
    stage: Stage, service: Service, model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    rows = [
        {"question": f"the old {n}", "choices": [" wind", " sun"], "right": n % 2} for n in range(6)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("north", MULTIPLE), ("repeat", GENERATING)):
        (tmp_path / f"{name}.yaml").write_text(text.replace("DATA", str(data)))
    done = stage.run(
        "eval", "harness", service.name, "--task", str(tmp_path / "north.yaml"),
        "--task", str(tmp_path / "repeat.yaml"), "--tokenizer", str(model),
        "--out", str(tmp_path / "out"), "-o", "json",
    )  # fmt: skip
    assert done.code == 0, done.text
    found = {entry["task"]: entry for entry in done.json()["tasks"]}
    assert set(found) == {"north", "repeat"}
    assert found["north"]["items"] == 6
    assert 0.0 <= found["north"]["value"] <= 1.0
    for path in (tmp_path / "out").iterdir():
        assert service.key not in path.read_text(), f"{path} holds a key"
    refused = stage.run(
        "eval", "harness", service.name, "--task", str(tmp_path / "north.yaml"),
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert refused.code == 2
    assert "--tokenizer" in refused.text
