"""The `pulumi` program as this process runs it: in a process group of its own, and stoppable once.

At a terminal an interrupt reaches every process of the group, and `pulumi` takes a second one as an
order to drop everything. So it gets one, from us, and ends in order.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pulumi.automation import CommandResult, OnOutput, PulumiCommand
from pulumi.automation.errors import InvalidVersionError, create_command_error

from infra.automation.mending import mend, torn
from llmops.errors import InputError, TargetError


class Command(PulumiCommand):
    """Runs `pulumi`, one command at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._starting = threading.Lock()
        self._running: subprocess.Popen[str] | None = None
        self._stopped = False
        super().__init__()

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        """Run a command to its end; once more where it failed at what a killed one has torn.

        Raises:
            CommandError: When it ends with another code than 0.
            InterruptedError: When it was interrupted before it began.
        """
        result = self._ran(args, cwd, additional_env, on_output, on_error)
        environment = self._environment | dict(additional_env)
        if result.code != 0 and torn(result.stderr) and mend(environment, Path(cwd)):
            result = self._ran(args, cwd, additional_env, on_output, on_error)
        if result.code != 0:
            raise create_command_error(result)
        return result

    def _ran(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None,
        on_error: OnOutput | None,
    ) -> CommandResult:
        with self._begun(args, cwd, additional_env) as process:
            try:
                return _finish(process, on_output, on_error)
            finally:
                self._running = None

    def _begun(
        self, arguments: list[str], cwd: str, more: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        # An operation is several commands: an interrupt between two of them ends it as well.
        with self._starting:
            if self._stopped:
                raise InterruptedError(f"interrupted before pulumi {arguments[0]} began")
            self._running = subprocess.Popen(
                [self.command, "--non-interactive", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=self._environment | dict(more) | {"PULUMI_AUTOMATION_API": "true"},
                encoding="utf-8",
                start_new_session=True,
            )
            return self._running

    def interrupt(self) -> None:
        """Have the command that runs end in order, and begin no other until `again`."""
        with self._starting:
            self._stopped = True
            process = self._running
        if process is not None:
            process.send_signal(signal.SIGINT)

    def again(self) -> None:
        """Run commands once more, after an interrupt."""
        self._stopped = False


def open_command(environment: Mapping[str, str]) -> Command:
    """The `pulumi` program on the path.

    Raises:
        InputError: When it is not there, or too old for this SDK.
    """
    try:
        return Command(environment)
    except FileNotFoundError as error:
        raise InputError(
            "there is no `pulumi` program on the path",
            hint="install it: https://www.pulumi.com/docs/install/",
        ) from error
    except InvalidVersionError as error:
        raise InputError(
            f"the `pulumi` program does not fit its Python package: {error}",
            hint="install a newer one: https://www.pulumi.com/docs/install/",
        ) from error
    except OSError as error:
        raise TargetError(f"the `pulumi` program cannot be run: {error}") from error


def _finish(
    process: subprocess.Popen[str], on_output: OnOutput | None, on_error: OnOutput | None
) -> CommandResult:
    assert process.stdout is not None  # noqa: S101 - both are pipes, as asked for
    assert process.stderr is not None  # noqa: S101
    errors: list[str] = []
    aside = threading.Thread(target=_collect, args=(process.stderr, on_error, errors), daemon=True)
    aside.start()
    output: list[str] = []
    _collect(process.stdout, on_output, output)
    aside.join()
    return CommandResult("\n".join(output), "\n".join(errors), process.wait())


def _collect(stream: IO[str], tell: OnOutput | None, lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip())
        if tell is not None:
            tell(lines[-1])


__all__ = ["Command", "open_command"]
