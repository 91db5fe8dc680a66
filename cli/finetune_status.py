"""`llmops finetune status`: how far a run is, or how it ended."""

from __future__ import annotations

from cli.finetune_options import Number, RunName
from cli.options import Format, Output

NAME = "status"


def command(name: RunName, run: Number = None, output: Output = Format.TEXT) -> None:
    """Show how far a run is, or how it ended.

    States: preparing, training, evaluating; then succeeded, refused (by its gate), stopped or
    failed; interrupted where nobody is at work on a run that has not ended (resume goes on).
    """
    from cli.finetunes import print_view
    from cli.output import print_data
    from cli.places import home
    from serving.finetune.runs import document, find, view

    seen = view(find(home(), name, run))
    if output is not Format.TEXT:
        print_data(document(seen), output)
        return
    print_view(seen)
