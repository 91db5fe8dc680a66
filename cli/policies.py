"""What the verbs of `llmops policy` do: read files, read a target's shelf, and write it back."""

from __future__ import annotations

import getpass
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops.errors import InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops.policies import Difference, Effective, Explained, Policy, PolicyStore, Shelf
    from llmops.spec import Deployment, Placed

STDIN = Path("-")


def open_store(context: str | None, namespace: str | None) -> PolicyStore:
    """The policies of this machine, or of the namespace that is said."""
    from cli.places import HERE, open_target, said_place

    return open_target(said_place(context, namespace) or HERE).policies


def read_texts(files: Sequence[Path]) -> list[tuple[Placed[Policy], str]]:
    """Policies and the very texts that they were read from.

    Raises:
        InputError: With everything that is wrong in any of them.
    """
    from llmops.policies import parse_policy, read_policies

    texts: list[tuple[str, str]] = []
    if STDIN in files:
        texts.append(("<stdin>", sys.stdin.read()))
    named = [file for file in files if file != STDIN]
    # Read strictly first: that tells every mistake of all files, and bounds what is read below.
    for one in read_policies(named) if named else ():
        file = one.problem("", "").file
        texts.append((file, Path(file).read_text(encoding="utf-8-sig")))
    return [(parse_policy(text, name), text) for name, text in texts]


def apply(store: PolicyStore, files: Sequence[Path], *, yes: bool) -> None:
    """Put policies on a target's shelf, after showing what changes and asking."""
    from cli.output import tell
    from cli.policy_text import print_differences
    from llmops.policies import differences

    read = read_texts(files)
    shelf, version = store.read()
    wanted = shelf
    for placed, text in read:
        policy = placed.value
        before = wanted.holds(policy.name)
        after = wanted.applied(policy.name, text, time.time(), who())
        if after is wanted:
            tell(f"policy {policy.name}: nothing changed (version {before and before.version})")
            continue
        found = differences(before.placed().value if before else None, policy)
        print_differences(policy.name, found, new=before is None)
        wanted = after
    if wanted is not shelf:
        _write(store, wanted, version, "Apply this?", yes=yes)
        for name in sorted({placed.value.name for placed, _ in read}):
            entry = wanted.find(name)
            typer.echo(f"policy {name}: version {entry.version} holds from the next deploy on")


def remove(store: PolicyStore, name: str, *, yes: bool) -> None:
    """Take a policy off a target's shelf, after showing what holds no more and asking."""
    from cli.policy_text import print_differences
    from llmops.policies import differences

    shelf, version = store.read()
    wanted = shelf.removed(name, time.time())
    print_differences(name, differences(shelf.find(name).placed().value, None))
    _write(store, wanted, version, "Remove it?", yes=yes)
    typer.echo(f"policy {name} holds no more; llmops policy show {name} still prints it")


def _write(store: PolicyStore, shelf: Shelf, version: str, question: str, *, yes: bool) -> None:
    """Store what was shown, unless somebody has changed what it was compared with."""
    from cli.output import ask
    from llmops.releases import Conflict

    if not yes and not ask(question):
        raise RefusedError("nothing was changed")
    try:
        store.write(shelf, version)
    except Conflict as error:
        raise RefusedError(
            f"the policies were changed by {_last_writer(store)} since this was shown",
            hint="run it again: it is compared anew",
        ) from error


def _last_writer(store: PolicyStore) -> str:
    """Who has applied or removed a policy last, which one, and when, as far as the shelf says."""
    entries = store.read()[0].entries
    if not entries:
        return "somebody else"
    last = max(entries, key=lambda one: one.removed_at or one.applied_at)
    when = time.strftime("%H:%M:%S", time.localtime(last.removed_at or last.applied_at))
    if last.removed_at is not None:
        return f"somebody else, who removed {last.name} at {when},"
    return f"{last.applied_by}, who applied {last.name} (version {last.version}) at {when},"


def compared(
    shelf: Shelf, name: str, files: Sequence[Path] | None, versions: Sequence[int]
) -> tuple[Difference, ...]:
    """What differs between two versions of a policy, or a version and a file."""
    from llmops.policies import differences, read_policies

    if files:
        if len(versions) > 1:
            raise InputError("a file is compared with one version", hint="give --version once")
        named = [p.value for p in read_policies(files) if p.value.name == name]
        if not named:
            raise InputError(f"none of the files holds a policy '{name}'", hint="-f names its file")
        before = shelf.find(name, versions[0] if versions else None)
        return differences(before.placed().value, named[0])
    if len(versions) > 2:
        raise InputError("two versions are compared", hint="give --version twice at most")
    last = shelf.find(name, versions[1] if len(versions) == 2 else None)
    first = versions[0] if versions else last.version - 1
    earlier = shelf.find(name, first).placed().value if first else None
    return differences(earlier, last.placed().value)


def explained(
    field: str, spec: Path | None, files: Sequence[Path] | None,
    context: str | None, namespace: str | None,
) -> tuple[Explained, ...]:  # fmt: skip
    """What holds in a field, by files, or by what is applied where the spec is deployed to."""
    from cli.specs import read_spec
    from llmops.policies import combined, effective
    from llmops.policies import explained as explain

    deployment = read_spec([spec]).deployment if spec else None
    placed = policies_for(files, deployment, context, namespace)
    values = [one.value for one in placed]
    held: Effective = effective(values, deployment) if deployment else combined(values)
    return explain(field, held, placed)


def policies_for(
    files: Sequence[Path] | None, deployment: Deployment | None,
    context: str | None, namespace: str | None,
) -> tuple[Placed[Policy], ...]:  # fmt: skip
    """The policies of files; without any, those that were applied where a deployment goes to."""
    from cli.places import HERE, open_target, place_of, said_place
    from llmops.policies import read_policies

    if files:
        return read_policies(files)
    meant = place_of(deployment) if deployment else HERE
    shelf = open_target(said_place(context, namespace) or meant).policies.read()[0]
    return tuple(entry.placed() for entry in shelf.holding())


def who() -> str:
    """Who runs this, as this machine calls them: told to whoever reads the shelf."""
    return f"{_or_unknown(getpass.getuser)}@{socket.gethostname()}"


def _or_unknown(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except (OSError, KeyError):  # a user that the machine has no name for
        return "unknown"
