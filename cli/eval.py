"""`llmops eval`: measure a model on your own questions, and compare two that were."""

from __future__ import annotations

import typer

from cli import eval_compare, eval_harness, eval_run

group = typer.Typer(
    help="Measure a model on your own questions: a service, an endpoint, or weights.",
    no_args_is_help=True,
)
group.command(eval_run.NAME)(eval_run.command)
group.command(eval_compare.NAME)(eval_compare.command)
group.command(eval_harness.NAME)(eval_harness.command)
