"""Stacks by Pulumi's Automation API: the only place that uses it.

The program runs inline, in this process: so a stack is made by the very plan that was shown and
agreed to, and an installed package needs no checkout. Project, stack and program are those of the
repository's `Pulumi.yaml`, so that `pulumi up` there works on the same stack.

It asks for no secret: configuration and outputs that are secret are left encrypted where they are.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.errors import (
    CommandError,
    ConcurrentUpdateError,
    StackNotFoundError,
)

from infra.automation import locks
from infra.automation.command import Command, open_command
from infra.automation.failures import StackFailed, failures
from infra.automation.model import Outputs, StackChange, StackEvent, StackFlow, StackState, Update
from infra.automation.reading import Reader, changes, sentences
from infra.automation.records import history_of, state_of
from infra.automation.secrecy import Cleaner
from infra.automation.watching import watched
from llmops.errors import LlmopsError

Program = Callable[[], None]
Operation = Callable[[automation.Stack, Callable[[Any], None]], Any]

SECRET = "[secret]"  # noqa: S105 - what the engine shows in place of one


@dataclass(frozen=True, slots=True)
class StackName:
    """Which stack: names as the backend knows them."""

    project: str
    stack: str


class PulumiEngine:
    """Implements `StackEngine` for one stack."""

    def __init__(
        self,
        name: StackName,
        program: Program,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            name: Which stack.
            program: Declares its resources.
            folder: Where the project's files are kept: which way the stack's secrets are sealed is
                written there, so it must outlive this process.
            environment: Of the `pulumi` program; this process's own by default.
        """
        self._name = name
        self._program = program
        self._folder = folder
        self._environment = dict(os.environ if environment is None else environment)
        self._environment["PULUMI_SKIP_UPDATE_CHECK"] = "true"
        self._clean = Cleaner(self._environment)
        self._command: Command | None = None
        self._refused: LlmopsError | None = None

    def preview(self) -> StackFlow[tuple[StackChange, ...]]:
        """What `up` would do. A stack that is not there yet is tried in a backend of its own that
        is thrown away, so that looking makes nothing."""
        if self.exists():
            return (yield from self._preview(self._workspace(), create=False))
        with tempfile.TemporaryDirectory(prefix="llmops-preview-") as scratch:
            backend = {
                "PULUMI_BACKEND_URL": Path(scratch).as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": "nothing is kept",
            }
            workspace = self._workspace(Path(scratch), backend)
            return (yield from self._preview(workspace, create=True))

    def _preview(
        self, workspace: automation.LocalWorkspace, *, create: bool
    ) -> StackFlow[tuple[StackChange, ...]]:
        seen: list[StackEvent] = []
        flow = self._run(workspace, _preview, create=create)
        try:
            for event in flow:
                seen.append(event)
                yield event
        finally:
            flow.close()
        return changes(seen)

    def up(self, message: str = "") -> StackFlow[Outputs]:
        """Make it as the program says."""

        def operation(stack: automation.Stack, tell: Callable[[Any], None]) -> Any:
            return stack.up(
                message=message, color="never", on_event=tell, show_secrets=False,
                suppress_outputs=True, suppress_progress=True,
            )  # fmt: skip

        yield from self._run(self._workspace(), operation, create=True)
        return self.outputs()

    def refresh(self, *, clear_pending: bool = False) -> StackFlow[None]:
        """Learn from the cloud what there is."""

        def operation(stack: automation.Stack, tell: Callable[[Any], None]) -> Any:
            return stack.refresh(
                color="never", on_event=tell, show_secrets=False, suppress_outputs=True,
                suppress_progress=True, clear_pending_creates=clear_pending, run_program=False,
            )  # fmt: skip

        yield from self._run(self._workspace(), operation, create=False)

    def destroy(self, *, keep_data: bool = True) -> StackFlow[None]:
        """Remove everything of it, then its record; nothing when there is none."""

        def operation(stack: automation.Stack, tell: Callable[[Any], None]) -> Any:
            return stack.destroy(
                color="never", on_event=tell, show_secrets=False, suppress_outputs=True,
                suppress_progress=True, run_program=False, exclude_protected=keep_data,
            )  # fmt: skip

        if not self.exists():
            return
        if not keep_data:
            self._ask("state", "unprotect", "--all", "--yes")
        yield from self._run(self._workspace(), operation, create=False)
        if not self.state().resources:
            self._ask("stack", "rm", "--yes")

    def cancel(self) -> None:
        """Drop the lock of an update whose holder is known to be dead."""
        self._ask("cancel", "--yes")

    def exists(self) -> bool:
        try:
            self._ask("stack", "--show-name")
        except StackNotFoundError:
            return False
        return True

    def outputs(self) -> Outputs:
        """What it says of itself; nothing while it is not there."""
        found = self._json("stack", "output", "--json") or {}
        return Outputs({name: value for name, value in found.items() if value != SECRET})

    def state(self) -> StackState:
        """What its record holds, without any secret."""
        return state_of(self._json("stack", "export") or {})

    def history(self) -> tuple[Update, ...]:
        """Its updates, the newest first."""
        return history_of(self._json("stack", "history", "--json") or [])

    def _json(self, *arguments: str) -> Any:
        """What a command prints about the stack; None where the stack is not there."""
        try:
            text = self._ask(*arguments).stdout
        except StackNotFoundError:
            return None
        return json.loads(text) if text.strip() else None

    def _ask(self, *arguments: str) -> automation.CommandResult:
        try:
            workspace = self._workspace()
            whole = [*arguments, "--stack", self._name.stack]
            return workspace.pulumi_command.run(whole, workspace.work_dir, workspace.env_vars)
        except StackNotFoundError:
            raise
        except CommandError as error:
            raise self._failed(error, Reader(self._clean)) from error

    def _run(
        self, workspace: automation.LocalWorkspace, operation: Operation, *, create: bool
    ) -> StackFlow[Any]:
        reader = Reader(self._clean)
        command = self._program_of_pulumi()
        command.again()

        def whole(tell: Callable[[Any], None]) -> Any:
            opened = automation.Stack.create_or_select if create else automation.Stack.select
            return operation(opened(self._name.stack, workspace), tell)

        try:
            return (yield from watched(whole, reader, command.interrupt))
        except (CommandError, RuntimeError) as error:
            raise self._failed(error, reader) from error

    def _failed(self, error: Exception, reader: Reader) -> LlmopsError:
        """What became of it, in our words; nothing of the command's own output but reasons."""
        if self._refused is not None:
            return self._refused
        text = str(error)
        if isinstance(error, ConcurrentUpdateError):
            return locks.Locked(self._name.stack, locks.holders(text))
        said = reader.errors or [("stack", reader.sentence(one)) for one in sentences(text)]
        return StackFailed(self._name.stack, failures(said))

    def _workspace(
        self, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> automation.LocalWorkspace:
        folder = folder or self._folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = automation.ProjectSettings(name=self._name.project, runtime="python")
        return automation.LocalWorkspace(
            work_dir=str(folder),
            program=self._guarded,
            env_vars=dict(environment or {}),
            project_settings=settings,
            pulumi_command=self._program_of_pulumi(),
        )

    def _guarded(self) -> None:
        """The program; an error that it ends in is kept, for the engine would tell a traceback."""
        try:
            self._program()
        except LlmopsError as error:
            self._refused = error
            raise

    def _program_of_pulumi(self) -> Command:
        if self._command is None:
            self._command = open_command(self._environment)
        return self._command


def _preview(stack: automation.Stack, tell: Callable[[Any], None]) -> Any:
    return stack.preview(color="never", on_event=tell, suppress_outputs=True, diff=False)


__all__ = ["PulumiEngine", "StackName"]
