"""What to do about a mistake: the nearest thing that would be right, or what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_origin

from llmops.spec import addresses
from llmops.spec.document import Document, Section
from llmops.spec.fields import elsewhere
from llmops.spec.names import DNS_LABEL
from llmops.spec.nearest import nearest
from llmops.spec.nodes import Node, Scalar, Trail, dotted
from llmops.spec.spots import Spot
from llmops.spec.words import (
    LONGEST,
    LONGEST_NAME,
    bounds_of,
    branches,
    form_of,
    is_name,
    is_number,
    is_words,
    kind_of,
    literals,
    section_of,
    sections_of,
)
from llmops.units import Bytes, Duration, Replicas

_SPELLINGS = {
    "m": "min", "mins": "min", "minute": "min", "minutes": "min", "sec": "s", "secs": "s",
    "second": "s", "seconds": "s", "hr": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
    "milliseconds": "ms", "g": "GiB", "m_": "MiB", "k": "KiB", "t": "TiB", "bytes": "B",
    "byte": "B",
}  # fmt: skip
"""What people write for a unit. `m` is a time's; a size's stands as `m_`."""


def advise_unknown(document: Document[Any], key: str, spot: Spot) -> str:
    """For a key that a section does not have."""
    if has_it := [kind_of(one) for one in spot.instead if key in one.model_fields]:
        return f"only kind: {_either(has_it)} has it, and this is {kind_of(spot.section)}"
    if near := nearest(key, spot.section.model_fields):
        return f"did you mean '{near}'?"
    for one in spot.instead:
        if near := nearest(key, one.model_fields):
            return f"did you mean '{near}'? only kind: {kind_of(one)} has it"
    above = spot.trail[:-1]
    there = elsewhere(key, document.model)
    if there and there != dotted(above):
        return f"did you mean '{there}'?"
    where = f"in {dotted(above)}" if above else "here"
    return f"allowed {where}: {', '.join(spot.section.model_fields)}"


def advise_missing(document: Document[Any], trail: Trail) -> str:
    """For a field that must be there and is not."""
    return f"add '{document.examples.get(_named(trail), f'{trail[-1]}: …')}'"


def _named(trail: Trail) -> str:
    """The dotted path of a field; of a list's element that of the list."""
    return ".".join(step for step in trail if isinstance(step, str))


def advise(
    document: Document[Any], annotation: Any, metadata: Sequence[Any], trail: Trail, node: Node
) -> str:
    """For a value that its field does not take."""
    kinds = [kind for kind, _ in branches(annotation) if kind is not type(None)]
    if isinstance(node, Scalar):
        if node.value is None:
            if example := document.examples.get(dotted(trail)):
                return f"write a value, as in '{example}'"
            return "write a value, or remove the key to have the default"
        hint = _for_scalar(document, annotation, metadata, trail, node)
        if hint:
            return hint
    if all(is_words(kind) for kind in kinds):
        return document.later.get(dotted(trail), f"allowed: {', '.join(literals(annotation))}")
    if section_of(annotation):
        return "write its keys on lines of their own below it, indented"
    if any(get_origin(kind) is tuple for kind in kinds):
        example = document.examples.get(_named(trail))
        return f"write a list, such as {example or '[team-a, team-b]'}"
    if any(get_origin(kind) is dict for kind in kinds):
        return "write 'name: value' lines below it, indented"
    return document.more.format(path=_named(trail))


def _either(names: Sequence[str]) -> str:
    """Names as a sentence gives a choice: `a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _for_scalar(
    document: Document[Any], annotation: Any, metadata: Sequence[Any], trail: Trail, node: Scalar
) -> str | None:
    kinds = [kind for kind, _ in branches(annotation)]
    text = node.written
    if isinstance(node.value, str) and (near := nearest(text, literals(annotation))):
        return f"did you mean '{near}'?"
    if (form := form_of(annotation, metadata)) and form.hint:
        return form.hint
    if Bytes in kinds or Duration in kinds:
        kind: type[Bytes | Duration] = Bytes if Bytes in kinds else Duration
        bounds = bounds_of(annotation, metadata)
        return _unit(kind, node, bounds.example if bounds else kind.EXAMPLE)
    if Replicas in kinds:
        return _range(text) if isinstance(node.value, str) else None
    if int in kinds:
        return _whole(node)
    if is_name(annotation, metadata):
        return _name(text, of_key=trail[0] == "security")
    if str in kinds and not isinstance(node.value, str):
        example = document.examples.get(dotted(trail))
        return f"write it as in '{example}'" if example else f"quote it: '{text[:LONGEST]}'"
    if bool in kinds and text.lower() in ("true", "false", "yes", "no", "on", "off"):
        return "write true or false, without quotes"
    if any(get_origin(kind) is tuple for kind in kinds) and len(text) <= LONGEST:
        return f"write a list: [{text}]"
    sections = sections_of(annotation)
    if sections and len(text) <= LONGEST:
        return _into_section(sections, trail, text)
    return None


def _unit(kind: type[Bytes | Duration], node: Scalar, example: str) -> str | None:
    text = node.written.strip()
    if is_number(node) and len(text) <= LONGEST:
        amount, unit = text.lstrip("-+"), example.lstrip("0123456789")
        other = {"GiB": "MiB", "MiB": "KiB", "min": "s"}.get(unit)
        return f"write the unit: {amount}{unit}" + (f" or {amount}{other}" if other else "")
    if node.value == text and _reads(kind, text):
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", text, re.ASCII)
    if match and len(text) <= LONGEST:
        unit = match[2].lower()
        units = {name.lower(): name for name in kind.UNITS}
        known = units.get(unit) or _SPELLINGS.get("m_" if kind is Bytes and unit == "m" else unit)
        if known in kind.UNITS and known != match[2]:
            return f"did you mean '{match[1]}{known}'?"
    return f"units: {', '.join(kind.PRINTED)}"


def _reads(kind: type[Bytes | Duration], text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


def _range(text: str) -> str | None:
    """The range that two numbers were meant to be."""
    match = re.fullmatch(r"([0-9]{1,4})\D{1,5}([0-9]{1,4})", text.strip(), re.ASCII)
    if match is None:
        return None
    low, high = sorted((int(match[1]), int(match[2])))
    fits = 1 <= high <= Replicas.LIMIT
    return f"did you mean '{low}..{high}'?" if fits else None


def _whole(node: Scalar) -> str | None:
    if isinstance(node.value, float) and node.value == int(node.value):
        return f"write {int(node.value)}"
    if isinstance(node.value, str) and is_number(node):
        return "write it without quotes"
    if isinstance(node.value, str) and re.fullmatch(r"[0-9.]+\s*[kKmM]i?", node.written):
        return "write the number out, such as 8192"
    return None


def _name(text: str, *, of_key: bool) -> str:
    """The nearest name that the rule allows; none for what may be a secret."""
    if len(text) > LONGEST_NAME:
        if of_key:
            return "write a name, such as team-a: llmops makes the key itself"
        return "shorten it"
    if not text.isascii():
        return "write it with the letters a to z"
    name = re.sub(r"[^a-z0-9]+", "-", text[:200].lower()).strip("-0123456789")[:40].strip("-")
    if re.fullmatch(DNS_LABEL, name):
        return f"did you mean '{name}'?"
    return "such as support-chat"


def _into_section(sections: Sequence[type[Section]], trail: Trail, text: str) -> str | None:
    """For a value that stands where the section that it belongs in should."""
    first = next(iter(sections[0].model_fields))
    if len(sections) > 1:
        kinds = [kind_of(section) for section in sections]
        near = nearest(text, kinds)
        if near is None:
            return f"write a section, such as {trail[-1]}: {{kind: {kinds[0]}}}"
        return f"did you mean {trail[-1]}: {{kind: {near}}}?"
    if first == "source":
        meant = addresses.meant(text)
        return f"did you mean {trail[-1]}: {{{first}: {meant}}}?" if meant else None
    if first == "kind":
        return f"did you mean {trail[-1]}: {{{first}: {text}}}?"
    return None
