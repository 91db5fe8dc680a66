"""What joins the accelerators of an offer: its fast domain, its rack, its network. Pure.

What the catalogue does not know is not taken for granted: machines of which no fast network and no
common rack is known hold no replica together.
"""

from __future__ import annotations

from llmops.catalog import Accelerator, Offer
from llmops.planning.parallel import Parallel

SPANNING_FABRICS = frozenset({"efa", "infiniband", "roce", "gpudirect-tcpx", "gpudirect-tcpxo"})
"""Networks over which ranks of one replica exchange results."""

SPANNING_RATE = 100e9
"""Bits a second of a machine's network from which a replica is spread over several: below it a
stage hands on 8192 tokens of 8192 features in bfloat16 (134 MB) in more than 10 ms."""


def domain(offer: Offer) -> int:
    """Accelerators of one fast domain: of a machine, or of the rack where the offer says so."""
    return max(1, offer.link.domain if offer.link is not None else offer.count)


def rack(offer: Offer) -> int:
    """Machines of one fast domain: more than one only where a link leaves the machine."""
    return max(1, domain(offer) // offer.count)


def networked(offer: Offer) -> bool:
    """Whether a network that is known to be fast joins such machines."""
    known = offer.network is not None and offer.network >= SPANNING_RATE
    return known and offer.fabric in SPANNING_FABRICS


def joined(offer: Offer) -> int | None:
    """Machines that one replica may lie on as far as what joins them goes; None: any number."""
    return None if networked(offer) else rack(offer)


def spanned(offer: Offer, parallel: Parallel) -> str:
    """Over what a replica spans several machines; empty when it lies on one."""
    if parallel.devices <= offer.count:
        return ""
    if offer.link is not None and parallel.devices <= rack(offer) * offer.count:
        return (
            f"one replica spans machines of one rack, where {offer.link.kind} joins"
            f" {offer.link.domain} devices: take machines of the same rack"
        )
    what = f"{offer.network / 1e9:,.0f} Gbit/s" if offer.network else "a network of unknown rate"
    return f"one replica spans machines over {what} ({offer.fabric or 'fabric unknown'})"


def slow_link(offer: Offer, accelerator: Accelerator, tensor: int) -> str:
    """That tensor parallel ranks exchange results over a slow link; empty when they do not."""
    link = offer.link or accelerator.link
    if tensor < 2:
        return ""
    if link is None or link.kind == "pcie":
        return f"tensor {tensor} over PCIe: no faster link between these devices is known"
    if link.domain < tensor:
        return f"tensor {tensor} is wider than the {link.domain} devices that {link.kind} joins"
    return ""
