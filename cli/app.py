"""The verbs, gathered; and what becomes of an error: a message, a hint and an exit code.

No user sees a traceback. What nobody expected is written to a file of the user's own, and its name
is told.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import typer

from cli import (
    agent,
    backup,
    bench,
    catalog,
    chat,
    cluster,
    deploy,
    destroy,
    diff,
    doctor,
    explain,
    finetune,
    history,
    image,
    init,
    keys,
    logs,
    plan,
    policy,
    promote,
    recommend,
    render,
    restore,
    rollback,
    runtime,
    status,
    upgrade,
    validate,
)
from cli import eval as evaluation

if TYPE_CHECKING:
    from types import FrameType

    from llmops.errors import LlmopsError

INTERRUPTED = 130

app = typer.Typer(
    name="llmops",
    help="One file says what to serve and where; `llmops deploy` makes it so and proves it.",
    epilog="Begin with: llmops init NAME, then llmops deploy.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for verb in (init, validate, explain, plan, recommend, render, deploy, status, logs, chat, bench):
    app.command(verb.NAME)(verb.command)
for verb in (history, diff, promote, rollback, restore, upgrade, destroy, doctor, agent):
    app.command(verb.NAME)(verb.command)
app.add_typer(keys.group, name="keys")
app.add_typer(runtime.group, name="runtime")
app.add_typer(backup.group, name="backup")
app.add_typer(image.group, name="image")
app.add_typer(catalog.group, name="catalog")
app.add_typer(cluster.group, name="cluster")
app.add_typer(policy.group, name="policy")
app.add_typer(finetune.group, name="finetune")
app.add_typer(evaluation.group, name="eval")


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    if version:
        from llmops import __version__

        typer.echo(f"llmops {__version__}")
        raise typer.Exit


def run(arguments: list[str]) -> None:
    """Run a verb and end the process with its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(arguments, prog_name="llmops", standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last place where an error can be made readable
        sys.exit(_report(error))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first time: stop cleanly, and say so before it begins. The second time: at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop_at_once)
    os.write(2, b"interrupted: taking back what was half done (again: stop at once)\n")
    raise KeyboardInterrupt


def _stop_at_once(_number: int, _frame: FrameType | None) -> None:
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # shows the cursor that a spinner may have hidden
    os._exit(INTERRUPTED)


def _report(error: Exception) -> int:
    from cli.crash import scarce
    from llmops.errors import LlmopsError

    known = error if isinstance(error, LlmopsError) else scarce(error)
    return _tell_unexpected(error) if known is None else _tell(known)


def _tell(error: LlmopsError) -> int:
    from llmops.errors import SpecError

    if isinstance(error, SpecError):
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        count = len(error.problems)
        typer.echo(f"error: {count} problem{'s' if count > 1 else ''}; nothing was done", err=True)
        return error.exit_code
    typer.echo(f"error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)
    return error.exit_code


def _tell_unexpected(error: Exception) -> int:
    from cli.crash import keep

    typer.echo(f"error: unexpected {type(error).__name__}: {str(error)[:300]}", err=True)
    typer.echo(f"hint: {keep(error)}", err=True)
    return 1
