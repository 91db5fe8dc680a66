"""API keys: made, listed and revoked by many at once, kept as hashes in a file of one's own."""

from __future__ import annotations

import hmac
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InputError, LlmopsError
from serving.gateway import KeyRing, create_key, list_keys, remove_service, revoke_key
from serving.gateway import keys as module
from tests.gateway.fakes import Gate, table


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_opens_its_service_and_nothing_else_does(file: Path) -> None:
    made, text = create_key(file, "tiny", "team-a")
    create_key(file, "other", "team-b")
    ring = KeyRing(file)
    assert ring.find(text) == ("tiny", made)
    for wrong in ("", "x", text[:-1], text + "=", text.upper(), f" {text}", made.sha256, made.id):
        assert ring.find(wrong) is None, wrong


def test_the_text_of_a_key_is_stored_nowhere(file: Path) -> None:
    _, text = create_key(file, "tiny", "team-a")
    secret = text[len("llmops-") + 16 + 1 :]
    assert len(secret) == 43
    for path in file.parent.iterdir():
        assert secret not in path.read_text(), path
        assert secret.encode().hex() not in path.read_text(), path


def test_every_file_is_the_owners_alone(file: Path) -> None:
    before = os.umask(0)
    try:
        create_key(file, "tiny", "team-a")
        revoke_key(file, "tiny", "team-a")
        create_key(file, "tiny", "team-b")
    finally:
        os.umask(before)
    modes = {path.name: mode(path) for path in file.parent.iterdir()}
    assert "keys.json" in modes
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_a_file_that_others_can_open_is_refused(file: Path, open_to: int) -> None:
    _, text = create_key(file, "tiny", "team-a")
    ring = KeyRing(file)
    file.chmod(open_to)
    for use in (
        lambda: KeyRing(file),
        ring.reload,
        lambda: list_keys(file, "tiny"),
        lambda: create_key(file, "tiny", "team-b"),
        lambda: revoke_key(file, "tiny", "team-a"),
    ):
        with pytest.raises(LlmopsError, match="can be read by others") as caught:
            use()
        assert caught.value.hint == f"chmod 600 {file}"
    assert ring.find(text) is not None, "a reload that fails must keep the keys that were good"


def test_a_link_is_refused(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    create_key(elsewhere, "tiny", "team-a")
    file.symlink_to(elsewhere)
    with pytest.raises(LlmopsError, match="not a file of keys"):
        KeyRing(file)


def status(mode: int, owner: int, group: int) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, owner, group, 1, 0, 0, 0))


ME, MINE, OTHERS = 1000, 2000, 3000


@pytest.mark.parametrize(
    ("mode", "owner", "group", "on_machine", "in_pod"),
    [
        (0o600, ME, MINE, True, True),
        (0o400, 0, 0, True, True),
        (0o440, 0, MINE, False, True),  # defaultMode 0440 or 0400 in a pod with an fsGroup
        (0o640, 0, MINE, False, True),
        (0o440, 0, OTHERS, False, False),
        (0o440, ME, MINE, False, False),
        (0o440, OTHERS, MINE, False, False),
        (0o400, OTHERS, MINE, False, False),
        (0o444, 0, MINE, False, False),
        (0o441, 0, MINE, False, False),
        (0o460, 0, MINE, False, False),
        (0o450, 0, MINE, False, False),
        (0o644, 0, MINE, False, False),
        (0o4440, 0, MINE, False, True),
    ],
)
def test_only_a_mounted_file_may_be_read_by_the_pods_own_group(
    mode: int, owner: int, group: int, on_machine: bool, in_pod: bool
) -> None:
    found, groups = status(mode, owner, group), frozenset((MINE,))
    for mounted, expected in ((False, on_machine), (True, in_pod)):
        assert module.private(found, mounted=mounted, user=ME, groups=groups) is expected


def mount(folder: Path, content: str, name: str = "..2026_11_28_19_00_00.1") -> Path:
    """A Secret's volume as a kubelet makes it: links to a folder that is put in place whole."""
    folder.mkdir(exist_ok=True)
    (folder / name).mkdir()
    real = folder / name / "keys.json"
    real.touch(mode=0o600)
    real.write_text(content)
    real.chmod(0o400)
    (folder / "..data_tmp").symlink_to(name)
    (folder / "..data_tmp").replace(folder / "..data")
    link = folder / "keys.json"
    if not link.is_symlink():
        link.symlink_to("..data/keys.json")
    return link


def test_a_mounted_file_is_reached_by_links_and_followed_when_it_changes(
    file: Path, tmp_path: Path
) -> None:
    made, text = create_key(file, "tiny", "team-a")
    mounted = mount(tmp_path / "mounted", file.read_text())
    with pytest.raises(LlmopsError, match="not a file of keys"):
        KeyRing(mounted)
    ring = KeyRing(mounted, mounted=True)
    assert ring.find(text) == ("tiny", made)
    assert ring.version == "1"
    revoke_key(file, "tiny", "team-a")
    mount(tmp_path / "mounted", file.read_text(), "..2026_11_28_19_05_00.2")
    assert KeyRing.version_of(mounted, mounted=True) == "2"
    assert ring.find(text) is not None
    ring.reload()
    assert (ring.find(text), ring.version) == (None, "2")


def test_a_mounted_file_that_others_can_read_is_refused_with_what_to_do(
    file: Path, tmp_path: Path
) -> None:
    create_key(file, "tiny", "team-a")
    mounted = mount(tmp_path / "mounted", file.read_text())
    mounted.chmod(0o444)
    with pytest.raises(LlmopsError, match="can be read by others") as caught:
        KeyRing(mounted, mounted=True)
    assert "fsGroup" in caught.value.hint


def test_a_mounted_file_of_root_is_read_by_its_group(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, text = create_key(file, "tiny", "team-a")
    mounted = mount(tmp_path / "mounted", file.read_text())
    # Only root could give the file away, and these tests run for anybody.
    monkeypatch.setattr(os, "fstat", lambda _: status(0o440, 0, os.getegid()))
    assert KeyRing(mounted, mounted=True).find(text) == ("tiny", made)
    with pytest.raises(LlmopsError, match="can be read by others"):
        KeyRing(file)


def test_a_link_left_where_a_writer_writes_is_not_followed(file: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    file.with_suffix(".new").symlink_to(victim)
    create_key(file, "tiny", "team-a")
    assert victim.read_text() == "mine"
    assert len(list_keys(file, "tiny")) == 1


def test_a_directory_or_a_pipe_is_refused_at_once(file: Path) -> None:
    file.mkdir(mode=0o700)
    with pytest.raises(LlmopsError, match="not a file of keys"):
        KeyRing(file)
    file.rmdir()
    os.mkfifo(file, 0o600)
    with pytest.raises(LlmopsError):
        KeyRing(file)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "5", "{}", '{"version": 1}', '{"version": "x", "services": {}}',
     '{"version": 1, "services": []}', '{"version": 1, "services": {"tiny": [{"id": 1}]}}',
     '{"version": 1, "services": {"tiny": 5}}'],
)  # fmt: skip
def test_a_damaged_file_is_told_as_that(file: Path, content: str) -> None:
    file.touch(mode=0o600)
    file.write_text(content)
    with pytest.raises(LlmopsError, match="damaged") as caught:
        KeyRing(file)
    assert caught.value.hint


def test_no_file_means_no_keys(file: Path) -> None:
    assert KeyRing(file).find("llmops-" + "0" * 16 + "-" + "x" * 43) is None
    assert list_keys(file, "tiny") == []
    assert KeyRing.version_of(file) == "0"


def test_a_name_is_used_once_until_it_is_revoked(file: Path) -> None:
    create_key(file, "tiny", "team-a")
    with pytest.raises(InputError, match="has a key named 'team-a'"):
        create_key(file, "tiny", "team-a")
    create_key(file, "other", "team-a")
    first = revoke_key(file, "tiny", "team-a")
    create_key(file, "tiny", "team-a")
    listed = list_keys(file, "tiny")
    assert [key.revoked_at is None for key in listed] == [False, True]
    assert listed[0] == first


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "é", "-a", ".a", "a" * 64, 'a"', "{a}"])
def test_a_name_that_no_metric_could_carry_is_refused(file: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a key's name"):
        create_key(file, "tiny", name)
    assert not file.exists()


def test_a_key_is_revoked_by_name_or_id(file: Path) -> None:
    made, text = create_key(file, "tiny", "team-a")
    _, other = create_key(file, "tiny", "team-b")
    ring = KeyRing(file)
    revoke_key(file, "tiny", made.id)
    ring.reload()
    assert ring.find(text) is None
    assert ring.find(other) is not None
    assert ring.ids() == {key.id for key in list_keys(file, "tiny") if key.revoked_at is None}
    with pytest.raises(InputError, match="no key 'team-a'") as caught:
        revoke_key(file, "tiny", "team-a")
    assert "team-b" in caught.value.hint


def test_a_service_takes_its_keys_along(file: Path) -> None:
    _, text = create_key(file, "tiny", "team-a")
    _, other = create_key(file, "other", "team-b")
    remove_service(file, "tiny")
    version = KeyRing.version_of(file)
    remove_service(file, "tiny")
    assert KeyRing.version_of(file) == version, "the second time changed something"
    ring = KeyRing(file)
    assert ring.find(text) is None
    assert ring.find(other) is not None


def test_the_version_changes_with_every_change(file: Path) -> None:
    seen = [KeyRing.version_of(file)]
    create_key(file, "tiny", "team-a")
    seen.append(KeyRing.version_of(file))
    revoke_key(file, "tiny", "team-a")
    seen.append(KeyRing.version_of(file))
    remove_service(file, "tiny")
    seen.append(KeyRing.version_of(file))
    assert len(set(seen)) == len(seen)


def test_one_comparison_in_constant_time_decides_known_or_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, text = create_key(file, "tiny", "team-a")
    ring = KeyRing(file)
    unknown = f"llmops-{'0' * 16}-{'x' * 43}"
    wrong = f"llmops-{made.id}-{'x' * 43}"
    compared: list[tuple[str, str]] = []
    say = False

    def compare(given: str, kept: str) -> bool:
        compared.append((given, kept))
        return say

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for candidate in (text, wrong, unknown, "nonsense", ""):
        compared.clear()
        assert ring.find(candidate) is None, "not the comparison decided"
        assert len(compared) == 1, candidate
        assert {len(side) for side in compared[0]} == {64}, "not hashes were compared"
    say = True
    assert ring.find(wrong) == ("tiny", made), "not the comparison decided"
    assert ring.find(unknown) is None, "a comparison alone made a key of nothing"


@given(st.text(max_size=80) | st.from_regex(r"llmops-[0-9a-f]{16}-[\w-]{43}", fullmatch=True))
def test_no_other_text_is_a_key(text: str) -> None:
    ring = KeyRing(Path(os.devnull).parent / "no-such-keys")
    assert ring.find(text) is None


WRITER = """
import sys
from pathlib import Path
from serving.gateway import create_key
for number in range(5):
    create_key(Path(sys.argv[1]), "tiny", f"{sys.argv[2]}-{number}")
"""


def test_writers_at_the_same_time_lose_no_key(file: Path) -> None:
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), name], cwd=root)
        for name in ("a", "b", "c")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    names = sorted(key.name for key in list_keys(file, "tiny"))
    assert names == sorted(f"{name}-{number}" for name in "abc" for number in range(5))
    assert json.loads(file.read_text())["version"] == 15


def test_a_writer_that_never_ends_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    with module._locked(file), pytest.raises(LlmopsError, match="held by another command"):
        create_key(file, "tiny", "team-a")


async def test_the_gateway_learns_of_keys_without_a_restart(gate: Gate) -> None:
    def tell(version: str) -> None:
        document: dict[str, Any] = {"generation": 2, "keys_version": version}
        services = {
            name: service.model_dump() for name, service in table(["tiny"]).services.items()
        }
        gate.app.reconfigure(type(table([])).parse(document | {"services": services}))

    made, text = create_key(gate.keys_file, "tiny", "late")
    assert (await gate.complete(key=text)).status == 401, "it knew before it was told"
    tell("2")
    assert (await gate.complete(key=text)).status == 200
    revoke_key(gate.keys_file, "tiny", made.id)
    tell("2")
    assert (await gate.complete(key=text)).status == 200, "it read the keys without need"
    tell("3")
    assert (await gate.complete(key=text)).status == 401
    assert (await gate.complete()).status == 200
    assert (await gate.complete(key=gate.other_key)).status == 404, "its service is gone"
