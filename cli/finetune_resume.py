"""`llmops finetune resume`: go on with a run that was stopped, killed or failed."""

from __future__ import annotations

from cli.finetune_options import Detach, RunName
from cli.options import Format, Output, Yes

NAME = "resume"


def command(
    name: RunName, detach: Detach = False, yes: Yes = False, output: Output = Format.TEXT
) -> None:
    """Go on with the newest run from what it has done: its spec, its data, its last checkpoint.

    What lies in the run's folder counts, and not a spec that was changed since: `run` begins a new
    one for that.
    """
    from cli.finetunes import finish
    from cli.output import ask, may_ask, tell
    from cli.places import home
    from llmops.errors import RefusedError
    from serving.finetune.runs import Claim, Named, find, view

    may_ask(yes)
    paths = find(home(), name)
    with Claim(Named(home(), name), "gone on with") as claim:
        seen = view(paths)
        at = f" from the checkpoint of step {seen.checkpoint}" if seen.checkpoint else ""
        tell(f"{name}: run {paths.number} is {seen.state}; it goes on{at}")
        if not seen.run.state.judged and not yes and not ask("Go on with it?"):
            raise RefusedError("nothing was changed")
        claim.reopen(paths)
        started = claim.launch(paths)
    finish(started, detach=detach, output=output)
