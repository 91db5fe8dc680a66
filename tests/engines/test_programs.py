"""Where the test programs come from: the right version only, built whole or not at all.

The `go` here is a script that plays the compiler: it writes a program that says a version.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines import programs, toolchain
from tests.engines.programs import PROGRAMS, NotThere
from tests.engines.toolchain import find_go

ETCD = PROGRAMS["etcd"]
GO = """#!/bin/sh
if [ "$1" = env ]; then echo go{version}; exit; fi
[ "$GOFLAGS" = "-trimpath -p=2 -mod=readonly" ] || exit 9
echo "$*" >> "{log}"
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2"
chmod +x "$2"
sleep {sleep}
echo 'echo etcd Version: {builds}' >> "$2"
exit {code}
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def saying(version: str) -> str:
    """A program that says it is that version."""
    return f"#!/bin/sh\necho etcd Version: {version}\n"


@dataclass(frozen=True)
class Machine:
    """The places that are looked at, all empty at first."""

    engines: Path
    path: Path
    cache: Path
    log: Path

    def go(
        self, *, version: str = "1.99", builds: str = ETCD.version, code: int = 0, sleep: float = 0
    ) -> None:
        text = GO.format(version=version, log=self.log, builds=builds, code=code, sleep=sleep)
        script(self.path / "go", text)

    @property
    def compiled(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(*(tmp_path / name for name in ("engines", "path", "cache", "log")))
    monkeypatch.setenv("LLMOPS_ENGINES", str(made.engines))
    monkeypatch.setenv("LLMOPS_ENGINES_CACHE", str(made.cache))
    monkeypatch.setenv("PATH", f"{made.path}:/usr/bin:/bin")
    return made


def test_the_folder_that_was_named_is_looked_at_before_the_path(machine: Machine) -> None:
    script(machine.path / "etcd", saying(ETCD.version))
    assert programs.find("etcd") == machine.path / "etcd"
    script(machine.engines / "etcd", saying(ETCD.version))
    assert programs.find("etcd") == machine.engines / "etcd"


@pytest.mark.parametrize("other", ["3.6.13", "3.6.140", "13.6.14", "3.6.14-rc.1", ""])
def test_another_version_is_passed_over(machine: Machine, other: str) -> None:
    script(machine.engines / "etcd", saying(other))
    with pytest.raises(NotThere, match=r"no etcd 3\.6\.14 in .*run `make engines`"):
        programs.find("etcd")


def test_a_build_is_found_again_and_compiles_once(machine: Machine) -> None:
    machine.go()
    built = programs.build(ETCD)
    assert machine.cache in built.parents
    assert programs.find("etcd") == built == programs.build(ETCD)
    assert machine.compiled == 1


def test_a_build_changes_no_declaration(machine: Machine) -> None:
    before = [path.read_bytes() for path in sorted(ETCD.source.iterdir())]
    machine.go()
    programs.build(ETCD)
    assert [path.read_bytes() for path in sorted(ETCD.source.iterdir())] == before


@pytest.mark.parametrize(("code", "builds"), [(1, ETCD.version), (0, "0.0.0")])
def test_a_build_that_failed_is_not_found(machine: Machine, code: int, builds: str) -> None:
    machine.go(code=code, builds=builds)
    with pytest.raises(NotThere):
        programs.build(ETCD)
    with pytest.raises(NotThere):
        programs.find("etcd")


BUILD = "from tests.engines import programs; print(programs.build(programs.PROGRAMS['etcd']))"


def builder() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BUILD], stdout=subprocess.PIPE, text=True)


def test_two_builders_at_a_time_compile_once(machine: Machine) -> None:
    machine.go(sleep=0.5)
    both = [builder() for _ in range(2)]
    said = {process.communicate(timeout=30)[0].strip() for process in both}
    assert said == {str(programs.find("etcd"))}
    assert machine.compiled == 1


def test_a_builder_killed_half_way_leaves_nothing_wrong(machine: Machine) -> None:
    machine.go(sleep=1)
    with builder() as killed:
        until = time.monotonic() + 30
        while not machine.compiled and time.monotonic() < until:
            time.sleep(0.01)
        killed.kill()
    assert machine.compiled == 1
    with pytest.raises(NotThere):
        programs.find("etcd")
    machine.go()
    assert programs.build(ETCD) == programs.find("etcd")


def test_only_looking_builds_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.go()
    assert programs.main(["--check"]) == 1
    assert "make engines" in capsys.readouterr().err
    assert machine.compiled == 0


def test_a_go_that_is_new_enough_is_taken_from_the_path(machine: Machine) -> None:
    machine.go(version=ETCD.go)
    assert find_go(ETCD.go, machine.cache) == machine.path / "go"


def test_an_old_go_is_passed_over_for_the_one_in_the_cache(machine: Machine) -> None:
    machine.go(version="1.26.99")
    kept = script(toolchain.packaged(machine.cache), "#!/bin/sh\necho go1.27.0\n")
    assert find_go("1.27.0", machine.cache) == kept


def test_all_programs_of_kubernetes_are_of_one_version() -> None:
    assert {p.version for p in PROGRAMS.values() if p.folder == "kubernetes"} == {"1.36.4"}
    assert (ETCD.version, PROGRAMS["kwok"].version) == ("3.6.14", "0.8.0")
