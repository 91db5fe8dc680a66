"""A real image: built by a real builder, pushed, looked at in its registry, and run.

The builder is buildah with its chroot isolation, which needs root and no daemon. What the image is
made of is told in `image_parts`: it has the real llmops, and no engine.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cli.app import run
from clusters.image import Labels, read_labels
from llmops import __version__
from tests.clusters.image.fake_registry import FakeRegistry, serve
from tests.kubernetes.image_parts import make_base, pack_needed

pytestmark = pytest.mark.timeout(400)

BASE = "localhost/base:1"
CANARY = "canary-of-the-mirror"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
AGAIN = """
import hashlib, json
from importlib.metadata import distribution
from clusters.image.wheel import installed_wheel
origin = json.loads(distribution("llmops").read_text("direct_url.json"))
print(origin["archive_info"]["hash"], hashlib.sha256(installed_wheel().content).hexdigest())
"""
"""What pip noted of the wheel that it installed, and the wheel that is made again of that."""


def _buildah(*arguments: str) -> str:
    done = subprocess.run(
        ["buildah", *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"buildah {arguments[0]}: {done.stderr[-2000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """A base image in a store of the test's own, which takes a GB and does not stay."""
    if shutil.which("buildah") is None:
        pytest.fail("there is no buildah: apt-get install --no-install-recommends buildah")
    folder = tmp_path_factory.mktemp("buildah")
    store = f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/g"\nrunroot = "{folder}/r"\n'
    (folder / "storage.conf").write_text(store)
    patch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
    patch.setenv("BUILDAH_ISOLATION", "chroot")
    make_base(folder / "base")
    container = _buildah("from", "scratch")
    _buildah("add", "--quiet", container, str(folder / "base"), "/")
    _buildah("commit", "--quiet", container, BASE)
    _buildah("rm", container)
    shutil.rmtree(folder / "base")
    yield BASE
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    with serve() as found:
        yield found


@pytest.fixture(scope="module")
def built(
    base: str, registry: FakeRegistry, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What `llmops image build --push -o json` prints."""
    folder = tmp_path_factory.mktemp("build")
    wheels = folder / "wheels"
    wheels.mkdir()
    (folder / "light.txt").write_text(pack_needed(wheels))
    (folder / "pip.conf").write_text(
        f"# {CANARY}\n[global]\nno-index = true\nfind-links = /wheels\n"
    )
    command = ["image", "build", "--builder", "buildah", "--base", base, "--python", PYTHON]
    command += ["--tag", f"{registry.host}/team/llmops:1", "--push", "-o", "json"]
    command += ["--lock", str(folder / "light.txt"), "--pip-config", str(folder / "pip.conf")]
    command += ["--builder-option", f"--volume={wheels}:/wheels:ro"]
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def container(built: dict[str, Any]) -> Iterator[str]:
    name = _buildah("from", built["image"])
    yield name
    _buildah("rm", name)


def test_the_pushed_image_says_what_it_was_built_from(built: dict[str, Any]) -> None:
    found = read_labels(built["reference"])
    assert isinstance(found, Labels), found
    assert found.written() == built["labels"]
    assert found.digest == built["digest"]
    assert (found.version, found.python, found.engine) == (__version__, PYTHON, "")


def test_an_image_without_an_engine_is_not_for_a_release(
    built: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(["image", "check", built["reference"]])
    assert end.value.code == 3
    assert "it has no engine" in capsys.readouterr().err


def test_it_runs_as_a_user_who_may_not_change_the_program(container: str) -> None:
    assert _buildah("run", container, "llmops", "--version") == f"llmops {__version__}"
    assert _buildah("run", container, "bash", "-lc", "llmops --version; id -u; id -un").split() == [
        *("llmops", __version__),
        *("1000", "llmops"),
    ]
    _buildah("run", container, "touch", "/var/lib/llmops/state", "/tmp/scratch")
    tried = "touch /opt/llmops/x /opt/llmops/bin/llmops /usr/local/bin/x; echo $?"
    assert _buildah("run", container, "sh", "-c", tried) == "1"


def test_the_image_can_make_the_very_wheel_that_it_was_made_with(container: str) -> None:
    noted, again = _buildah("run", container, "python", "-c", AGAIN).split()
    assert noted == f"sha256={again}"


def test_no_layer_keeps_the_mirror(built: dict[str, Any], registry: FakeRegistry) -> None:
    assert built["digest"] in registry.manifests
    contents = [
        gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob
        for blob in registry.blobs.values()
    ]
    assert any(b"opt/llmops/bin/llmops" in content for content in contents)
    assert not [len(content) for content in contents if CANARY.encode() in content]
