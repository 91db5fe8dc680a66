"""A real small disk: full, out of inodes, read-only. Needs a mount namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.models.making import model_files
from tests.support.hub import HubServer

SOURCE = "hf://acme/tiny"

PROGRAM = textwrap.dedent(
    """
    import errno, subprocess, sys
    from pathlib import Path
    from llmops.errors import ModelError
    from serving.models import Models

    mount, source, revision, options, fault = sys.argv[1:6]
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mount], check=True)
    root = Path(mount, "cache")
    filler = Path(mount, "filler")

    def fill():
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1024))
            except OSError as error:
                assert error.errno == errno.ENOSPC

    def ensure():
        return list(Models(root).ensure(source, revision))

    try:
        flow = Models(root).ensure(source, revision)
        if fault == "ro":
            subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        for event in flow:
            if fault == "fill" and not filler.exists():
                fill()
                print("filled", flush=True)
        print("had it all the same")
    except ModelError as error:
        print(f"{error.message}; hint: {error.hint}")
    print("left:", [str(p.relative_to(root)) for p in root.rglob("*") if ".part" in str(p)])
    print("visible:", [str(p) for p in root.glob("*/*") if p.is_dir() and p.suffix != ".part"])
    if fault == "fill":
        filler.unlink()
        ensure()
        print("again:", Models(root).verified(source, revision).name)
    """
)
"""`MOUNT SOURCE REVISION OPTIONS FAULT`, inside a mount namespace."""

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture(scope="module")
def _namespace(tmp_path_factory: pytest.TempPathFactory) -> None:
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path_factory.mktemp("probe"))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("needs the program unshare (util-linux)")
    if done.returncode != 0:
        pytest.skip(f"needs a user and mount namespace: {done.stderr.strip()}")


def run(hub: HubServer, mount: Path, options: str, fault: str = "") -> str:
    """What the program printed."""
    commit = hub.publish("acme/tiny", model_files())
    mount.mkdir()
    command = [
        *NAMESPACE, sys.executable, "-c", PROGRAM, str(mount), SOURCE, commit, options, fault,
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        env=os.environ | hub.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            printed = []
            for line in process.stdout:
                printed.append(line)
                if "filled" in line:
                    hub.release()
        finally:
            process.kill()
    return "".join(printed)


@pytest.mark.usefixtures("_namespace")
def test_a_model_that_does_not_fit_is_refused_before_a_byte_of_it_is_fetched(
    hub: HubServer, tmp_path: Path
) -> None:
    printed = run(hub, tmp_path / "disk", "size=128k")
    assert "the model needs" in printed
    assert "hint: free some space, or move LLMOPS_HOME" in printed
    assert "visible: []" in printed
    assert not [a for a in hub.asked if a.origin == "storage"]


@pytest.mark.usefixtures("_namespace")
def test_a_disk_that_fills_up_leaves_nothing_and_the_next_run_has_it(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.hold(after=60_000)
    printed = run(hub, tmp_path / "disk", "size=384k", "fill")
    assert f"the disk is full: {tmp_path / 'disk' / 'cache'}" in printed
    assert "hint: free some space" in printed
    assert "left: []" in printed
    assert "visible: []" in printed
    assert "again: files" in printed, printed


@pytest.mark.usefixtures("_namespace")
@pytest.mark.parametrize("inodes", [3, 7, 11])
def test_a_disk_out_of_inodes_leaves_nothing(hub: HubServer, tmp_path: Path, inodes: int) -> None:
    printed = run(hub, tmp_path / "disk", f"size=1m,nr_inodes={inodes}")
    assert "the disk is full" in printed
    assert "left: []" in printed
    assert "visible: []" in printed


@pytest.mark.usefixtures("_namespace")
def test_a_disk_that_cannot_be_written_is_told(hub: HubServer, tmp_path: Path) -> None:
    printed = run(hub, tmp_path / "disk", "size=1m", "ro")
    assert f"could not be had: Read-only file system: {tmp_path}" in printed
    assert "visible: []" in printed
