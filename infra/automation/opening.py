"""Engines and backends, with Pulumi imported only now: `llmops --help` must not need it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra.automation.port import Backend, StackEngine
from llmops.errors import InputError


def open_engine(
    project: str,
    stack: str,
    program: Callable[[], None],
    home: Path,
    environment: Mapping[str, str] | None = None,
) -> StackEngine:
    """The engine of one stack; its project's files lie below `home`.

    Raises:
        InputError: When Pulumi's package is not installed.
    """
    with _needs_pulumi():
        from infra.automation.engine import PulumiEngine, StackName
    name = StackName(project, stack)
    return PulumiEngine(name, program, folder_of(project, home), environment)


def open_backend(project: str, home: Path, environment: Mapping[str, str] | None = None) -> Backend:
    """Where a project's stacks are kept.

    Raises:
        InputError: When Pulumi's package is not installed.
    """
    with _needs_pulumi():
        from infra.automation.backend import PulumiBackend
    return PulumiBackend(project, folder_of(project, home), environment)


def folder_of(project: str, home: Path) -> Path:
    """Where a project's files lie on this machine."""
    return home / "stacks" / project


@contextlib.contextmanager
def _needs_pulumi() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"cloud machines need the package {error.name}, which is not installed",
            hint="pip install 'llmops[aws]'",
        ) from error


__all__ = ["open_backend", "open_engine"]
