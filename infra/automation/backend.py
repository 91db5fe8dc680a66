"""What the `pulumi` program tells beside any one stack: itself, and which stacks there are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.errors import CommandError

from infra.automation.command import Command, open_command
from infra.automation.model import StackState
from infra.automation.reading import sentences
from infra.automation.records import state_of
from infra.automation.secrecy import Cleaner
from llmops.errors import InputError


class PulumiBackend:
    """Implements `Backend` for one project."""

    def __init__(
        self, project: str, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._project, self._folder = project, folder
        self._environment = dict(os.environ if environment is None else environment)

    @cached_property
    def _command(self) -> Command:
        return open_command(self._environment)

    def version(self) -> str:
        """What the program says that it is."""
        return str(self._command.version)

    def url(self) -> str:
        """Where stacks are kept; without credentials that the address may carry."""
        found = self._json("whoami", "--json")
        return str(found.get("url") or "https://app.pulumi.com")

    def stacks(self) -> tuple[str, ...]:
        """Names of the project's stacks."""
        return tuple(
            str(one["name"]).rsplit("/", 1)[-1] for one in self._json("stack", "ls", "--json")
        )

    def state(self, stack: str) -> StackState:
        """What a stack's record holds, without any secret."""
        return state_of(self._json("stack", "export", "--stack", stack))

    def _json(self, *arguments: str) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = automation.ProjectSettings(name=self._project, runtime="python")
        workspace = automation.LocalWorkspace(
            work_dir=str(self._folder), project_settings=settings, pulumi_command=self._command
        )
        try:
            text = self._command.run(list(arguments), workspace.work_dir, {}).stdout
        except CommandError as error:
            clean = Cleaner(self._environment)
            said = "; ".join(clean(one) for one in sentences(str(error))) or "no reason was given"
            raise InputError(f"pulumi {arguments[0]}: {said}") from error
        return json.loads(text)


__all__ = ["PulumiBackend"]
