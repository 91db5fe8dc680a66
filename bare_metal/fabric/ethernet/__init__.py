"""A fabric of Ethernet switches, as its hosts and switches tell of their neighbours by LLDP."""

from bare_metal.fabric.ethernet.answers import (
    Answer,
    Answers,
    Neighbour,
    NotAsked,
    Port,
)
from bare_metal.fabric.ethernet.verify import ETHERNET_RULES, verify_neighbours

__all__ = [
    "Answer",
    "Answers",
    "ETHERNET_RULES",
    "Neighbour",
    "NotAsked",
    "Port",
    "verify_neighbours",
]
