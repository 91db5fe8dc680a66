"""`llmops finetune promote`: serve what a run has made, in place of what a service serves now or
beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.gates import Emergency, Wait, gate_of
from cli.options import Canary, Context, Namespace, Yes

if TYPE_CHECKING:
    from llmops.events import Planned
    from serving.finetune.artefacts import Promotion

NAME = "promote"

Named = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="MODEL",
        help="Answer this model name with the adapter, and the service's own as before.",
    ),
]
DespiteGate = Annotated[
    str | None,
    typer.Option("--despite-gate", help="Serve it although its evaluation refused it, and why."),
]


def command(
    run: Annotated[
        str, typer.Argument(help="The run: NAME/N, or NAME for its newest.", metavar="RUN")
    ],
    service: Annotated[str, typer.Option("--service", help="The service that is to serve it.")],
    named: Named = None,
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Merge the adapter into the weights, and serve these."),
    ] = False,
    canary: Canary = None,
    despite_gate: DespiteGate = None,
    yes: Yes = False,
    wait: Wait = False,
    emergency: Emergency = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Serve what a run has made: staged beside what serves now, verified, and only then shifted to.

    What is served now is taken with all its settings; only the model changes: what the service's
    own name is answered with, or with --as a further name beside it. An adapter for which the
    engine keeps room is loaded into it while it runs. `llmops rollback` takes it back.
    """
    from cli.flows import verb_of
    from cli.output import Drawer, ask, draw, may_ask, tell
    from cli.places import home, place_of, remember, service_target
    from serving.finetune.artefacts import promotion

    gate = gate_of(wait, emergency)
    may_ask(yes)
    target = service_target(service, context, namespace)
    made = promotion(
        home(), run, target.history(service),
        merge=merge, canary=canary, despite_gate=despite_gate, named=named,
    )  # fmt: skip
    tell(_change(service, made))
    drawer = Drawer()

    def confirm(_: Planned) -> bool:
        drawer.still()
        agreed = yes or ask("Serve this?")
        if agreed:
            remember(service, place_of(made.deployment))
        return agreed

    flow = verb_of(target, "deploy")(made.deployment, confirm=confirm, unattended=yes, gate=gate)
    finished = draw(flow, drawer)
    if (release := finished.release) is not None:
        said = "serves" if finished.changed else "still serves: nothing changed"
        typer.echo(f"{service}: release {release.number} {said} {made.source}")
        typer.echo(f"endpoint: {finished.url} (model '{made.name}', with an API key)")


def _change(service: str, made: Promotion) -> str:
    nothing = "the bare weights" if made.name == service else "no such model"
    lines = [
        f"{made.name}: {made.before or nothing} -> {made.source}",
        f"  run {made.run}, data {made.data[:12]}, trained on {made.trained_on}",
    ]
    lines += [f"  {name}: {value:g}" for name, value in sorted(made.metrics.items())]
    lines += [f"  gate {made.gate}: {reason}" for reason in made.reasons]
    if made.despite_gate:
        lines.append(f"  served despite its gate: {made.despite_gate}")
    return "\n".join(lines)
