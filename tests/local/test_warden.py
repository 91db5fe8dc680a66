"""Ray's own processes are looked after: what Ray does not start again begins anew."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from serving.runtime import anew
from serving.runtime.paths import RuntimePaths
from serving.runtime.warden import Warden
from serving.runtime.watchdog import STOPPED
from serving.serve_config import GATEWAY
from tests.e2e.stage import until

RAY = """\
cd "$0"
(exec ./gcs_server 60) &
(exec ./other 60) &
./raylet -c '(exec -a ray::ServeController ./other 60) & read -r' <&0 &
wait
"""


class Ray:
    """Processes that look like those of a host: programs of these names, which do nothing."""

    def __init__(self, folder: Path) -> None:
        for name, program in (("raylet", "bash"), ("gcs_server", "sleep"), ("other", "sleep")):
            (folder / name).symlink_to(f"/usr/bin/{program}")
        self._host = subprocess.Popen(["bash", "-c", RAY, str(folder)], stdin=subprocess.PIPE)
        until(lambda: len(self.processes()) == 4, 30)
        self.fallen: list[tuple[str, bool]] = []

    def processes(self) -> dict[str, psutil.Process]:
        host = psutil.Process(self._host.pid)
        found = {}
        for one in host.children(recursive=True):
            title = one.cmdline()[0]
            found[title if title.startswith("ray::") else Path(title).name] = one
        return found if set(found) <= NAMES else {}

    def warden(self, stayed: float = 0.0) -> Warden:
        return Warden(
            lambda *told: self.fallen.append(told), stayed=stayed, pid=self._host.pid, every=0.01
        )

    def end(self) -> None:
        for one in psutil.Process(self._host.pid).children(recursive=True):
            one.kill()
        self._host.kill()
        self._host.wait()


NAMES = {"raylet", "gcs_server", "other", "ray::ServeController"}


@pytest.fixture
def ray(tmp_path: Path) -> Iterator[Ray]:
    made = Ray(tmp_path)
    yield made
    made.end()


def test_what_is_left_of_a_ray_before_is_not_looked_after(ray: Ray) -> None:
    _strike(ray.processes()["gcs_server"], "SIGKILL")
    warden = ray.warden()
    assert looks(warden, 3) == [None] * 3


def looks(warden: Warden, times: int) -> list[str | None]:
    return [warden.look() for _ in range(times)]


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
@pytest.mark.parametrize(("fault", "said"), [("SIGKILL", "has ended"), ("SIGSTOP", "is stopped")])
async def test_a_ray_without_its_basis_begins_anew(
    ray: Ray, name: str, fault: str, said: str
) -> None:
    warden = ray.warden()
    assert warden.look() is None
    _strike(ray.processes()[name], fault)
    await asyncio.wait_for(warden.run(), 30)
    assert ray.fallen == [(f"Ray's {name} {said}", True)]


async def test_one_that_falls_again_so_soon_does_not(ray: Ray) -> None:
    warden = ray.warden(stayed=60.0)
    _strike(ray.processes()["raylet"], "SIGKILL")
    await asyncio.wait_for(warden.run(), 30)
    assert ray.fallen == [("Ray's raylet has ended", False)]


def test_a_controller_that_is_stopped_is_ended_for_ray_starts_another(ray: Ray) -> None:
    warden = ray.warden()
    controller = ray.processes()["ray::ServeController"]
    _strike(controller, "SIGSTOP")
    assert looks(warden, STOPPED - 1) == [None] * (STOPPED - 1)
    assert controller.status() == psutil.STATUS_STOPPED
    assert warden.look() is None
    until(lambda: _state(controller) in ("gone", psutil.STATUS_ZOMBIE), 30)


@pytest.mark.parametrize("name", ["other", "ray::ServeController"])
def test_what_ray_starts_again_or_does_without_is_let_alone(ray: Ray, name: str) -> None:
    warden = ray.warden()
    _strike(ray.processes()[name], "SIGKILL")
    assert looks(warden, 3 * STOPPED) == [None] * 3 * STOPPED


def _strike(process: psutil.Process, fault: str) -> None:
    process.send_signal(getattr(signal, fault))
    landed = ("gone", psutil.STATUS_ZOMBIE) if fault == "SIGKILL" else (psutil.STATUS_STOPPED,)
    until(lambda: _state(process) in landed, 30)


def _state(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return "gone"


CONFIG = {"applications": [{"name": GATEWAY, "args": {"metrics_port": 4711}}, {"name": "a-r1"}]}


def test_what_serve_was_to_run_is_remembered_until_the_runtime_is_ended(tmp_path: Path) -> None:
    paths = RuntimePaths(tmp_path)
    paths.sockets.mkdir(parents=True)
    try:
        assert anew.kept(paths) is None
        anew.keep(paths, CONFIG)
        assert anew.kept(paths) == CONFIG
        assert anew.metrics_port(CONFIG) == 4711
        assert paths.held.stat().st_mode & 0o777 == 0o600
    finally:
        paths.held.unlink(missing_ok=True)
        paths.sockets.rmdir()


ENDS = """\
import os, psutil, subprocess, sys
from pathlib import Path
from serving.runtime import anew, launcher
from serving.runtime.paths import RuntimePaths
paths = RuntimePaths(Path(sys.argv[2]))
paths.ray.mkdir(parents=True)
told = os.environ | {"RAY_AUTH_TOKEN_PATH": str(paths.token)}
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], env=told)
def instead(*same):
    print(*same, psutil.pid_exists(child.pid), paths.ray.exists(), flush=True)
    raise SystemExit
os.execv = lambda program, same: print(same[1:])
os._exit = instead
try:
    if sys.argv[1] == "begin":
        anew.clear(paths)
        anew.begin("it fell")
        anew.clear(paths)
        instead()
    anew.give_up(paths, "it fell")
finally:
    child.kill()
    paths.ray.exists() and paths.ray.rmdir()
    paths.sockets.rmdir()
"""


@pytest.mark.parametrize(
    ("way", "said"), [("begin", "{same}\nFalse False"), ("give_up", "1 False")]
)
def test_a_host_that_begins_anew_or_ends_keeps_nothing_of_the_ray_before(
    tmp_path: Path, way: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS, way, str(tmp_path), "127.0.0.1", "8000"],
        stdout=subprocess.PIPE, text=True, timeout=120, check=False,
    )  # fmt: skip
    same = ["-m", "serving.runtime.host", way, str(tmp_path), "127.0.0.1", "8000"]
    assert done.stdout.startswith(said.format(same=same)), done.stdout
