"""The fork server, with a module that takes no time to import, in a program of its own.

A program, because the server is one for each process, and `spawn` stays answered by it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, multiprocessing, os, sys
from serving.engines import warm

os.environ["WHEN"] = "server"
warm.start(["heavy", "there_is_no_such_module"])
warm.install()  # twice is once
os.environ["WHEN"] = "child"

context = multiprocessing.get_context("spawn")
parent, child = context.Pipe()
process = context.Process(target=__import__("work").tell, args=(child, 1), name="Core")
process.start()
child.close()
told = parent.recv()
process.join(20)

left = context.Process(target=__import__("work").leave)
left.start()
left.join(20)
segments = lambda: [name for name in os.listdir("/dev/shm") if name in open("left").read()]
before = segments()
warm.stop(20)
print(json.dumps({
    "segments": [before, segments()],
    "left_by": left.exitcode,
    "told": told,
    "code": process.exitcode,
    "main": os.getpid(),
    "fork_is_fork": multiprocessing.get_context("fork").get_start_method(),
    "default": multiprocessing.get_context().get_start_method(),
    "has_file": hasattr(sys.modules["__main__"], "__file__"),
}))
"""

WORK = """
import multiprocessing, os, signal, sys
from multiprocessing.shared_memory import SharedMemory

def leave():
    with open("left", "w") as file:
        file.write(SharedMemory(create=True, size=64).name)
    os.kill(os.getpid(), signal.SIGKILL)

def tell(pipe, depth):
    told = {
        "pid": os.getpid(),
        "server": os.getppid(),
        "when": os.environ["WHEN"],
        "imported_by": sys.modules["heavy"].PID if "heavy" in sys.modules else None,
        "name": multiprocessing.current_process().name,
        "main": getattr(sys.modules["__main__"], "MARK", "none"),
    }
    if depth:
        os.environ["WHEN"] = "grandchild"
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        worker = context.Process(target=tell, args=(theirs, depth - 1), name="Worker")
        worker.start()
        theirs.close()
        told["worker"] = mine.recv()
        worker.join(20)
    pipe.send(told)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("warm")
    (folder / "heavy.py").write_text("import os\nPID = os.getpid()\n")
    (folder / "work.py").write_text(textwrap.dedent(WORK))
    main = folder / "main.py"
    main.write_text('MARK = "ran again"\n' + textwrap.dedent(PROGRAM))
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(main)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={"PYTHONPATH": f"{root}:{folder}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_child_comes_from_the_server_that_has_imported(told: dict[str, Any]) -> None:
    child = told["told"]
    assert told["code"] == 0
    assert child["server"] != told["main"]
    assert child["imported_by"] == child["server"], "the child imported the module itself"
    assert child["name"] == "Core"


def test_a_child_has_its_parents_environment_and_not_the_servers(told: dict[str, Any]) -> None:
    assert told["told"]["when"] == "child"
    assert told["told"]["worker"]["when"] == "grandchild"


def test_a_childs_child_comes_from_the_same_server(told: dict[str, Any]) -> None:
    child, worker = told["told"], told["told"]["worker"]
    assert worker["server"] == child["server"], "a second, cold server was started"
    assert worker["imported_by"] == child["server"]
    assert worker["name"] == "Worker"


def test_the_main_program_is_not_run_again(told: dict[str, Any]) -> None:
    assert told["told"]["main"] == "none"
    assert told["has_file"], "the main module was not put back as it was"


def test_other_start_methods_are_what_they_were(told: dict[str, Any]) -> None:
    assert told["fork_is_fork"] == "fork"
    assert told["default"] != "forkserver"


def test_shared_memory_of_a_process_that_was_killed_goes_with_the_server(
    told: dict[str, Any],
) -> None:
    before, after = told["segments"]
    assert (told["left_by"], len(before)) == (-9, 1), "nothing was left that could go"
    assert after == []
