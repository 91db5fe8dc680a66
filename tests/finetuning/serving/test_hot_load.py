"""Adapters as releases of a live service: loaded into its engine, taken back, nobody notices.

In the order of this file: one runtime and one engine for all of it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.finetune.artefacts import Artefact, Gated, base_of
from serving.runtime.control import Control
from serving.serve_config import GATEWAY
from tests.e2e.conftest import Service
from tests.e2e.stage import Stage, free_port, until
from tests.e2e.test_3_releases import Traffic
from tests.support.adapters import lineage, make_adapter, make_run
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]

NAME = "style"
ENGINE = "{kv_cache: 1GiB, adapter_rank: 8, adapter_count: 3}"
PROMPT = "the one and the other are in the house of the " * 12


@dataclass(frozen=True)
class World:
    """A service with room for adapters, and the runs whose adapters it is given."""

    stage: Stage
    service: Service
    model: Path
    runs: dict[int, Artefact]

    def spec(self, adapter: str = "", **fields: str) -> Path:
        source = f"{{source: 'file://{self.model}', context: 512{adapter}}}"
        sections = {"model": source, "engine": ENGINE} | fields
        return self.stage.spec(self.service.name, f"file://{self.model}", **sections)

    def adapted(self, number: int) -> Path:
        return self.spec(f", adapter: {{source: 'run://{NAME}/{number}'}}")

    def ask(self, model: str) -> httpx.Response:
        return self.stage.complete(
            model, self.service.key, prompt=PROMPT, max_tokens=16, temperature=0
        )

    def answer(self, model: str = "tiny") -> str:
        asked = self.ask(model)
        assert asked.status_code == 200, asked.text
        assert asked.json()["model"] == model
        text: str = asked.json()["choices"][0]["text"]
        return text

    def engines(self) -> dict[str, int]:
        """Processes of replicas that run an engine, by application."""
        sockets = list(self.stage.temporary.glob("llmops-*/control.sock"))
        if not sockets or not Control(sockets[0]).alive():
            return {}
        found = Control(sockets[0]).state()["applications"]
        return {
            name: replica["pid"]
            for name, application in found.items()
            if name != GATEWAY
            for replica in application["replicas"]
            if replica["state"] == "RUNNING"
        }

    def promote(self, number: int, *options: str) -> None:
        done = self.stage.run(
            "finetune", "promote", f"{NAME}/{number}", "--service", "tiny", "--yes", *options
        )
        assert done.code == 0, done.text

    def models(self) -> dict[str, str | None]:
        """The model names that the service's key may ask for, and what each is of."""
        headers = {"authorization": f"Bearer {self.service.key}"}
        found = httpx.get(f"{self.stage.url}/v1/models", headers=headers, timeout=30).json()
        return {one["id"]: one["parent"] for one in found["data"]}

    def told_of(self, number: int) -> list[str]:
        """Lines of the engine's log about the adapter of a run."""
        log = (self.stage.home / "logs" / "tiny" / "r1" / "engine.log").read_text(errors="replace")
        digest = self.runs[number].digest[:12]
        return [line for line in log.splitlines() if digest in line]

    def proofs(self) -> list[tuple[int, str]]:
        """Releases that were proven by generations under model names, with these names."""
        lines = (self.stage.home / "logs" / "audit.jsonl").read_text().splitlines()
        found = [one for one in map(json.loads, lines) if one["key"] == "operator"]
        return [(one["release"], one["model"]) for one in found if "model" in one]

    def history(self) -> list[dict[str, Any]]:
        listed = self.stage.run("history", self.service.name, "-o", "json").json()["releases"]
        return list(listed)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    stage = Stage(home, tmp_path_factory.mktemp("specs"), free_port())
    model = make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    base = base_of(model, f"file://{model}", "a" * 64)
    runs = {}
    for number in (1, 2, 3):
        made = make_adapter(tmp_path_factory.mktemp("made"), model, seed=number)
        refused = Gated("refused", ("exact_match 0.2, 0.5 at least",)) if number == 3 else None
        runs[number] = make_run(home, lineage(NAME, number, base, refused), made)
    try:
        bare = World(stage, Service("tiny", Path(), "", ""), model, runs)
        done = stage.deploy(bare.spec())
        assert done.code == 0, done.text
        key = stage.key("tiny", "tests")
        yield World(stage, Service("tiny", Path(), key, done.text), model, runs)
    finally:
        stage.end()


@pytest.fixture(scope="module")
def said(world: World) -> dict[str, str]:
    """What the service answers, by what it answers with."""
    return {"base": world.answer()}


def test_an_adapter_is_loaded_into_the_running_engine(world: World, said: dict[str, str]) -> None:
    engines = world.engines()
    assert set(engines) == {"tiny-r1"}
    with Traffic(world.stage, world.service) as traffic:
        done = world.stage.deploy(world.adapted(1))
        assert done.code == 0, done.text
        until(lambda: traffic.good[-1:] == ["2"], 60)
    assert not traffic.bad
    assert "1" in traffic.good, "the release before was not seen serving"
    assert world.engines() == engines, "another engine was started"
    assert "no second one is started" in done.text
    said["first"] = world.answer()
    assert said["first"] != said["base"]
    last = world.history()[-1]
    assert last["hosted_by"] == 1
    assert last["model"]["adapter"]["run"] == f"{NAME}/1"
    assert last["model"]["adapter"]["digest"] == world.runs[1].digest
    [shown] = [r for r in world.stage.status("tiny")["releases"] if r["share"]]
    assert (shown["number"], shown["replicas"], shown["phase"]) == (2, 1, "ready")


def test_the_next_adapter_is_promoted_and_takes_the_place_of_the_first(
    world: World, said: dict[str, str]
) -> None:
    engines = world.engines()
    with Traffic(world.stage, world.service) as traffic:
        done = world.stage.run("finetune", "promote", f"{NAME}/2", "--service", "tiny", "--yes")
        assert done.code == 0, done.text
        until(lambda: traffic.good[-1:] == ["3"], 60)
    assert not traffic.bad
    assert world.engines() == engines
    said["second"] = world.answer()
    assert len(set(said.values())) == 3
    assert [r["number"] for r in world.stage.status("tiny")["releases"]] == [3]


def test_promoting_it_again_changes_nothing(world: World) -> None:
    done = world.stage.run("finetune", "promote", f"{NAME}/2", "--service", "tiny", "--yes")
    assert done.code == 0, done.text
    assert "nothing changed" in done.text
    assert world.history()[-1]["number"] == 3


def test_a_rollback_gives_the_first_adapter_again(world: World, said: dict[str, str]) -> None:
    engines = world.engines()
    with Traffic(world.stage, world.service) as traffic:
        done = world.stage.run("rollback", "tiny", "--yes")
        assert done.code == 0, done.text
    assert not traffic.bad
    assert world.engines() == engines
    assert world.answer() == said["first"], "what the second adapter had cached has answered"
    done = world.stage.run("rollback", "tiny", "1", "--yes")
    assert done.code == 0, done.text
    assert world.answer() == said["base"]
    assert world.engines() == engines


def test_adapters_are_given_model_names_beside_the_service(
    world: World, said: dict[str, str]
) -> None:
    engines = world.engines()
    with Traffic(world.stage, world.service) as traffic:
        world.promote(1, "--as", "first")
        before = world.told_of(1)
        world.promote(2, "--as", "second")
    assert not traffic.bad
    assert world.engines() == engines, "another engine was started"
    assert world.told_of(1) == before, "what both releases have was loaded again, or taken out"
    answers = {"tiny": said["base"], "first": said["first"], "second": said["second"]}
    for _ in range(2):  # again: what one has cached must answer for no other
        assert {model: world.answer(model) for model in answers} == answers
    assert world.models() == {"tiny": None, "first": "tiny", "second": "tiny"}
    assert world.ask("third").status_code == 404
    number = world.history()[-1]["number"]
    assert {(number, "first"), (number, "second"), (number - 1, "first")} <= set(world.proofs())


def test_a_rollback_takes_a_name_back_and_leaves_the_others(
    world: World, said: dict[str, str]
) -> None:
    done = world.stage.run("rollback", "tiny", "--yes")
    assert done.code == 0, done.text
    assert world.ask("second").status_code == 404
    assert world.models() == {"tiny": None, "first": "tiny"}
    assert (world.answer(), world.answer("first")) == (said["base"], said["first"])


def test_what_the_gate_refused_is_served_only_for_a_reason(world: World) -> None:
    arguments = ("finetune", "promote", f"{NAME}/3", "--service", "tiny", "--yes")
    refused = world.stage.run(*arguments)
    assert refused.code == 3, refused.text
    assert "exact_match 0.2, 0.5 at least" in refused.text
    done = world.stage.run(*arguments, "--despite-gate", "a demonstration")
    assert done.code == 0, done.text
    assert "a demonstration" in world.stage.run("history", "tiny").out


def test_an_adapter_with_a_flipped_byte_is_refused_and_the_service_serves_on(world: World) -> None:
    before = world.answer()
    file = world.runs[2].directory / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        done = world.stage.deploy(world.adapted(2))
    finally:
        file.write_bytes(whole)
    assert done.code == 2, done.text
    assert "is not what its manifest says" in done.text
    assert world.answer() == before


def test_an_engine_that_dies_comes_back_with_its_adapters(world: World) -> None:
    before = {model: world.answer(model) for model in ("tiny", "first")}
    assert len(set(before.values())) == 2
    [pid] = world.engines().values()
    os.kill(pid, signal.SIGKILL)

    def answers(model: str) -> bool:
        asked = world.ask(model)
        return asked.status_code == 200 and asked.json()["choices"][0]["text"] == before[model]

    for model in before:
        until(partial(answers, model), 240)
    assert pid not in world.engines().values(), "what was killed has answered"


def test_the_engine_goes_when_nothing_of_it_is_needed(world: World) -> None:
    done = world.stage.run("destroy", "tiny", "--yes")
    assert done.code == 0, done.text
    assert not world.engines()
    listed = json.loads(world.stage.run("history", "tiny", "-o", "json").out)["releases"]
    assert {one["state"] for one in listed} <= {"retired", "failed"}
