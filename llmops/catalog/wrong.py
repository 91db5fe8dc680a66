"""What no catalogue's file can mean, though each value has the right type.

A figure without a source, a source or an accelerator that nobody knows, two things of one name.
Whether figures are likely or out of date is `check`'s business: these here cannot be used at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from llmops.catalog.build import OWN, figures, source_of
from llmops.catalog.form import AcceleratorForm, CatalogueForm, OfferForm
from llmops.spec import Finding, Written, nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+-]{0,59}", re.ASCII)
_PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:+()-]{0,79}", re.ASCII)


def find_wrong(
    form: CatalogueForm, written: Written, known: Mapping[str, str]
) -> Iterator[Finding]:
    """Everything that makes a file unusable beside the accelerators that are `known`.

    Args:
        form: The file.
        written: Whether something stands in the file.
        known: By name or other name in lower case, the accelerators of the files before.
    """
    names = {key: name for key, name in known.items() if name not in form.accelerators}
    for name, accelerator in form.accelerators.items():
        yield from _named(name, accelerator, names)
        yield from _sourced(form, ("accelerators", name), accelerator)
    for name, offer in form.offers.items():
        yield from _of_known(name, offer, names, written)
        yield from _offered(name) or _sourced(form, ("offers", name), offer)
    if form.source is not None:
        yield from _defined(form, form.source, ("source",), written)
    for field, source in form.cited.items():
        yield from _defined(form, source, ("cited", field), written)
        if field not in AcceleratorForm.model_fields and field not in OfferForm.model_fields:
            yield _no_field(("cited", field), field, OfferForm)
    yield from _cited(form, written)


def _named(name: str, entry: AcceleratorForm, names: dict[str, str]) -> Iterator[Finding]:
    """A name that is none, or stands for something else already; notes those that are fine."""
    if not _NAME.fullmatch(name):
        hint = "letters, digits, spaces and ._()+- only, at most 60, such as H100-SXM"
        message = f"expected an accelerator's name as key, found {_quoted(name)}"
        yield Finding(("accelerators", name), message, hint, key=True)
        return
    for place, called in enumerate((name, *entry.aliases)):
        other = names.setdefault(called.casefold(), name)
        if other != name:
            trail = (
                ("accelerators", name, "aliases", place - 1) if place else ("accelerators", name)
            )
            yield Finding(
                trail,
                f"expected a name of its own, found {_quoted(called)}, which is {other} already",
                "each name stands for one accelerator: choose another, or leave it out",
                key=not place,
            )  # fmt: skip


def _offered(name: str) -> list[Finding]:
    provider, slash, instance = name.partition("/")
    if slash and _PROVIDER.fullmatch(provider) and _INSTANCE.fullmatch(instance):
        return []
    return [
        Finding(
            ("offers", name), f"expected 'provider/instance' as key, found {_quoted(name)}",
            f"such as aws/p5.48xlarge, or {OWN}/h100-rack for your own machines", key=True,
        )
    ]  # fmt: skip


def _of_known(
    name: str, offer: OfferForm, names: Mapping[str, str], written: Written
) -> Iterator[Finding]:
    called = offer.accelerator
    if called.casefold() in names or written(("accelerators", called)):
        return
    near = nearest(called, {*names, *names.values()})
    yield Finding(
        ("offers", name, "accelerator"),
        f"expected an accelerator of the catalogue, found {_quoted(called)}",
        f"did you mean '{names.get(near.casefold(), near)}'?" if near
        else "llmops catalog list --kind accelerators names them; or add it under 'accelerators'",
    )  # fmt: skip


def _sourced(
    form: CatalogueForm, trail: tuple[str, str], entry: AcceleratorForm | OfferForm
) -> Iterator[Finding]:
    if trail[0] == "offers" and trail[1].partition("/")[0] == OWN:
        return
    without = [field for field in figures(entry) if source_of(form, entry, field) is None]
    if without:
        yield Finding(
            trail, f"expected a source of every figure, found none for {', '.join(without)}",
            "define it under 'sources' (title, url, date), and name its id in 'source:'",
            key=True,
        )  # fmt: skip


def _cited(form: CatalogueForm, written: Written) -> Iterator[Finding]:
    """Sources that entries name: each must be defined, for a field that is there."""
    entries: list[tuple[tuple[str, str], AcceleratorForm | OfferForm]] = [
        *((("accelerators", name), entry) for name, entry in form.accelerators.items()),
        *((("offers", name), entry) for name, entry in form.offers.items()),
    ]
    for trail, entry in entries:
        if entry.source is not None:
            yield from _defined(form, entry.source, (*trail, "source"), written)
        for field, source in entry.cited.items():
            yield from _defined(form, source, (*trail, "cited", field), written)
            if field not in type(entry).model_fields:
                yield _no_field((*trail, "cited", field), field, type(entry))


def _defined(
    form: CatalogueForm, source: str, trail: tuple[str, ...], written: Written
) -> Iterator[Finding]:
    if source in form.sources or written(("sources", source)):
        return
    near = nearest(source, form.sources)
    listed = ", ".join(list(form.sources)[:8]) or "none"
    yield Finding(
        trail, f"expected the id of a source, found {_quoted(source)}",
        f"did you mean '{near}'?" if near else f"defined under 'sources': {listed}",
    )  # fmt: skip


def _no_field(
    trail: tuple[str, ...], field: str, form: type[AcceleratorForm | OfferForm]
) -> Finding:
    near = nearest(field, form.model_fields)
    hint = f"did you mean '{near}'?" if near else f"fields: {', '.join(form.model_fields)}"
    return Finding(trail, f"expected a field's name, found {_quoted(field)}", hint, key=True)


def _quoted(text: str) -> str:
    """A text from the file in quotes, shortened, on one line."""
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= 40 else f"'{line[:39]}…'"
