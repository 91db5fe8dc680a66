"""Where the program begins. The overview and the version are answered before anything is imported.

`cli/help.txt` is what the program itself prints as help, written by `python -m cli.reference` and
compared by `make check`: a user who asks for the list of verbs does not wait for libraries that
only the verbs need.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the program; ends the process with an exit code."""
    arguments = sys.argv[1:]
    completing = "_LLMOPS_COMPLETE" in os.environ
    if not completing and arguments in ([], ["--help"], ["-h"]):
        with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123 - pathlib takes longer to import than all of this
            sys.stdout.write(file.read())
        return
    if not completing and arguments == ["--version"]:
        from llmops import __version__

        sys.stdout.write(f"llmops {__version__}\n")
        return
    # Images of containers often set it. Passed on, each start of an engine would compile the
    # thousands of modules that it imports once more, for ten seconds of CPU in each process.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    from cli.app import run

    run(arguments)
