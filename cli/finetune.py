"""`llmops finetune`: from a data file to a better model behind the same endpoint.

The verbs are a file each, `cli/finetune_<verb>.py`; here they are only gathered.
"""

from __future__ import annotations

import typer

from cli import (
    finetune_data,
    finetune_distil,
    finetune_estimate,
    finetune_list,
    finetune_logs,
    finetune_promote,
    finetune_resume,
    finetune_run,
    finetune_status,
    finetune_stop,
)

group = typer.Typer(
    help="Train a model on your own data, judge it, and serve what is better.",
    no_args_is_help=True,
)
for verb in (
    finetune_data,
    finetune_run,
    finetune_status,
    finetune_logs,
    finetune_stop,
    finetune_resume,
    finetune_list,
    finetune_promote,
    finetune_distil,
    finetune_estimate,
):
    group.command(verb.NAME)(verb.command)
