"""llmops' own wheel, made again: pip installs it, and it is what the checkout would build."""

from __future__ import annotations

import ensurepip
import io
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from clusters.image.wheel import Wheel, installed_wheel, wheel_of
from llmops import __version__
from llmops.errors import InputError

ROOT = Path(__file__).parents[3]
INFO = f"llmops-{__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    return installed_wheel()


@pytest.fixture(scope="module")
def site(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed it: pip's own wheel, which Python carries, without any index."""
    [pip] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    folder = tmp_path_factory.mktemp("wheel")
    (folder / wheel.name).write_bytes(wheel.content)
    command = [sys.executable, f"{pip}/pip", "install", "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run(
        [*command, "--target", str(folder / "site"), str(folder / wheel.name)],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


def _installed(site: Path) -> Distribution:
    return PathDistribution(site / INFO)


def _names(content: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def test_it_is_what_the_build_backend_makes(wheel: Wheel, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [built] = tmp_path.glob("*.whl")
    assert wheel.name == built.name
    assert _names(wheel.content) == _names(built.read_bytes())


def test_two_wheels_of_one_tree_are_the_same_bytes(wheel: Wheel) -> None:
    assert installed_wheel().content == wheel.content


def test_what_pip_has_installed_gives_the_same_wheel_again(wheel: Wheel, site: Path) -> None:
    assert wheel_of(_installed(site)).content == wheel.content


def test_what_pip_has_installed_runs(site: Path) -> None:
    code = "import sys; sys.argv[1:] = ['--version']; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={"PYTHONPATH": str(site)},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"llmops {__version__}\n", done.stderr


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_an_installation_that_was_edited_is_refused(site: Path, change: str) -> None:
    file = site / "llmops" / "units.py"
    content = file.read_bytes()
    try:
        if change == "edit":
            file.write_bytes(content + b"\n")
        else:
            file.unlink()
        with pytest.raises(InputError) as refusal:
            wheel_of(_installed(site))
    finally:
        file.write_bytes(content)
    assert "llmops/units.py" in refusal.value.message
    assert "reinstall" in refusal.value.hint


def test_the_commit_of_a_checkout_is_told(wheel: Wheel) -> None:
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert wheel.source in (head, f"{head}-dirty")


def test_the_commit_of_an_installation_from_a_repository_is_told(site: Path) -> None:
    origin = site / INFO / "direct_url.json"
    before = origin.read_text()
    origin.write_text('{"url": "https://example.com/x", "vcs_info": {"commit_id": "abc"}}')
    try:
        assert wheel_of(_installed(site)).source == "abc"
    finally:
        origin.write_text(before)


def test_an_installation_without_a_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / INFO).mkdir()
    (tmp_path / INFO / "METADATA").write_text(f"Name: llmops\nVersion: {__version__}\n")
    with pytest.raises(InputError, match="no RECORD"):
        wheel_of(_installed(tmp_path))
