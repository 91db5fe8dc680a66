"""Maintenance of a bare-metal cluster: what a part takes with it, and a host taken out and back."""

from bare_metal.maintaining.effects import Effects, RailLoss, effects_of
from bare_metal.maintaining.host import Stay, carried_out, leaving, returning
from bare_metal.maintaining.part import Part, find_part
from bare_metal.maintaining.power import in_the_way
from bare_metal.maintaining.telling import effect_data, effect_lines
from bare_metal.maintaining.work import Work, look_at, work_lines

__all__ = [
    "Effects",
    "Part",
    "RailLoss",
    "Stay",
    "Work",
    "carried_out",
    "effect_data",
    "effect_lines",
    "effects_of",
    "find_part",
    "in_the_way",
    "leaving",
    "look_at",
    "returning",
    "work_lines",
]
