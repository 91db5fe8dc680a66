"""The pages that are made from the program itself: its overview and its reference.

`python -m cli.reference` writes them, `--check` compares. Nothing here is typed by hand, so what
is printed and what is documented cannot part.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HELP = ROOT / "cli" / "help.txt"
PAGE = ROOT / "docs" / "reference" / "cli.md"

_HEAD = """# Command line

Made from the program's own help by `python -m cli.reference`.

Data goes to standard output, everything else to standard error. `-o json` and `-o yaml` print
stable keys. Verbs that look never change anything; those that change show the change first and
ask, and without a terminal they need `--yes`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | something unexpected |
| 2 | wrong input; nothing was changed |
| 3 | refused by the plan, or another command is at work on the service |
| 4 | the target failed; the last good release still serves |
| 5 | the target failed; nothing serves |
| 130 | interrupted |
"""


def pages() -> dict[Path, str]:
    """Each made file and what should be in it."""
    from typer.main import get_command

    from cli.app import app

    root: Any = get_command(app)
    context = root.make_context("llmops", [], resilient_parsing=True, terminal_width=90)
    overview = root.get_help(context).rstrip() + "\n"
    parts = [_HEAD, "## llmops\n", f"```\n{overview}```\n"]
    for name, command in root.commands.items():
        parts += _section(command, context, f"llmops {name}")
        for inner, nested in getattr(command, "commands", {}).items():
            group = command.make_context(name, [], parent=context, resilient_parsing=True)
            parts += _section(nested, group, f"llmops {name} {inner}")
    return {HELP: overview, PAGE: "\n".join(parts)}


def _section(command: Any, parent: Any, title: str) -> list[str]:
    context = command.make_context(
        title.rsplit(" ", 1)[1], [], parent=parent, resilient_parsing=True, terminal_width=90
    )
    return [f"## {title}\n", f"```\n{command.get_help(context).rstrip()}\n```\n"]


def main() -> None:
    """Write the pages, or with `--check` compare them."""
    stale = []
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(stale)}; write them anew: python -m cli.reference")


if __name__ == "__main__":
    main()
