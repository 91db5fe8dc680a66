"""Reading files: what cannot be read, standard input, and where a value was written."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from llmops.errors import InputError, SpecError
from llmops.spec import LocalTarget, load, loads, read
from tests.house import tree

OK = "name: chat\nmodel:\n  source: hf://owner/name\n"


def _stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    _stdin(monkeypatch, OK.encode())
    assert load([Path("-")]).name == "chat"


def test_a_mistake_in_standard_input_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _stdin(monkeypatch, b"name: Chat\nmodel: {source: hf://owner/name}\n")
    with pytest.raises(SpecError, match=r"^<stdin>:1:7: name: "):
        load([Path("-")])


def test_standard_input_may_overlay_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(OK)
    _stdin(monkeypatch, b"target: {port: 9000}\n")
    loaded = read([base, Path("-")])
    assert isinstance(loaded.deployment.target, LocalTarget)
    assert loaded.deployment.target.port == 9000
    assert loaded.where("target.port") == ("<stdin>", 1, 16)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file, found none") as caught:
        load([tmp_path / "llmops.yaml"])
    assert "llmops init" in caught.value.hint


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found a directory") as caught:
        load([tmp_path])
    assert str(tmp_path / "llmops.yaml") in caught.value.hint


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    # A loop of links cannot be opened by anybody, not even by root.
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match="cannot be read") as caught:
        load([loop])
    assert caught.value.hint
    with pytest.raises(InputError, match="cannot be read"):
        load([tmp_path / "nul\0.yaml"])


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="expected a file, found none"):
        load([])


def test_a_text_is_named_as_asked() -> None:
    with pytest.raises(SpecError, match=r"^spec\.yaml:1:1: "):
        loads("", "spec.yaml")


def test_half_a_character_in_a_text_is_refused_like_bytes() -> None:
    with pytest.raises(SpecError, match="expected text in UTF-8"):
        loads("name: \ud800\n")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    base, prod = tmp_path / "base.yaml", tmp_path / "prod.yaml"
    base.write_text(OK + "security:\n  keys:\n    - team-a\nengine: {args: {seed: 1}}\n")
    prod.write_text('model: {context: 512}\nengine:\n  args:\n    "odd.name": 1\n')
    prod.write_text("model: {context: 512}\nengine:\n  args:\n    stream-interval: 2\n")
    return [base, prod]


@pytest.mark.parametrize(
    ("path", "file", "line", "column"),
    [
        ("name", "base.yaml", 1, 7),
        ("model", "prod.yaml", 1, 1),
        ("model.source", "base.yaml", 3, 11),
        ("model.context", "prod.yaml", 1, 18),
        ("security.keys", "base.yaml", 5, 3),
        ("security.keys[0]", "base.yaml", 6, 7),
        ("engine.args.seed", "base.yaml", 7, 23),
        ("engine.args.stream-interval", "prod.yaml", 4, 22),
    ],
)
def test_a_value_is_found_where_it_was_written(
    files: list[Path], path: str, file: str, line: int, column: int
) -> None:
    found = read(files).where(path)
    assert found == (str(files[0].with_name(file)), line, column)


def test_a_value_that_was_not_written_is_found_at_its_section(files: list[Path]) -> None:
    assert read(files).where("engine.kv_cache") == (str(files[1]), 2, 1)
    assert read(files).where("security.keys[7]") == (str(files[0]), 5, 3)


def test_of_what_nothing_was_written_there_is_no_place(files: list[Path]) -> None:
    assert read(files).where("maintenance.drain") is None
    assert read(files).where("") is None


def test_a_key_is_found_when_it_is_to_blame(files: list[Path]) -> None:
    assert read(files).where("engine.args.seed", key=True) == (str(files[0]), 7, 17)


def test_a_later_problem_is_shown_like_the_loaders_own(files: list[Path]) -> None:
    loaded = read(files)
    problem = loaded.problem("model.context", "expected at most 256, found 512", "set 256")
    assert str(problem) == (
        f"{files[1]}:1:18: model.context: expected at most 256, found 512\nhint: set 256"
    )
    nowhere = loaded.problem("maintenance.drain", "too long")
    assert (nowhere.file, nowhere.line, nowhere.column) == (str(files[0]), 1, 1)


def test_what_was_loaded_cannot_be_changed(files: list[Path]) -> None:
    loaded = read(files)
    with pytest.raises(AttributeError):
        loaded.deployment = None  # type: ignore[misc, assignment]
    with pytest.raises(ValueError, match="frozen"):
        loaded.deployment.name = "other"  # type: ignore[misc]


CODE = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from llmops.spec import load
load([Path(sys.argv[1])])
print(time.perf_counter() - began)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_a_small_file_is_loaded_at_once_and_without_an_sdk(tmp_path: Path) -> None:
    path = tmp_path / "llmops.yaml"
    path.write_text(OK)
    runs = [
        subprocess.run(
            [sys.executable, "-c", CODE, str(path)],
            cwd=tree.ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()
        for _ in range(3)
    ]
    modules = set(runs[0][1].split())
    assert modules & {"ray", "vllm", "torch", "transformers", "httpx", "rich", "typer"} == set()
    # Alone on a machine of 2024 it takes 0.25 s, nearly all of it the import of pydantic.
    assert min(float(run[0]) for run in runs) < 1.0
