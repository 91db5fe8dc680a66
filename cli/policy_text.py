"""How policies are shown: what is on a shelf, what differs, and who decided a field."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cli.output import print_table

if TYPE_CHECKING:
    from llmops.policies import Applied, Difference, Explained, Finding, Setting, Shelf

MARKS = {"stricter": "stricter", "looser": "LOOSER"}
"""A bound that becomes wider is what a reader must not overlook."""

WIDTH = 92


def print_entries(entries: Sequence[Applied], shelf: Shelf) -> None:
    """A table of versions."""
    rows = [
        (
            entry.name,
            str(entry.version),
            state(entry, shelf),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.applied_at)),
            entry.applied_by,
        )
        for entry in entries
    ]
    print_table(("POLICY", "VERSION", "STATE", "APPLIED", "BY"), rows)


def state(entry: Applied, shelf: Shelf) -> str:
    """Whether a version holds, and why not."""
    if entry in shelf.holding():
        return "holds"
    return "removed" if entry.removed_at is not None else "replaced"


def document(entry: Applied, shelf: Shelf, *, whole: bool = False) -> dict[str, Any]:
    """A version as plain data; what it says as well when `whole`. Times are Unix seconds."""
    made = {key: value for key, value in asdict(entry).items() if key != "text"}
    made["state"] = state(entry, shelf)
    if whole:
        made["text"] = entry.text
        made["policy"] = entry.placed().value.model_dump(mode="json", exclude_unset=True)
    return made


def print_differences(name: str, found: Sequence[Difference], *, new: bool = False) -> None:
    """What differs, a field a line."""
    if not found:
        typer.echo(f"policy {name}: no field differs")
        return
    typer.echo(f"policy {name}:{' new' if new else ''}")
    for one in found:
        if one.before is None:
            change = f"+ {one.path}: {short(one.after)}"
        elif one.after is None:
            change = f"- {one.path}: {short(one.before)}"
        else:
            change = f"~ {one.path}: {short(one.before)} -> {short(one.after)}"
        typer.echo(f"  {change}{f' ({MARKS[one.way]})' if one.way else ''}")


def differences_document(name: str, found: Sequence[Difference]) -> dict[str, Any]:
    """What differs, as plain data."""
    return {"name": name, "differences": [asdict(one) for one in found]}


def print_finding(finding: Finding, place: str, *, err: bool = False) -> None:
    """A finding: where, what, what was found, and what to do; as data, or beside it (`err`)."""
    for line in finding_lines(finding, place):
        typer.echo(line, err=err)


def finding_lines(finding: Finding, place: str) -> Iterator[str]:
    """A finding as lines of text."""
    waiver = finding.waiver
    mark = "waived" if waiver else str(finding.severity)
    by = f" ({finding.policy}, {finding.layer})" if finding.policy else ""
    at = f"{place}: " if place else ""
    yield f"{at}{mark}: {finding.id}{by}: {finding.message}"
    if finding.proof:
        yield f"    found: {short(finding.proof)}"
    if waiver:
        yield f"    waived until {waiver.expires} by {waiver.owner}: {waiver.reason}"
    elif finding.fix:
        yield f"    fix: {finding.fix}"


def print_setting(setting: Setting, *, err: bool = False) -> None:
    """A default that policies replaced."""
    by = ", ".join(setting.policies)
    before = "none" if setting.instead is None else setting.instead
    typer.echo(f"set: {setting.path}: {setting.value} (default: {before}), by {by}", err=err)


def setting_document(setting: Setting) -> dict[str, Any]:
    """A default that policies replaced, as plain data."""
    from llmops.policies import plain

    return {
        "path": setting.path,
        "value": plain(setting.value),
        "instead": plain(setting.instead),
        "policies": list(setting.policies),
    }


def print_explained(one: Explained) -> None:
    """What holds in a field, who decided, and what the others said."""
    typer.echo(f"{one.path}: {_held(one)}")
    for voice in one.voices:
        mark = "decided" if voice.decides else "would allow"
        place = f"  {voice.place}" if voice.place else ""
        typer.echo(f"  {mark}: {short(voice.value)}, by {voice.policy} ({voice.layer}){place}")
    if len(one.voices) > 1:
        typer.echo(f"  of several values: {one.way}")
    typer.echo(textwrap.fill(one.doc.doc, WIDTH, initial_indent="    ", subsequent_indent="    "))


def _held(one: Explained) -> str:
    if not one.voices:
        return "no policy says anything"
    if one.nothing:
        return "nothing is allowed: the policies leave no value"
    if one.value is None:
        return "each policy's own"
    lists = isinstance(one.value, list) and all(isinstance(each, list) for each in one.value)
    return " and ".join(short(each) for each in one.value) if lists else short(one.value)


def explained_document(one: Explained) -> dict[str, Any]:
    """What holds in a field, as plain data."""
    return {
        "path": one.path,
        "value": None if one.nothing else one.value,
        "nothing": one.nothing,
        "combined": one.way,
        "said": [asdict(voice) for voice in one.voices],
        "doc": one.doc.doc,
    }


def short(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        text = f"[{', '.join(short(one) for one in value)}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {short(one)}" for key, one in value.items()) + "}"
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
