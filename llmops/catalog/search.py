"""Finding entries by what a user calls them; and what was meant by a name that nobody has. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from llmops.catalog.model import Accelerator, Catalogue, Offer
from llmops.errors import InputError
from llmops.spec import nearest


def accelerators_called(catalogue: Catalogue, name: str) -> tuple[Accelerator, ...]:
    """The accelerators that `name` may mean: its whole family when it is a family's name.

    `H100-SXM` is one; `H100` is H100-SXM, H100-PCIE and H100-NVL, of which the one that has `H100`
    as another name stands first.

    Raises:
        InputError: When there is none; the hint names the nearest.
    """
    one = catalogue.accelerator(name)
    if one is not None and one.name.casefold() == name.casefold():
        return (one,)
    family = [a for a in catalogue.accelerators.values() if _of_family(a, name)]
    if one is not None:
        return (one, *(a for a in family if a is not one))
    if family:
        return tuple(family)
    called = {c for a in catalogue.accelerators.values() for c in (a.name, *a.aliases)}
    raise InputError(
        f"expected an accelerator of the catalogue, found '{name[:60]}'",
        hint=_meant(name, called, "llmops catalog list --kind accelerators names them"),
    )


def entry_called(catalogue: Catalogue, name: str) -> Accelerator | Offer:
    """The accelerator or the offer of that name; the provider may be left out where it is clear.

    Raises:
        InputError: When there is none, or when several providers have one of that name.
    """
    accelerator = catalogue.accelerator(name)
    if accelerator is not None:
        return accelerator
    wanted = name.casefold()
    found = [o for o in catalogue.offers if wanted in (o.name.casefold(), o.instance.casefold())]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(offer.name for offer in found)
        message = f"expected one entry, found '{name[:60]}' at several providers"
        raise InputError(message, hint=f"name it with its provider: {names}")
    called = [c for a in catalogue.accelerators.values() for c in (a.name, *a.aliases)]
    called += [c for o in catalogue.offers for c in (o.name, o.instance)]
    raise InputError(
        f"expected an accelerator or an offer, found '{name[:60]}'",
        hint=_meant(name, called, "llmops catalog list names them"),
    )


def offers_of(
    catalogue: Catalogue, *, gpu: str = "", provider: str = "", region: str = ""
) -> tuple[Offer, ...]:
    """The offers that have what is named; what is empty restricts nothing.

    Raises:
        InputError: When a name is nobody's; the hint names the nearest.
    """
    names = {a.name for a in accelerators_called(catalogue, gpu)} if gpu else None
    _known("provider", provider, {offer.provider for offer in catalogue.offers})
    _known("region", region, {p.region for offer in catalogue.offers for p in offer.prices})
    return tuple(
        offer
        for offer in catalogue.offers
        if (names is None or offer.accelerator in names)
        and (not provider or offer.provider == provider)
        and (not region or any(price.region == region for price in offer.prices))
    )


def _of_family(accelerator: Accelerator, name: str) -> bool:
    return accelerator.name.casefold().startswith(f"{name.casefold()}-")


def _known(what: str, name: str, names: set[str]) -> None:
    if name and name not in names:
        listed = f"there are {', '.join(sorted(names)[:12])}" if names else "there is none"
        raise InputError(
            f"expected a {what} of the catalogue, found '{name[:60]}'",
            hint=_meant(name, names, listed),
        )


def _meant(name: str, names: Iterable[str], otherwise: str) -> str:
    near = nearest(name, names)
    return f"did you mean '{near}'?" if near else otherwise
