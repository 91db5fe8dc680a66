"""`llmops recommend` as a user runs it: an answer with reasons, data, clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LLMOPS = Path(sys.executable).with_name("llmops")
SDKS = {"ray", "vllm", "torch", "transformers", "httpx", "huggingface_hub", "kubernetes", "pulumi"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LLMOPS), "recommend", *arguments], capture_output=True, text=True, timeout=60
    )


def test_it_answers_with_reasons_and_what_would_change_the_answer() -> None:
    done = run("--task", "classification", "--examples", "5000")
    assert done.returncode == 0, done.stderr
    assert "1. ModernBERT-base, fine-tuned: encoder-only" in done.stdout
    assert "hf://answerdotai/ModernBERT-base: vLLM 0.32 serves" in done.stdout
    assert "[Bucher and Martini (2024)]" in done.stdout
    assert "What would change the answer:\n  with fewer than 200 labelled examples:" in done.stdout
    assert done.stderr == ""


def test_as_json_every_figure_stands_beside_its_reason() -> None:
    done = run("--task", "chat", "--budget", "2", "--gpu", "L4", "--licence", "permissive",
               "-o", "json")  # fmt: skip
    document = json.loads(done.stdout)
    assert document.keys() == {"task", "assumed", "options", "passed_over", "changes"}
    for option in document["options"]:
        assert option["licence"]["use"] == "permissive"
        assert option["memory"]["weights"]["value"] > 0
        assert option["memory"]["weights"]["reason"]
        assert option["price_per_hour"] is None or option["price_per_hour"]["value"] <= 2
        assert option["vllm"]["reason"].startswith("vLLM 0.32 ")
        assert option["cited"]["url"].startswith("https://")
        assert all(reason["text"] for reason in option["reasons"])


def test_what_vllm_does_not_serve_is_said() -> None:
    done = run("--task", "translation", "--language", "en", "--language", "sw")
    assert "1. madlad400-3b-mt" in done.stdout
    assert "vLLM 0.32 does not serve T5ForConditionalGeneration" in done.stdout
    assert "- vLLM 0.32 does not serve it, so llmops cannot deploy it today" in done.stdout


def test_nothing_that_will_do_is_an_answer_too() -> None:
    done = run("--task", "chat", "--language", "tlh", "--context", "1000000")
    assert done.returncode == 0
    assert "No model of the catalogue will do." in done.stdout
    assert "Passed over:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "poetry"], "poetry"),
        ([], "--task"),
        (["--task", "chat", "--budget", "-1"], "error: budget: expected dollars an hour above 0"),
        (["--task", "chat", "--budget", "much"], "'--budget'"),
        (["--task", "chat", "--examples", "-5"], "error: examples: expected a number from 0"),
        (["--task", "chat", "--gpu", "H1OO"], "error: expected an accelerator of the catalogue"),
        (["--task", "chat", "--language", "German"], "error: languages: expected a code"),
        (["--task", "chat", "--gpu", "L4", "--gpus", "0"], "error: gpu: expected 1 to 1024 L4"),
        (["--task", "chat", "--gpus", "4"], "hint: add --gpu"),
        (["--task", "chat", "--budget", "1e99"], "above 0 and below 1,000,000,000, found 1e+99"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_it_imports_no_sdk() -> None:
    code = (
        "import sys; sys.argv = ['llmops', 'recommend', '--task', 'chat']\n"
        "from cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('modules:', ' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    imported = set(done.stdout.rsplit("modules:", 1)[1].split())
    assert "llmops" in imported
    assert imported & SDKS == set()
