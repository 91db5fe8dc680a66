"""The tree as files: ours are kept right, others' are never touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from clusters.written import HEADER, write_tree, yaml_text
from llmops.errors import InputError, RefusedError
from tests.clusters.objects import states


def _snapshot(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.iterdir()}


def test_writing_again_touches_no_file(tmp_path: Path) -> None:
    write_tree(states.tree_of("update"), tmp_path)
    before = _snapshot(tmp_path)
    write_tree(states.tree_of("update"), tmp_path)
    assert _snapshot(tmp_path) == before


def test_the_paths_that_are_returned_are_all_there_is(tmp_path: Path) -> None:
    written = write_tree(states.tree_of("production"), tmp_path / "new" / "folder")
    assert sorted(written) == sorted((tmp_path / "new" / "folder").iterdir())


def test_files_that_are_no_longer_needed_go_and_others_stay(tmp_path: Path) -> None:
    write_tree(states.tree_of("production"), tmp_path)
    kept = {"README.md": "ours", "99-mine.yaml": "kind: ConfigMap\n", "notes.txt": HEADER}
    for name, text in kept.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "overlay").mkdir()
    written = write_tree(states.tree_of("minimal"), tmp_path)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {path.name for path in written} | set(kept) | {"overlay"}
    assert all((tmp_path / name).read_text() == text for name, text in kept.items())


def test_a_file_of_ours_that_was_edited_is_made_right(tmp_path: Path) -> None:
    first, *_ = write_tree(states.tree_of("minimal"), tmp_path)
    right = first.read_text()
    first.write_text(HEADER + "kind: Edited\n")
    write_tree(states.tree_of("minimal"), tmp_path)
    assert first.read_text() == right


@pytest.mark.parametrize("name", ["kustomization.yaml", "11-service-chat.yaml", "SECRETS.md"])
def test_anothers_file_in_the_way_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(RefusedError, match=name):
        write_tree(states.tree_of("minimal"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text(HEADER)
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "kustomization.yaml").symlink_to(victim)
    with pytest.raises(RefusedError):
        write_tree(states.tree_of("minimal"), folder)
    assert victim.read_text() == HEADER


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write_tree(states.tree_of("minimal"), tmp_path / "file" / "tree")


@pytest.mark.parametrize("name", states.names())
def test_the_kustomization_lists_every_object(name: str) -> None:
    tree = states.CASES / name / "tree"
    listed = yaml.safe_load((tree / "kustomization.yaml").read_text())["resources"]
    assert listed == sorted(path.name for path in tree.glob("[0-9]*.yaml"))
    assert len(listed) == len(states.tree_of(name))


@pytest.mark.parametrize("name", states.names())
def test_every_secret_that_pods_need_is_noted(name: str) -> None:
    state = states.state(name)
    note = (states.CASES / name / "tree" / "SECRETS.md").read_text()
    target = state.runtimes[-1].shape.target
    needed = [f"{state.service}-keys", f"{state.service}-ray-token", *target.pull_secrets]
    needed += [secret for secret in (target.model_secret, target.expose.tls_secret) if secret]
    needed += (
        [target.redis.password_secret] if target.redis and target.redis.password_secret else []
    )
    assert [secret for secret in needed if f"`{secret}`" not in note] == []


@pytest.mark.parametrize(
    "text", ["1234e567", "09999999", "12345678", "y", "n", "on", "null", "~", "1.5", "+1", ".5", "",
             "2026-01-01", "0x1f", "1_000", "- a", "a: b", "a #b", "{{ x }}", "0b1", "=", "<<"]
)  # fmt: skip
def test_texts_stay_texts_for_readers_of_every_yaml_version(text: str) -> None:
    written = yaml_text({"value": text})
    assert yaml.safe_load(written) == {"value": text}
    assert written.removeprefix("value: ")[0] in "\"'", written


def test_no_anchor_is_written_where_values_are_shared() -> None:
    shared = {"a": ["b"]}
    assert "&" not in yaml_text({"one": shared, "two": shared})
