"""`llmops finetune stop`: stop a run, with a checkpoint to go on from."""

from __future__ import annotations

from cli.finetune_options import Number, RunName
from cli.options import Format, Output, Yes

NAME = "stop"


def command(
    name: RunName, run: Number = None, yes: Yes = False, output: Output = Format.TEXT
) -> None:
    """Stop a run, with a checkpoint that `resume` goes on from.

    A run that has ended stays as it is. While it stops, an interrupt does not take the wish back.
    """
    from cli.finetunes import print_end
    from cli.output import Drawer, ask, draw, may_ask, print_data, tell
    from cli.places import home
    from llmops.errors import RefusedError
    from serving.finetune.runs import document, find, stop, view

    may_ask(yes)
    paths = find(home(), name, run)
    seen = view(paths)
    if not seen.run.state.ended:
        tell(f"{name} run {paths.number} is {seen.state}")
        if not yes and not ask("Stop it?"):
            raise RefusedError("nothing was changed")
        draw(stop(paths), Drawer())
        seen = view(paths)
    if output is not Format.TEXT:
        print_data(document(seen), output)
        return
    print_end(seen)
    if seen.run.state.value == "stopped":
        step = f" from step {seen.checkpoint}" if seen.checkpoint else ""
        tell(f"to go on{step}: llmops finetune resume {name}")
