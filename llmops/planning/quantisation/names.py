"""Names of weights as lists in a quantisation's configuration may write them, and how these match.

A list is written for the checkpoint's own names, and read by vLLM 0.32 against names of its own
(fused projections, the root of a larger model). Here a weight has all those spellings at once. The
lists are a stranger's: an expression that could take long to match is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate

from llmops.planning.architecture import Fields, Role

_FUSED = {
    "q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj",
    "gate_proj": "gate_up_proj", "up_proj": "gate_up_proj",
}  # fmt: skip
"""What vLLM fuses a projection into; a list may name either."""

_OF_EXPERTS = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}
"""A table of experts, and the projections of one expert that checkpoints hold instead."""

_MIXTRAL = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
"""How Mixtral's checkpoints name them."""

_ROOTS = ("model.language_model.", "language_model.model.", "model.")
"""Where a decoder stands inside a model: as transformers, as older checkpoints, and as it alone."""

_MAGIC = set("*?[")
_LONGEST = 2000
_MOST_REPEATS = 4
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{)")
_REPEAT = re.compile(r"(?<!\\)(?:[*+]|\{)")


@dataclass(frozen=True, slots=True)
class Spellings:
    """The names that a list may call a weight's module by."""

    own: tuple[str, ...]
    """As it is and fused; the experts of a layer as a whole."""
    single: tuple[str, ...]
    """The same, with the first expert's projections instead of the whole."""


def spellings(name: str, role: Role) -> Spellings:
    """All spellings of the module that holds the weight `name`."""
    module = name.removesuffix(".weight").removesuffix(".bias")
    parent, _, last = module.rpartition(".")
    if role == "expert" and ".experts" in module:
        return _experts(module)
    own = (module, f"{parent}.{_FUSED[last]}") if last in _FUSED else (module,)
    return Spellings(own, own)


def _experts(module: str) -> Spellings:
    stem, _, tail = module.partition(".experts")
    last = tail.removeprefix(".")
    parts = _OF_EXPERTS.get(last, (last,) if last else ())
    own = [f"{stem}.experts"]
    single = [f"{stem}.experts.0.{part}" for part in parts]
    if stem.endswith(".mlp"):
        mixtral = f"{stem.removesuffix('.mlp')}.block_sparse_moe.experts"
        own.append(mixtral)
        single += [f"{mixtral}.0.{_MIXTRAL.get(part, part)}" for part in parts]
    return Spellings(tuple(own), tuple(single))


def _everywhere(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, and the same in other roots."""
    found = list(names)
    for name in names:
        root = next((root for root in _ROOTS if name.startswith(root)), None)
        if root is None:
            found.append(f"language_model.{name}")
        else:
            found += [other + name.removeprefix(root) for other in _ROOTS if other != root]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Names:
    """A list of names, by the way in which its entries match."""

    exact: frozenset[str] = frozenset()
    inside: tuple[str, ...] = ()
    """Texts that match wherever they occur in a name."""
    parts: tuple[str, ...] = ()
    """Whole components of a dotted name, one or more in a row."""
    starts: tuple[str, ...] = ()
    """Texts that a name begins with."""
    regexes: tuple[re.Pattern[str], ...] = ()
    """Expressions that match from a name's beginning."""
    single: bool = False
    """Whether experts are asked for one by one, instead of as a whole."""

    def __bool__(self) -> bool:
        return any((self.exact, self.inside, self.parts, self.starts, self.regexes))

    def hit(self, spelt: Spellings) -> bool:
        """Whether an entry matches one of the spellings."""
        own = spelt.single if self.single else spelt.own
        everywhere = _everywhere(own)
        return (
            any(name in self.exact for name in everywhere)
            or any(text in name for text in self.inside for name in own)
            or any(f".{part}." in f".{name}." for part in self.parts for name in own)
            or any(name.startswith(self.starts) for name in everywhere)
            or any(regex.match(name) for regex in self.regexes for name in everywhere)
        )


def exactly(entries: Iterable[str]) -> Names:
    """Names that match as they are; one of an expert stands for all experts of its layer."""
    whole = set(entries)
    experts = {f"{entry.partition('.experts')[0]}.experts" for entry in whole if ".exp" in entry}
    return Names(exact=frozenset(whole | experts))


def either(fields: Fields, field: str, entries: Iterable[str]) -> Names:
    """Names that match as they are, and expressions after `re:`; experts one by one.

    Raises:
        Refusal: When an expression is none, or could take long.
    """
    plain, regexes = set(), []
    for entry in entries:
        if entry.startswith("re:"):
            regexes.append(expression(fields, field, entry.removeprefix("re:")))
        else:
            plain.add(entry)
    return Names(exact=frozenset(plain), regexes=tuple(regexes), single=True)


def wildcards(entries: Iterable[str]) -> Names:
    """Shell patterns for whole names."""
    known = set(entries)
    starts = {entry[:-1] for entry in known if entry.endswith("*") and not _MAGIC & {*entry[:-1]}}
    rest = {entry for entry in known if entry[:-1] not in starts or not entry.endswith("*")}
    return Names(
        starts=tuple(sorted(starts)),
        regexes=tuple(re.compile(translate(entry[:_LONGEST])) for entry in sorted(rest)),
    )


def expression(fields: Fields, field: str, text: str) -> re.Pattern[str]:
    """A stranger's regular expression, if it is harmless.

    Raises:
        Refusal: When it is none, or could take long.
    """
    simple = re.sub(r"(?:\.[*+]){2,}", ".*", text)
    costly = (
        len(text) > _LONGEST
        or len(_REPEAT.findall(simple)) > _MOST_REPEATS
        or _REPEATED_GROUP.search(simple)
    )
    if costly:
        raise fields.absurd(field, f"an expression that could take long to match: {shown(text)}")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise fields.absurd(field, f"no regular expression: {shown(text)}") from error


def shown(text: str) -> str:
    """A stranger's text, fit to be printed."""
    return repr("".join(letter if letter.isprintable() else "?" for letter in text[:60]))
