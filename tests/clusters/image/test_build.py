"""Builders are told the same thing in their own words; what they do wrong is told on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clusters.image import Flavour, Order, build, find_builder, prepare
from clusters.image.builder import Builder, build_command, push_command
from clusters.image.workspace import PREFIX, workspace
from llmops import __version__
from llmops.errors import InputError, TargetError

ROOT = Path(__file__).parents[3]
DIGEST = "sha256:" + "d" * 64
ID = "sha256:" + "e" * 64
SCRIPT = f"""#!/bin/sh
[ "$1" = --version ] && exit 0
[ "$1" = version ] && exit ${{NO_DAEMON:-0}}
echo "$@" >>"$LOG"
for word in "$@"; do
    case "$word" in
        --iidfile=*) printf {ID} >"${{word#*=}}" ;;
        --digestfile=*) printf {DIGEST} >"${{word#*=}}" ;;
    esac
    context=$word
done
case "$1" in
    build) ls "$context" >>"$LOG"; echo "STEP 1"; echo "the end" >&2; exit ${{FAIL:-0}} ;;
    image) echo "other@{ID}"; echo "registry.example.com/team/llmops@{DIGEST}" ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the PATH for programs that build; `log` in it is what they were told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(folder / "log"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def _provide(programs: Path, *names: str) -> None:
    for name in ("buildah", "podman", "docker"):
        program = programs / name
        program.write_text(SCRIPT if name in names else "#!/bin/sh\nexit 127\n")
        program.chmod(0o755)


@pytest.mark.parametrize("name", ["buildah", "podman", "docker"])
def test_an_image_is_built_and_pushed_by_any_of_them(programs: Path, name: str) -> None:
    _provide(programs, name)
    said: list[str] = []
    order = Order(Flavour.CPU, tag="registry.example.com/team/llmops:1", push=True)
    found = build(order, find_builder(), said.append)
    assert (found.builder, found.id, found.digest) == (name, ID, DIGEST)
    assert found.reference == f"registry.example.com/team/llmops@{DIGEST}"
    assert found.labels.version == __version__
    assert said == ["STEP 1", "the end"]
    told = (programs / "log").read_text()
    assert f"Containerfile\nllmops-{__version__}-py3-none-any.whl\nrequirements.txt\n" in told
    assert not list(programs.parent.glob(f"{PREFIX}*"))


def test_an_image_that_was_not_pushed_has_no_digest(programs: Path) -> None:
    _provide(programs, "podman")
    found = build(Order(Flavour.GPU), find_builder(), lambda _: None)
    assert (found.tag, found.digest, found.reference) == (
        f"localhost/llmops:{__version__}-gpu",
        "",
        "",
    )


def test_a_docker_without_its_daemon_is_not_chosen(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _provide(programs, "docker")
    monkeypatch.setenv("NO_DAEMON", "1")
    with pytest.raises(InputError) as refusal:
        find_builder()
    assert "docker is there, and does not work" in refusal.value.message
    assert "apt-get install buildah" in refusal.value.hint


def test_a_builder_that_fails_is_quoted_and_leaves_nothing(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _provide(programs, "buildah")
    monkeypatch.setenv("FAIL", "7")
    with pytest.raises(TargetError) as failure:
        build(Order(Flavour.CPU), find_builder(), lambda _: None)
    assert "buildah build ended with 7: STEP 1 / the end" in failure.value.message
    assert not list(programs.parent.glob(f"{PREFIX}*"))


def test_a_mirror_reaches_the_builder_as_a_secret_only() -> None:
    for name in ("buildah", "podman", "docker"):
        command = build_command(
            Builder(name, name),
            Path("/x/context"),
            "localhost/llmops:1",
            pip_config=Path("/y/pip.conf"),
            options=("--volume=/w:/w:ro",),
        )
        assert "--secret=id=pip,src=/y/pip.conf" in command
        assert command[-2:] == ["--volume=/w:/w:ro", "/x/context"]
        assert ("--format=oci" in command) is (name != "docker")


@pytest.mark.parametrize(
    ("tag", "plain"),
    [("127.0.0.1:5000/llmops:1", True), ("registry.example.com/llmops:1", False)],
)
def test_only_a_registry_on_loopback_is_pushed_to_without_tls(tag: str, plain: bool) -> None:
    command = push_command(Builder("buildah", "buildah"), Path("/x/context"), tag)
    assert ("--tls-verify=false" in command) is plain


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (Order(Flavour.CPU, push=True), "--push needs to know where to"),
        (Order(Flavour.CPU, tag="team/llmops", push=True), "would be pushed to docker.io"),
        (Order(Flavour.CPU, tag=f"a.example.com/x@{DIGEST}"), "only the build decides"),
        (Order(Flavour.CPU, base="Not An Image"), "is not the name of an image"),
        (Order(Flavour.CPU, base="x\nRUN id"), "is not the name of an image"),
        (Order(Flavour.CPU, python="3.9"), "expected one of 3.11, 3.12, 3.13"),
    ],
)
def test_an_order_that_cannot_be_is_refused_before_anything_is_built(
    order: Order, says: str
) -> None:
    with pytest.raises(InputError) as refusal:
        prepare(order)
    assert says in refusal.value.message


def test_what_a_killed_build_left_is_removed_and_a_running_one_is_not(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    young = tmp_path / f"{PREFIX}young"
    young.mkdir()
    with workspace(tmp_path) as running:
        for path in (left, running):
            os.utime(path, (time.time() - 3600,) * 2)
        with workspace(tmp_path) as other:
            assert sorted(tmp_path.iterdir()) == sorted([running, other, young])
    assert list(tmp_path.iterdir()) == [young]


CODE = """
import sys
from cli.app import run
run(["image", "build", "--builder", "buildah"])
"""


def test_a_build_that_is_told_to_stop_ends_its_builder_and_leaves_nothing(programs: Path) -> None:
    _provide(programs)
    (programs / "buildah").write_text(
        f"#!/bin/sh\n[ $1 = --version ] && exit 0\necho $$ >{programs}/pid\nexec sleep 100\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (programs / "pid").is_file() or not (programs / "pid").read_text().strip():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((programs / "pid").read_text())
    assert list(programs.parent.glob(f"{PREFIX}*"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not list(programs.parent.glob(f"{PREFIX}*"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
