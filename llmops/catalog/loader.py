"""From the shipped files and the user's own to one Catalogue.

The shipped files hold to the same form and are read strictly by a test; here libyaml reads them,
because the strict reading of all of them takes longer than a plan may. A user's file is always
read strictly, and every mistake in it is told at its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache, partial
from pathlib import Path

import yaml

from llmops.catalog import build
from llmops.catalog.form import CatalogueForm
from llmops.catalog.model import Accelerator, Catalogue, Offer, Source
from llmops.catalog.wrong import find_wrong
from llmops.spec import Document, read_document

DATA = Path(__file__).with_name("data")
"""The shipped files."""


def load_catalogue(extra: Sequence[Path] = ()) -> Catalogue:
    """The shipped catalogue with the user's files laid over it, later ones over earlier ones.

    An entry of a user's file replaces the shipped one of the same name wholly.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of the first file that has some.
    """
    shelf = _shipped()
    for path in extra:
        form = read_document(document(shelf.names), [path]).value
        shelf = shelf.over(form, _itself(path))
    return shelf.catalogue()


def document(known: dict[str, str]) -> Document[CatalogueForm]:
    """How a catalogue's file is read beside the accelerators that are known already."""
    return Document(
        model=CatalogueForm,
        noun="a catalogue",
        describes="a catalogue",
        line="offers: {own/rack: {accelerator: H100-SXM, count: 8, machines: 4}}",
        begin="docs/reference/catalog.md shows one to start from",
        absent="--catalog names it; docs/reference/catalog.md shows one to start from",
        usual="catalog.yaml",
        levels="five",
        more="docs/reference/catalog.md explains every field",
        contradictions=partial(find_wrong, known=known),
        examples={"date": "date: '2026-07-20'"},
    )


class _Shelf:
    """Entries so far, by name, in the order in which they came."""

    def __init__(self, accelerators: dict[str, Accelerator], offers: dict[str, Offer]) -> None:
        self._accelerators = accelerators
        self._offers = offers
        self.names = {
            called.casefold(): one.name
            for one in accelerators.values()
            for called in (*one.aliases, one.name)
        }

    def over(self, form: CatalogueForm, file: Source) -> _Shelf:
        """With a file's entries in place of those of the same name."""
        added = {one.name: one for one in build.accelerators(form)}
        shelf = _Shelf({**self._accelerators, **added}, self._offers)
        offers = {one.name: one for one in build.offers(form, shelf.names, file)}
        return _Shelf(shelf._accelerators, {**self._offers, **offers})

    def catalogue(self) -> Catalogue:
        return Catalogue(self._accelerators, tuple(self._offers.values()))


@cache
def _shipped() -> _Shelf:
    shelf = _Shelf({}, {})
    for path in shipped_files():
        form = CatalogueForm.model_validate(_quickly(path))
        shelf = shelf.over(form, Source(path.stem, path.name, "", date.min))
    return shelf


def shipped_files() -> tuple[Path, ...]:
    """The shipped files, accelerators before the offers that name them."""
    return (*sorted(DATA.glob("accelerators/*.yaml")), *sorted(DATA.glob("offers/*.yaml")))


def _quickly(path: Path) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open("rb") as file:
        return yaml.load(file, loader)  # noqa: S506 - one of the two safe loaders


def _itself(path: Path) -> Source:
    """A user's file as a source, as of the day on which it was changed last."""
    changed = path.stat().st_mtime if path.exists() else datetime.now(UTC).timestamp()
    day = datetime.fromtimestamp(changed, UTC).date()
    return Source("own", f"written in {path}", "", day)
