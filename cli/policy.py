"""`llmops policy`: a platform team's rules, checked, applied to a target, and looked at there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import policy_audit, policy_check, policy_simulate, policy_test
from cli.options import Context, Format, Namespace, Output, Yes
from cli.places import policy_names

group = typer.Typer(
    help="Rules for what is deployed: check, apply and explain policy files.",
    no_args_is_help=True,
)

PolicyFiles = Annotated[
    list[Path],
    typer.Option(
        "--file", "-f", metavar="FILE",
        help="Policy file, or a directory of such files; may be given again.",
    ),
]  # fmt: skip
OtherFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", "-f", metavar="FILE",
        help="Policy file or directory to look at, in place of what is applied.",
    ),
]  # fmt: skip
Name = Annotated[
    str,
    typer.Argument(help="Name of the policy.", metavar="NAME", autocompletion=policy_names),
]


def _fields(incomplete: str) -> list[str]:
    from llmops.policies import WAYS

    return [path for path in WAYS if path.startswith(incomplete)]


group.command(policy_check.NAME)(policy_check.command)
group.command(policy_test.NAME)(policy_test.command)
group.command(policy_audit.NAME)(policy_audit.command)
group.command(policy_simulate.NAME)(policy_simulate.command)


@group.command("apply")
def apply(
    file: PolicyFiles, yes: Yes = False, context: Context = None, namespace: Namespace = None
) -> None:
    """Keep policies in a target: every later deploy there is checked by them.

    Shows first what changes. The policy of the same name that held before stays as an earlier
    version. Nothing that runs is touched.
    """
    from cli import policies
    from cli.output import may_ask

    may_ask(yes)
    policies.apply(policies.open_store(context, namespace), file, yes=yes)


@group.command("list")
def list_(
    every: Annotated[
        bool, typer.Option("--all", "-a", help="Earlier and removed versions too.")
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """List the policies that hold in a target."""
    from cli import policies, policy_text
    from cli.output import print_data

    shelf = policies.open_store(context, namespace).read()[0]
    entries = shelf.entries if every else shelf.holding()
    if output is not Format.TEXT:
        print_data({"policies": [policy_text.document(entry, shelf) for entry in entries]}, output)
        return
    policy_text.print_entries(entries, shelf)


@group.command("show")
def show(
    name: Name,
    version: Annotated[
        int | None, typer.Option("--version", help="An earlier version.", metavar="N")
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Print a policy as it was written."""
    from cli import policies, policy_text
    from cli.output import print_data

    shelf = policies.open_store(context, namespace).read()[0]
    entry = shelf.find(name, version)
    if output is not Format.TEXT:
        print_data(policy_text.document(entry, shelf, whole=True), output)
        return
    typer.echo(entry.text, nl=not entry.text.endswith("\n"))


@group.command("diff")
def diff(
    name: Name,
    file: OtherFiles = None,
    version: Annotated[
        list[int] | None,
        typer.Option(
            "--version", metavar="N",
            help="A version to compare from; given again, the one to compare with.",
        ),
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:  # fmt: skip
    """Compare versions of a policy field by field, or with a file.

    Without a version it is the one that holds, compared with the one before it.
    """
    from cli import policies, policy_text
    from cli.output import print_data

    store = policies.open_store(context, namespace)
    found = policies.compared(store.read()[0], name, file, version or [])
    if output is not Format.TEXT:
        print_data(policy_text.differences_document(name, found), output)
        return
    policy_text.print_differences(name, found)


@group.command("remove")
def remove(
    name: Name, yes: Yes = False, context: Context = None, namespace: Namespace = None
) -> None:
    """End a policy in a target; its versions are kept."""
    from cli import policies
    from cli.output import may_ask

    may_ask(yes)
    policies.remove(policies.open_store(context, namespace), name, yes=yes)


@group.command("explain")
def explain(
    field: Annotated[
        str,
        typer.Argument(
            help="A field of a policy, or one of a spec that policies bound.",
            metavar="FIELD", autocompletion=_fields,
        ),
    ],
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec", "-s", metavar="FILE", help="Only the policies that apply to this spec."
        ),
    ] = None,
    file: OtherFiles = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:  # fmt: skip
    """Say what holds in a field, and which policy of which layer decided it."""
    from cli import policies, policy_text
    from cli.output import print_data

    found = policies.explained(field, spec, file, context, namespace)
    if output is not Format.TEXT:
        print_data([policy_text.explained_document(one) for one in found], output)
        return
    for one in found:
        policy_text.print_explained(one)
