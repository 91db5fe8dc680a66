"""The page of the catalogue shows files that load, and names what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops.catalog import load_catalogue
from llmops.catalog.form import AcceleratorForm, CatalogueForm, OfferForm
from tests.docs.pages import ROOT, Block, blocks, spans

PAGE = ROOT / "docs" / "reference" / "catalog.md"
FILES = [block for block in blocks(PAGE) if block.language == "yaml"]


@pytest.mark.parametrize("block", FILES, ids=str)
def test_every_file_that_is_shown_loads(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(block.text)
    shown = {offer.name: offer for offer in load_catalogue([file]).offers}
    assert shown != {offer.name: offer for offer in load_catalogue().offers}


def test_the_page_explains_every_field() -> None:
    named = {word for span in spans(PAGE) for word in span.replace(",", " ").split()}
    for form in (CatalogueForm, AcceleratorForm, OfferForm):
        assert set(form.model_fields) - named == set(), form.__name__


def test_the_page_names_every_provider_and_the_day_of_its_prices() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for offer in load_catalogue().offers:
        assert f"| `{offer.provider}` |" in text, f"{offer.provider} is not on the page"
        if "prices" in offer.sources and not offer.name.startswith("gcp/v"):
            row = next(r for r in text.splitlines() if r.startswith(f"| `{offer.provider}` |"))
            assert str(offer.sources["prices"].date) in row
