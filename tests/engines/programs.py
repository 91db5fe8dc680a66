"""The real programs that tests run: a Kubernetes control plane, its store and its fake kubelets.

`python -m tests.engines.programs` finds or builds them; with `--check` it only looks. The go.mod
of each folder declares the version, and its go.sum what it is built from. A program that is found
is used only when it says that version itself; built ones lie outside the checkout, so a clean
tree stays clean and a second checkout builds nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.engines.toolchain import NoToolchain, environment, find_go

HERE = Path(__file__).parent


class NotThere(Exception):
    """A program is not on this machine in the declared version. The text says what to do."""


@dataclass(frozen=True)
class Program:
    """One program: where its go.mod lies, and what is built from it."""

    name: str
    folder: str
    module: str
    """The module whose version is the program's."""
    package: str
    asks: tuple[str, ...] = ("--version",)
    """Arguments that make it print its version."""

    @property
    def source(self) -> Path:
        return HERE / self.folder

    @property
    def version(self) -> str:
        """As go.mod declares it, without the `v`."""
        return self._declared(rf"^\s*(?:require )?{re.escape(self.module)} v(\S+)")

    @property
    def go(self) -> str:
        """The lowest version of Go that go.mod takes."""
        return self._declared(r"^go (\S+)")

    def flags(self) -> list[str]:
        """What `go build` is told besides the package."""
        if self.folder != "kubernetes":
            return []
        major, minor, _ = self.version.split(".")
        facts = {"gitVersion": f"v{self.version}", "gitMajor": major, "gitMinor": minor}
        facts["gitTreeState"] = "clean"
        told = [f"-X k8s.io/component-base/version.{k}={v}" for k, v in facts.items()]
        return ["-pgo=off", "-ldflags", " ".join(["-s -w", *told])]

    def key(self) -> str:
        """Digest of all that decides what the program is."""
        parts = [(self.source / name).read_bytes() for name in ("go.mod", "go.sum")]
        parts.append("\0".join([self.package, *self.flags()]).encode())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

    def _declared(self, pattern: str) -> str:
        found = re.search(pattern, (self.source / "go.mod").read_text(), re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.source}/go.mod does not declare {pattern}")
        return found[1]


def _of_kubernetes(name: str, *asks: str) -> Program:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Program(name, "kubernetes", "k8s.io/kubernetes", package, asks or ("--version",))


_ETCD, _KWOK = "go.etcd.io/etcd/server/v3", "sigs.k8s.io/kwok"
PROGRAMS = {
    program.name: program
    for program in (
        Program("etcd", "etcd", _ETCD, _ETCD),
        Program("kwok", "kwok", _KWOK, f"{_KWOK}/cmd/kwok"),
        _of_kubernetes("kubectl", "version", "--client"),
        _of_kubernetes("kube-apiserver"),
        _of_kubernetes("kube-controller-manager"),
        _of_kubernetes("kube-scheduler"),
    )
}


def cache() -> Path:
    """Where built programs lie: never in the checkout."""
    told = os.environ.get("LLMOPS_ENGINES_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(told) if told else Path(home) / "llmops" / "engines"


def find(name: str) -> Path:
    """The program in its declared version. Builds nothing. Raises NotThere."""
    program = PROGRAMS[name]
    for path, _ in _candidates(program):
        if says_version(program, path):
            return path
    looked = ", ".join(where for _, where in _candidates(program))
    raise NotThere(f"no {name} {program.version} in {looked}: run `make engines`")


def _built(program: Program) -> Path:
    return cache() / f"{program.name}-{program.version}-{program.key()}" / program.name


def _candidates(program: Program) -> Iterator[tuple[Path, str]]:
    """Where to look, in order, and what to call that place."""
    if told := os.environ.get("LLMOPS_ENGINES"):
        yield Path(told) / program.name, "$LLMOPS_ENGINES"
    if on_path := shutil.which(program.name):
        yield Path(on_path), "PATH"
    yield _built(program), "the cache"


def says_version(program: Program, path: Path) -> bool:
    """Whether the file is that program in the declared version, by its own word."""
    try:
        asked = subprocess.run(
            [path, *program.asks], capture_output=True, text=True, timeout=60, env={"HOME": "/"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    wanted = rf"(?<![\d.])v?{re.escape(program.version)}(?![\w.-])"
    return asked.returncode == 0 and re.search(wanted, asked.stdout) is not None


def build(program: Program) -> Path:
    """Build it into the cache, whole or not at all; a second builder waits and finds it there.

    Raises NoToolchain, and NotThere when the compiler fails.
    """
    target = _built(program)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"):
        if not says_version(program, target):
            _compile(program, target)
    return target


def _compile(program: Program, target: Path) -> None:
    go = find_go(program.go, cache())
    partial = target.with_name(f".{program.name}.partial")
    command = [str(go), "build", "-o", str(partial), *program.flags(), program.package]
    done = subprocess.run(command, cwd=program.source, env=environment(), check=False)
    if done.returncode != 0:
        raise NotThere(f"{program.name} {program.version} was not built: see go's words above")
    if not says_version(program, partial):
        raise NotThere(f"{partial} was built, and is not {program.name} {program.version}")
    partial.replace(target)


def main(arguments: list[str]) -> int:
    """Print where each program is; unless told only to look, build what is missing."""
    began = time.monotonic()
    try:
        for program in PROGRAMS.values():
            _report(program, may_build="--check" not in arguments)
    except (NotThere, NoToolchain) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(PROGRAMS)} programs in {time.monotonic() - began:.1f} s")
    return 0


def _report(program: Program, *, may_build: bool) -> None:
    began = time.monotonic()
    try:
        path, how = find(program.name), "found"
    except NotThere:
        if not may_build:
            raise
        print(f"building {program.name} {program.version} ...", flush=True)
        path, how = build(program), "built"
    seconds = time.monotonic() - began
    print(f"{program.name:<24} {program.version:<8} {how} {path}  {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
