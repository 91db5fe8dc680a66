"""What is shipped: read strictly, sourced to the last figure, and what the sources say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.catalog import Accelerator, Catalogue, Offer, Severity, check, load_catalogue
from llmops.catalog import loader as loading
from llmops.catalog.form import CatalogueForm
from llmops.spec import read_document

GIB, MIB = 2**30, 2**20

# Typed again from the cited sources, not copied from the files, so that a slip in a file is seen:
# name, field, value. Few of the sources are the makers' own pages; most pass on their datasheets.
FIGURES: tuple[tuple[str, str, float], ...] = (
    ("V100-32-SXM", "memory", 32 * GIB),
    ("V100-32-SXM", "bandwidth", 900e9),
    ("T4", "usable", 15360 * MIB),
    ("A10G", "bandwidth", 600e9),
    ("A100-40-SXM", "bandwidth", 1.555e12),
    ("A100-80-SXM", "bandwidth", 2.039e12),
    ("A100-80-PCIE", "bandwidth", 1.935e12),
    ("L4", "usable", 23034 * MIB),
    ("L4", "bandwidth", 300e9),
    ("L40S", "bandwidth", 864e9),
    ("H100-SXM", "usable", 81559 * MIB),
    ("H100-SXM", "bandwidth", 3.35e12),
    ("H100-PCIE", "bandwidth", 2e12),
    ("H100-NVL", "memory", 94 * GIB),
    ("H200", "usable", 143771 * MIB),
    ("H200", "bandwidth", 4.8e12),
    ("GB200", "memory", 186 * GIB),
    ("MI300X", "memory", 192 * GIB),
    ("MI300X", "bandwidth", 5.3e12),
    ("MI325X", "memory", 256 * GIB),
    ("MI355X", "bandwidth", 8e12),
    ("TPU-v5e", "memory", 16 * GIB),
    ("TPU-v7", "bandwidth", 7.37e12),
)
DENSE: tuple[tuple[str, str, float], ...] = (
    ("V100-16-SXM", "fp16", 125e12),
    ("T4", "fp16", 65e12),
    ("A100-80-SXM", "bf16", 312e12),
    ("L4", "fp8", 242e12),
    ("H100-SXM", "bf16", 989e12),
    ("H100-SXM", "fp8", 1979e12),
    ("B200", "fp4", 9000e12),
    ("MI300X", "fp8", 2614.9e12),
    ("TPU-v6e", "bf16", 918e12),
)
"""Not the sparse figures, which are twice these."""

LINKS = (
    ("V100-16-SXM", 300e9, 8), ("A100-80-SXM", 600e9, 8), ("H100-SXM", 900e9, 8),
    ("B200", 1.8e12, 8), ("GB200", 1.8e12, 72), ("MI300X", 896e9, 8),
)  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue()


@pytest.mark.parametrize("path", loading.shipped_files(), ids=lambda path: path.stem)
def test_the_quick_reading_gives_what_the_strict_one_does(path: Path) -> None:
    own = _names(path)
    others = {key: name for key, name in loading._shipped().names.items() if name not in own}
    strict = read_document(loading.document(others), [path]).value
    quick = CatalogueForm.model_validate(loading._quickly(path))
    assert strict == quick


def _names(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")).get("accelerators", {})


def test_nothing_shipped_is_defined_in_two_files() -> None:
    seen: dict[str, str] = {}
    for path in loading.shipped_files():
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name in (*document.get("accelerators", ()), *document.get("offers", ())):
            assert name not in seen, f"{name} stands in {path.name} and in {seen[name]}"
            seen[name] = path.name


def test_every_figure_has_a_source_and_a_day(shipped: Catalogue) -> None:
    today = datetime.now(UTC).date()
    found = [f for f in check(shipped, today) if f.severity is Severity.ERROR]
    assert found == []
    entries: list[Accelerator | Offer] = [*shipped.accelerators.values(), *shipped.offers]
    sources = {source for entry in entries for source in entry.sources.values()}
    assert sources
    for source in sources:
        assert source.title, source
        assert source.url.startswith("https://"), source


def test_every_source_that_a_file_defines_is_used() -> None:
    for path in loading.shipped_files():
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = [*document.get("accelerators", {}).values(), *document.get("offers", {}).values()]
        used = {
            s for e in (document, *entries) for s in (e.get("source"), *e.get("cited", {}).values())
        }
        assert set(document["sources"]) <= used, f"{path.name} defines sources that nobody cites"


def test_the_accelerators_that_people_serve_on_are_there(shipped: Catalogue) -> None:
    wanted = (
        "V100-16-SXM V100-32-SXM T4 A10 A10G L4 L40S A100-40-SXM A100-80-SXM A100-80-PCIE H100-SXM"
        " H100-PCIE H100-NVL H200 GH200-96 B200 B300 GB200 GB300 RTX-PRO-6000 MI210 MI250 MI250X"
        " MI300X MI325X MI350X MI355X TPU-v5e TPU-v5p TPU-v6e TPU-v7"
    ).split()
    assert [name for name in wanted if name not in shipped.accelerators] == []
    assert any(one.kind == "cpu" for one in shipped.accelerators.values())


def test_there_are_offers_of_the_clouds_and_of_gpu_clouds(shipped: Catalogue) -> None:
    assert len(shipped.offers) >= 80
    providers = {offer.provider for offer in shipped.offers}
    assert {"aws", "gcp", "azure"} < providers
    assert len(providers - {"aws", "gcp", "azure"}) >= 3
    priced = [offer for offer in shipped.offers if offer.prices]
    assert len(priced) >= 80
    assert any(price.spot for offer in priced for price in offer.prices)
    assert {"efa", "infiniband", "gpudirect-tcpx"} <= {offer.fabric for offer in shipped.offers}


@pytest.mark.parametrize(("name", "field", "value"), FIGURES)
def test_a_figure_is_what_its_source_says(
    shipped: Catalogue, name: str, field: str, value: float
) -> None:
    assert getattr(shipped.accelerators[name], field) == value


@pytest.mark.parametrize(("name", "kind", "value"), DENSE)
def test_speeds_are_the_dense_ones(shipped: Catalogue, name: str, kind: str, value: float) -> None:
    assert shipped.accelerators[name].flops[kind] == value


@pytest.mark.parametrize(("name", "bandwidth", "domain"), LINKS)
def test_links_are_counted_both_ways(
    shipped: Catalogue, name: str, bandwidth: float, domain: int
) -> None:
    link = shipped.accelerators[name].link
    assert link is not None
    assert (link.bandwidth, link.domain) == (bandwidth, domain)


def test_what_a_driver_calls_a_device_finds_it(shipped: Catalogue) -> None:
    for called, name in (
        ("NVIDIA H100 80GB HBM3", "H100-SXM"), ("NVIDIA A100-SXM4-80GB", "A100-80-SXM"),
        ("Tesla T4", "T4"), ("nvidia l4", "L4"), ("Ironwood", "TPU-v7"),
    ):  # fmt: skip
        found = shipped.accelerator(called)
        assert found is not None, called
        assert found.name == name
