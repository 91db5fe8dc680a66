"""`llmops chat`: talk to a service, as its clients would."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Context, Namespace, Service

if TYPE_CHECKING:
    from serving.client import Chat

NAME = "chat"

UNPRINTABLE = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
"""What a terminal would obey instead of show: a model's words must not move its cursor."""


def command(
    name: Service,
    prompt: Annotated[
        str | None,
        typer.Argument(help="What to say; without it, a conversation.", metavar="[PROMPT]"),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="A system message.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Longest answer in tokens.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0.0, max=2.0, help="0 is the surest.")
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Ask a service and stream its answer. An empty line or Ctrl-D ends a conversation."""
    from cli.places import service_target
    from serving.client import Chat

    endpoint = service_target(name, context, namespace).endpoint(name)
    chat = Chat(endpoint, system=system or "", max_tokens=max_tokens, temperature=temperature)
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
    if prompt is not None:
        _turn(chat, prompt)
        return
    typer.echo(f"{name} listens. An empty line ends.", err=True)
    while said := _read():
        _turn(chat, said)


def _read() -> str:
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() its line editing
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _turn(chat: Chat, said: str) -> None:
    """One question and its answer, printed as it comes."""
    for piece in chat.say(said):
        sys.stdout.write(piece.translate(UNPRINTABLE))
        sys.stdout.flush()
    typer.echo()
