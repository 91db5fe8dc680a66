"""A data set with planted defects, and where each of them is."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.finetuning.data.making import talk

WHO = (
    "the gardener next door", "my older sister", "a tired night nurse", "the new accountant",
    "our piano teacher", "an engineer from Leeds", "the ferry captain", "a young librarian",
    "the baker's apprentice", "some visiting students", "the museum guard", "a retired pilot",
)  # fmt: skip
DID = (
    "forgot to lock", "carefully repaired", "was asked to describe", "finally sold",
    "photographed", "would never lend anyone", "kept a diary about", "cheerfully painted",
    "lost interest in", "wrote a song about", "spent a fortune on", "measured twice",
)  # fmt: skip
WHAT = (
    "the green bicycle", "an orchard of plums", "seven copper kettles", "the broken telescope",
    "a map of the harbour", "every window in the hall", "the smallest of the boats",
    "that enormous cheese", "a jacket with brass buttons", "the old weather station",
    "two boxes of letters", "the neighbour's parrot",
)  # fmt: skip
WHEN = (
    "just before the storm", "on a Tuesday in spring", "while nobody was looking",
    "after the second rehearsal", "for reasons that are still unclear", "during the long strike",
    "as soon as the ice had melted", "without telling the committee", "in the middle of the night",
    "because the recipe asked for it", "until the money ran out", "with surprising patience",
)  # fmt: skip

PERSONAL = {
    "EMAIL_ADDRESS": "quentin.canary@mail.example.org",
    "PHONE_NUMBER": "+44 20 7946 0958",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "IBAN_CODE": "DE89370400440532013000",
    "IP_ADDRESS": "203.0.113.77",
    "US_SSN": "536-90-4399",
    "SECRET": "AKIA" + "QWERTYUIOPASDFGH",
}
"""Planted, to be searched for; a card and an account whose checksums are right."""

ABROAD = (
    ("Was ist gestern Abend mit dem alten Fahrrad geschehen?",
     "Der Gärtner von nebenan hat das alte Fahrrad am Abend sorgfältig repariert."),
    ("Pourquoi ta sœur aînée a-t-elle vendu la petite barque ?",
     "Elle l'a finalement vendue parce que personne n'en voulait plus depuis longtemps."),
    ("¿Por qué perdió el capitán el interés por los mapas antiguos?",
     "Después de la segunda tormenta ya no quería volver a mirar ninguno de ellos."),
    ("Waarom heeft de bakker gisteren de ramen van de winkel geschilderd?",
     "Omdat niemand anders dat wilde doen en het weer eindelijk goed genoeg was."),
)  # fmt: skip


def sentence(drawn: random.Random) -> str:
    """One of 20,736 sentences."""
    said = " ".join(drawn.choice(words) for words in (WHO, DID, WHAT, WHEN))
    return said[0].upper() + said[1:] + "."


@dataclass
class Planted:
    """Rows of both sides, and the numbers of the lines to learn from that have a defect."""

    train: list[object] = field(default_factory=list)
    held: list[object] = field(default_factory=list)
    gone: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By step: lines that it has to remove."""
    changed: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By step: lines that it has to change."""


def plant(seed: int, *, good: int = 150, each: int = 4) -> Planted:
    """A data set: `good` rows without a defect, and `each` with each of the defects."""
    drawn = random.Random(seed)
    planted = Planted()

    def ordinary() -> tuple[str, str]:
        return sentence(drawn), " ".join(sentence(drawn) for _ in range(drawn.randrange(2, 5)))

    originals = [ordinary() for _ in range(good)]
    rows: list[tuple[str, bool, object]] = [("", False, talk(*said)) for said in originals]
    held = [ordinary() for _ in range(12)]
    planted.held = [talk(*said) for said in held]

    def defect(step: str, make: Callable[[int], object], *, changes: bool = False) -> None:
        rows.extend((step, changes, make(at)) for at in range(each))

    defect("read", lambda at: {"messages": [{"role": "user", "content": f"row {at}"}]})
    defect("broken text", lambda _: talk(sentence(drawn), sentence(drawn) + " \ufffd"))
    mojibake = " cafÃ© trÃ¨s bon"
    defect("broken text", lambda _: talk(*_ends(ordinary(), mojibake)), changes=True)
    defect("control signs", lambda _: talk(sentence(drawn), sentence(drawn) + "<|im_end|>"))
    defect("language", lambda at: talk(*ABROAD[at]))
    defect("repetition", lambda at: talk(sentence(drawn), f"and so on {at} " * 40))
    kinds = list(PERSONAL)
    for kind in kinds:
        text = f" Reach it at {PERSONAL[kind]} any time"
        rows.append(("personal data", True, talk(*_ends(ordinary(), text))))
    defect("exact duplicates", lambda at: talk(*(f" {t.upper()}" for t in originals[at])))
    defect("near duplicates", lambda at: talk(originals[20 + at][0], originals[20 + at][1] + " Ah"))
    defect("tokens", lambda _: talk(sentence(drawn), _long(drawn)))
    defect("leakage", lambda at: talk(*held[at]))
    defect("leakage", lambda at: talk(held[5 + at][0], held[5 + at][1] + " Oh"))
    # A duplicate is the later of two, so originals stay in front; the rest is mixed.
    front, back = rows[:40], rows[40:]
    drawn.shuffle(back)
    for line, (step, changes, row) in enumerate([*front, *back], 1):
        planted.train.append(row)
        if step:
            (planted.changed if changes else planted.gone)[step].add(line)
    return planted


def _long(drawn: random.Random) -> str:
    """A text of 4,000 characters like which there is no other."""
    return " ".join("".join(drawn.choices("bcdfghjklmnpqrstvwxz", k=7)) for _ in range(500))


def _ends(said: tuple[str, str], text: str) -> tuple[str, str]:
    return said[0], said[1] + text
