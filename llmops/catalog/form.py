"""What may stand in a catalogue's file, shipped or the user's own: the same form for both.

Every field is documented by the docstring right below it. Nothing here reads a file, or compares
entries with each other.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from llmops.catalog.rates import BitRate, ByteRate, OpRate
from llmops.spec import Between, Form, Section
from llmops.units import Bytes


def _day(text: object) -> date:
    if not isinstance(text, str):
        raise ValueError("no day")  # noqa: TRY004 - pydantic takes no TypeError
    return date.fromisoformat(text)


Day = Annotated[
    date,
    BeforeValidator(_day),
    Form("a day such as '2026-07-20'", "write year, month and day in quotes: '2026-07-20'"),
]
DeviceMemory = Annotated[Bytes, Between("1MiB", "4TiB", "80GiB")]
HostMemory = Annotated[Bytes, Between("1MiB", "64TiB", "2TiB")]
Dollars = Annotated[float, Field(ge=0.0001, le=100_000)]
SourceId = Annotated[str, Form("the id of a source, one of those under 'sources'")]
Cited = Annotated[dict[str, SourceId], Form("a mapping of fields' names to ids of sources")]


class SourceForm(Section):
    """Where figures were read."""

    title: Annotated[str, Field(min_length=1), Form("what it is called")]
    """What it is called, and whose it is."""

    url: Annotated[
        str,
        Field(pattern=r"^https?://[^\s]+$"),
        Form("an address such as https://example.com/page"),
    ]
    """Where it can be read."""

    date: Day
    """The day on which its figures held: of the document, or of the snapshot."""


class LinkForm(Section):
    """What joins devices to one fast domain."""

    kind: Literal["nvlink", "infinity-fabric", "ici", "ethernet", "pcie"]
    """`pcie` where there is nothing better."""

    bandwidth: ByteRate
    """Of one device, both directions together."""

    domain: Annotated[int, Field(ge=1, le=100_000)]
    """Devices in one fast domain at most."""


class FlopsForm(Section):
    """Dense operations a second, by number format; makers' sparse figures are twice these."""

    fp64: OpRate | None = None
    """Of the ordinary units."""
    fp32: OpRate | None = None
    """Of the ordinary units."""
    tf32: OpRate | None = None
    """Of the matrix units."""
    bf16: OpRate | None = None
    """Of the matrix units."""
    fp16: OpRate | None = None
    """Of the matrix units."""
    fp8: OpRate | None = None
    """Of the matrix units."""
    int8: OpRate | None = None
    """Of the matrix units."""
    fp6: OpRate | None = None
    """Of the matrix units."""
    fp4: OpRate | None = None
    """Of the matrix units."""


class AcceleratorForm(Section):
    """One kind of device; what could not be sourced is left out."""

    vendor: Literal["nvidia", "amd", "google", "intel", "aws"]
    """Who makes it."""

    kind: Literal["gpu", "tpu", "cpu"] = "gpu"
    """A CPU has no memory of its own."""

    aliases: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = ()
    """Other names that users, clouds and drivers give it."""

    memory: DeviceMemory | None = None
    """As sold."""

    usable: DeviceMemory | None = None
    """What its driver shows a program."""

    bandwidth: ByteRate | None = None
    """Of its memory."""

    flops: FlopsForm | None = None
    """Dense, by number format."""

    link: LinkForm | None = None
    """What joins it to its neighbours."""

    pcie: ByteRate | None = None
    """Of its host link, one direction."""

    capability: Annotated[str, Form("text such as '9.0' or 'gfx942', in quotes")] = ""
    """CUDA compute capability, or AMD's gfx name."""

    year: Annotated[int, Field(ge=2000, le=2100)] | None = None
    """In which it could be had first."""

    source: SourceId | None = None
    """Of its figures, but for those that `cited` names here or in the file."""

    cited: Cited = Field(default_factory=dict)
    """Sources of single figures, where they differ."""


class PriceForm(Section):
    """What an hour costs in one region, in US dollars."""

    on_demand: Dollars | None = None
    """Without a commitment."""

    spot: Dollars | None = None
    """When the provider may take the machine back."""


class OfferForm(Section):
    """A type of machine."""

    accelerator: Annotated[str, Form("the name of an accelerator")]
    """Name, or another name, of an accelerator of the catalogue."""

    count: Annotated[int, Field(ge=1, le=10_000)]
    """Accelerators in one machine; sockets for a CPU."""

    vcpus: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Threads that a program sees."""

    memory: HostMemory | None = None
    """Of the host."""

    network: BitRate | None = None
    """Of all network interfaces together, one direction."""

    fabric: Literal[
        "efa", "infiniband", "roce", "gpudirect-tcpx", "gpudirect-tcpxo", "gvnic", "ici",
        "ethernet",
    ] | None = None  # fmt: skip
    """What kind of network joins machines."""

    gpudirect: bool | None = None
    """Whether the network reads device memory itself."""

    rails: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Network adapters that each serve one accelerator."""

    link: LinkForm | None = None
    """What joins the accelerators of this machine, where it differs from the accelerator's."""

    machines: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many there are; without it as many as one pays for."""

    prices: dict[str, PriceForm] = Field(default_factory=dict)
    """By region."""

    source: SourceId | None = None
    """Of its figures, but for those that `cited` names here or in the file."""

    cited: Cited = Field(default_factory=dict)
    """Sources of single figures, where they differ."""


class CatalogueForm(Section):
    """One file of the catalogue."""

    sources: dict[str, SourceForm] = Field(default_factory=dict)
    """Where the figures of this file were read, by an id of this file's own."""

    source: SourceId | None = None
    """Of every figure of this file of which nothing else says its source."""

    cited: Cited = Field(default_factory=dict)
    """Of single figures of every entry, such as `{prices: id}`, where the entry cites no other."""

    accelerators: dict[str, AcceleratorForm] = Field(default_factory=dict)
    """By name."""

    offers: dict[str, OfferForm] = Field(default_factory=dict)
    """By provider and instance, such as `aws/p5.48xlarge`; `own/…` for one's own machines."""
