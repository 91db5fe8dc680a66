"""The programs that build images, and what each is told.

buildah, podman and docker take nearly the same words; where they differ is here and nowhere else.
`build_command` and `push_command` are pure. None is given a credential: each has its own store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clusters.image.reference import parse_reference
from llmops.errors import InputError, TargetError

BUILDERS = ("buildah", "podman", "docker")
"""In the order of preference: the first two need no daemon."""

_PROBE = {
    "buildah": ("--version",),
    "podman": ("--version",),
    # Its client is often there without the daemon that would do the work.
    "docker": ("version", "--format", "{{.Server.Version}}"),
}
_ENVIRONMENT = {"DOCKER_BUILDKIT": "1"}
"""Without it, an older docker does not know `RUN --mount`."""
_PROBE_SECONDS = 20
_END_SECONDS = 10
_TOLD = 3
"""How many of a builder's last lines a failure repeats."""


@dataclass(frozen=True, slots=True)
class Builder:
    """A builder that is there and answers."""

    name: str
    program: str


def find_builder(wanted: str = "auto") -> Builder:
    """The builder named, or the first one that works.

    Raises:
        InputError: When it is not there; the message says what was tried.
    """
    names = BUILDERS if wanted == "auto" else (wanted,)
    reasons = []
    for name in names:
        program = shutil.which(name)
        why = "is not on the PATH" if program is None else _unfit(program, _PROBE[name])
        if program is not None and not why:
            return Builder(name, program)
        reasons.append(f"{name} {why}")
    raise InputError(
        f"no builder of images was found: {'; '.join(reasons)}",
        hint="install buildah (Debian and Ubuntu: apt-get install buildah) or podman, or start"
        " docker's daemon",
    )


def _unfit(program: str, probe: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            [program, *probe], check=False, capture_output=True, timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer ({type(error).__name__})"
    return "" if done.returncode == 0 else "is there, and does not work (has it a daemon?)"


def build_command(
    builder: Builder,
    context: Path,
    tag: str,
    *,
    pip_config: Path | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """What builds the image; its id is left in the file `image-id` beside the context.

    Args:
        builder: Who builds.
        context: Directory with the Containerfile and what it copies.
        tag: Name to give the image.
        pip_config: A pip.conf that is there during the build only, and kept in no layer.
        options: The builder's own, as the user gave them.
    """
    secret = [] if pip_config is None else [f"--secret=id=pip,src={pip_config}"]
    formatted = [] if builder.name == "docker" else ["--format=oci"]
    return [
        builder.program,
        "build",
        f"--file={context / 'Containerfile'}",
        f"--tag={tag}",
        f"--iidfile={id_file(context)}",
        *formatted,
        *secret,
        *options,
        str(context),
    ]


def push_command(builder: Builder, context: Path, tag: str) -> list[str]:
    """What pushes the image; buildah and podman leave its digest in a file.

    Docker asks a registry on loopback without TLS by itself, and the others when they are told.
    """
    if builder.name == "docker":
        return [builder.program, "push", tag]
    plain = ["--tls-verify=false"] if parse_reference(tag).local else []
    return [builder.program, "push", f"--digestfile={digest_file(context)}", *plain, tag]


def id_file(context: Path) -> Path:
    """Where the builder leaves the image's id: beside the context, not in it."""
    return context.parent / "image-id"


def digest_file(context: Path) -> Path:
    """Where the builder leaves the digest of what it has pushed."""
    return context.parent / "digest"


def pushed_digest(builder: Builder, context: Path, tag: str) -> str:
    """The registry's digest of an image just pushed; empty when the builder does not tell."""
    if builder.name != "docker":
        return digest_file(context).read_text().strip()
    question = ["image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag]
    done = subprocess.run(
        [builder.program, *question],
        check=False,
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
    )
    name = tag.rpartition(":")[0]
    found = [line.partition("@")[2] for line in done.stdout.split() if line.startswith(f"{name}@")]
    return found[0] if found else ""


def run(command: Sequence[str], on_line: Callable[[str], None]) -> None:
    """Run a builder, and hand on what it says, line by line.

    Raises:
        TargetError: When it fails, with its last lines.
    """
    last: list[str] = []
    with _ended(subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | _ENVIRONMENT,
        text=True,
        errors="replace",
    )) as process:  # fmt: skip
        for line in _lines(process):
            on_line(line)
            last = [*last[1 - _TOLD :], line] if line.strip() else last
        code = process.wait()
    if code != 0:
        raise TargetError(
            f"{Path(command[0]).name} {command[1]} ended with {code}: {' / '.join(last)}",
            hint="all that it said is above",
        )


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    for line in process.stdout:
        yield line.rstrip("\n")


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which does not outlive this block, whatever ends it."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
