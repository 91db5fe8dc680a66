"""What a fabric answers: asked on this host by the field's own programs, or kept from before.

The programs only look; nothing on the fabric changes. An answer is kept as it came, so that it can
be read again by later versions. Refuses a host that lacks the programs. What a program does not say
stays empty here, and is told as unknown by the rules.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from bare_metal.fabric import Dump
from llmops.errors import InputError, TargetError

DISCOVERY, ERRORS, MANAGERS = "ibnetdiscover.txt", "ibqueryerrors.txt", "managers.txt"

DISCOVERY_SECONDS, ASK_SECONDS = 300, 120
"""How long a program may take. A fabric of 4,096 adapters is discovered in about a second."""

HINT = "install infiniband-diags, or save the answers on a host that has it and name them: --dump"


def ask() -> Dump:
    """Ask the fabric that this host is on.

    Raises:
        InputError: When the programs are not here.
        TargetError: When one does not come to an end.
    """
    return Dump(
        _run("ibnetdiscover", seconds=DISCOVERY_SECONDS),
        _run("ibqueryerrors", seconds=DISCOVERY_SECONDS),
        _run("sminfo", errors=True) + _run("saquery", "SMIR", errors=True),
    )


def _run(program: str, *arguments: str, seconds: int = ASK_SECONDS, errors: bool = False) -> str:
    """What a program prints; its exit status says only that it found something, and is left out.

    Args:
        errors: Whether what it says on standard error belongs to the answer: `sminfo` tells there
            that no subnet manager answers.
    """
    command = [program, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, errors="replace",
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InputError(f"{program} is not on this host", hint=HINT) from error
    except PermissionError as error:
        raise InputError(f"{program} may not be run here", hint="run it as root") from error
    except subprocess.TimeoutExpired as error:
        raise TargetError(
            f"{program} did not end within {seconds} s",
            hint="the fabric drops its packets, or this host's adapter is down",
        ) from error
    return done.stdout + (done.stderr if errors else "")


def load(folder: Path) -> Dump:
    """Read answers that were kept.

    Raises:
        InputError: When they are not there, or cannot be read.
    """
    return Dump(_read(folder / DISCOVERY), _read(folder / ERRORS), _read(folder / MANAGERS))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        hint = f"--dump names a directory with {DISCOVERY}, {ERRORS} and {MANAGERS}, as --save does"
        raise InputError(f"{path}: expected a file, found none", hint=hint) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def store(dump: Dump, folder: Path) -> None:
    """Keep answers, for a later comparison.

    Raises:
        InputError: When they cannot be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((DISCOVERY, dump.discovery), (ERRORS, dump.errors)):
            (folder / name).write_text(text, encoding="utf-8")
        (folder / MANAGERS).write_text(dump.managers, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
