"""From a file's form to the catalogue's values: every figure gets the source it was read in.

Expects a form in which nothing contradicts anything (`wrong`): a source that is not there would
be an error of the program's here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmops.catalog.form import AcceleratorForm, CatalogueForm, LinkForm, OfferForm, SourceForm
from llmops.catalog.model import Accelerator, Link, Offer, Price, Source

OWN = "own"
"""Provider of one's own machines, whose figures need no source but the file itself."""

_NO_FIGURES = frozenset({"source", "cited", "aliases", "vendor", "kind"})


def figures(entry: AcceleratorForm | OfferForm) -> Iterator[str]:
    """The fields of an entry that state something which has to be sourced."""
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        if name not in _NO_FIGURES and value is not None and value not in ("", {}):
            yield name


def source_of(form: CatalogueForm, entry: AcceleratorForm | OfferForm, field: str) -> str | None:
    """The id of the source of a field: the nearest that was named.

    One for this field before one for all fields, an entry's before the file's.
    """
    return entry.cited.get(field) or form.cited.get(field) or entry.source or form.source


def accelerators(form: CatalogueForm) -> Iterator[Accelerator]:
    """The accelerators of one file."""
    known = _sources(form)
    for name, entry in form.accelerators.items():
        flops = entry.flops.model_dump(exclude_none=True) if entry.flops else {}
        yield Accelerator(
            name=name,
            vendor=entry.vendor,
            kind=entry.kind,
            aliases=entry.aliases,
            memory=_whole(entry.memory),
            usable=_whole(entry.usable),
            bandwidth=entry.bandwidth,
            flops=flops,
            link=_link(entry.link),
            pcie=entry.pcie,
            capability=entry.capability,
            year=entry.year,
            sources=_cited(form, entry, known, None),
        )


def offers(form: CatalogueForm, names: Mapping[str, str], file: Source) -> Iterator[Offer]:
    """The offers of one file.

    Args:
        form: The file.
        names: By name or other name of an accelerator in lower case, its name.
        file: The file itself, as the source of one's own machines.
    """
    known = _sources(form)
    for name, entry in form.offers.items():
        provider, _, instance = name.partition("/")
        yield Offer(
            provider=provider,
            instance=instance,
            accelerator=names[entry.accelerator.casefold()],
            count=entry.count,
            vcpus=entry.vcpus,
            memory=_whole(entry.memory),
            network=entry.network,
            fabric=entry.fabric or "",
            gpudirect=entry.gpudirect,
            prices=tuple(
                Price(region, price.on_demand, price.spot) for region, price in entry.prices.items()
            ),
            machines=entry.machines,
            rails=entry.rails,
            link=_link(entry.link),
            sources=_cited(form, entry, known, file if provider == OWN else None),
        )


def _sources(form: CatalogueForm) -> dict[str, Source]:
    return {key: _source(key, source) for key, source in form.sources.items()}


def _source(key: str, form: SourceForm) -> Source:
    return Source(key, form.title, form.url, form.date)


def _cited(
    form: CatalogueForm,
    entry: AcceleratorForm | OfferForm,
    known: Mapping[str, Source],
    otherwise: Source | None,
) -> dict[str, Source]:
    cited: dict[str, Source] = {}
    for field in figures(entry):
        key = source_of(form, entry, field)
        source: Any = known[key] if key is not None else otherwise
        cited[field] = source
    return cited


def _whole(size: int | None) -> int | None:
    return None if size is None else int(size)


def _link(form: LinkForm | None) -> Link | None:
    return None if form is None else Link(form.kind, form.bandwidth, form.domain)
