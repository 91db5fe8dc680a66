"""Reading a stranger's `config.json`: whatever is in it, the answer is a figure or a Refusal.

Only this module looks into the mapping. A field that decides memory must be there and sane; one
that transformers has a default for is read with that default.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from llmops.planning.refusal import Refusal

MOST = 2**31
"""No figure of a model is as large as this; one that is was not meant."""

MOST_LAYERS = 4096
"""No model has more layers; a list of so many is what a wrong figure makes."""

_LENGTHS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
    "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
"""Where a configuration says how long a request it was trained for; the least of them holds."""

_SCALED_ALREADY = {
    "su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling",
}  # fmt: skip
"""Kinds of rotary scaling for which those lengths are the scaled ones already."""


class Fields:
    """A section of a configuration, read with checks."""

    def __init__(
        self, config: Mapping[str, Any], within: str = "", whole: Fields | None = None
    ) -> None:
        self._config = config
        self._within = within
        self._whole = whole
        self.name: str = whole.name if whole else _class_name(config)
        """The class that the whole configuration names, else its model type; printable."""

    @property
    def model_type(self) -> str:
        """`model_type`, or an empty text."""
        kind = self._config.get("model_type")
        return kind if isinstance(kind, str) else ""

    def top(self) -> Fields:
        """The whole configuration that this is a section of, or this itself."""
        return self._whole or self

    @property
    def classed(self) -> bool:
        """Whether the whole configuration names a class."""
        return bool(self.top().raw().get("architectures"))

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self._config.get(field) is not None

    def says(self, field: str) -> bool:
        """Whether the field is there, be it null: null is often not the same as missing."""
        return field in self._config

    @property
    def nested(self) -> bool:
        """Whether this is a section of a larger configuration.

        transformers writes into a section only what differs from its class's defaults.
        """
        return bool(self._within)

    def number(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """The first of `names` that is there: they are one figure under different names.

        Raises:
            Refusal: When it is no whole number of at least `least`, or missing without a default.
        """
        for field in names:
            value = self._config.get(field)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value < MOST:
                raise self.absurd(field, f"no whole number from {least} to {MOST - 1}")
            return value
        if default is None:
            raise self.absurd(names[0], "missing")
        return default

    def deciding(self, *names: str, default: int = 0) -> int:
        """As `number`, of a figure that a whole configuration must say itself.

        Args:
            default: What a section inside a larger one may leave out; 0: nothing.
        """
        return self.number(*names, default=default if self.nested and default else None)

    def optional(self, *names: str) -> int | None:
        """As `number`; None when it is missing."""
        return self.number(*names) if any(self.has(name) for name in names) else None

    def real(self, field: str, default: float) -> float:
        """A number above 0.

        Raises:
            Refusal: When it is none.
        """
        value = self._config.get(field)
        if value is None:
            return default
        whole = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not whole or not math.isfinite(value) or not 0 < value <= MOST:
            raise self.absurd(field, "not a number above 0")
        return float(value)

    def flag(self, field: str, *, default: bool) -> bool:
        """A truth value.

        Raises:
            Refusal: When it is something else.
        """
        value = self._config.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.absurd(field, "neither true nor false")
        return value

    def text(self, field: str, default: str = "") -> str:
        """A text; the default when it is missing or something else."""
        value = self._config.get(field)
        return value if isinstance(value, str) else default

    def numbers(self, field: str) -> tuple[int, ...] | None:
        """A list of whole numbers of at least 0; None when it is missing.

        Raises:
            Refusal: When it is something else.
        """
        value = self._config.get(field)
        if value is None:
            return None
        if not isinstance(value, list) or not all(
            isinstance(item, int) and not isinstance(item, bool) and 0 <= item < MOST
            for item in value
        ):
            raise self.absurd(field, "not a list of whole numbers")
        return tuple(value)

    def texts(self, field: str, length: int | None = None) -> tuple[str, ...] | None:
        """A list of texts, of `length` of them; None when it is missing.

        Raises:
            Refusal: When it is something else.
        """
        value = self._config.get(field)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.absurd(field, "not a list of words")
        if length is not None and len(value) != length:
            raise self.absurd(field, f"a list of {len(value)}, and there are {length} layers")
        return tuple(value)

    def pair(self, field: str, default: int) -> tuple[int, int]:
        """Height and width: one number for both, or a list of two.

        Raises:
            Refusal: When it is something else.
        """
        if not isinstance(self._config.get(field), list):
            both = self.number(field, default=default)
            return both, both
        sizes = self.numbers(field) or ()
        if len(sizes) != 2 or not all(sizes):
            raise self.absurd(field, "not a pair of whole numbers above 0")
        return sizes[0], sizes[1]

    def entries(self, field: str) -> int:
        """How many entries a list has; 1 when it is missing or a single value.

        Raises:
            Refusal: When the list is empty.
        """
        value = self._config.get(field)
        if not isinstance(value, list):
            return 1
        if not value:
            raise self.absurd(field, "an empty list")
        return len(value)

    def layers(self, *names: str, default: int = 0) -> int:
        """The number of layers; `default` is as for `deciding`.

        Raises:
            Refusal: When it is absurd.
        """
        known = names or ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        count = self.deciding(*known, default=default)
        if count > MOST_LAYERS:
            raise self.absurd(names[0] if names else "num_hidden_layers", f"above {MOST_LAYERS}")
        return count

    def section(self, field: str) -> Fields:
        """A mapping inside, read in the same way.

        Raises:
            Refusal: When there is none.
        """
        value = self._config.get(field)
        if not isinstance(value, Mapping):
            raise self.absurd(field, "missing" if value is None else "not a mapping")
        return Fields(value, f"{self._within}{field}.", self.top())

    def like(self, config: Mapping[str, Any], section: str = "") -> Fields:
        """Another mapping in this one's place, or in that of a section: told of in the same way."""
        return Fields(config, f"{self._within}{section}." if section else self._within, self.top())

    def raw(self) -> Mapping[str, Any]:
        """The mapping itself, for who checks it by other means."""
        return self._config

    def divides(self, whole: int, part: int, field: str, what: str) -> int:
        """`whole / part`.

        Raises:
            Refusal: When it leaves a rest.
        """
        if whole % part:
            raise self.absurd(field, f"{whole}, which {part} {what} do not divide")
        return whole // part

    def positions(self, default: int | None = None) -> int:
        """Longest request that the model was trained for, scaled rotary positions included.

        As vLLM derives it (0.32), which refuses to start with more.

        Raises:
            Refusal: When nothing says so and there is no default.
        """
        given = [field for field in _LENGTHS if self.has(field)]
        if not given:
            if default is None:
                raise self.absurd(_LENGTHS[0], "missing")
            return default
        positions = min(self.number(field) for field in given)
        if "gemma3" in self.model_type:
            return positions
        factor = 1.0
        for scaling in self._scalings():
            kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
            if kind not in _SCALED_ALREADY and scaling.get("factor") is not None:
                factor = Fields(scaling, "rope_scaling.", self.top()).real("factor", 1.0)
        return max(1, int(positions * factor))

    def _scalings(self) -> Iterator[Mapping[str, Any]]:
        """The rotary parameters: one mapping, or one for each type of layer."""
        found = self._config.get("rope_parameters") or self._config.get("rope_scaling")
        if not isinstance(found, Mapping):
            return
        nested = [value for value in found.values() if isinstance(value, Mapping)]
        yield from nested or [found]

    def absurd(self, field: str, what: str) -> Refusal:
        """The refusal of a field."""
        return Refusal(
            f"this version cannot plan {self.name}: in its config.json"
            f" '{self._within}{field}' is {what}",
            hint="ask who made the model, or take another copy of it",
            path="model.source",
        )


def _class_name(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else config.get("model_type")
    return printable(first if isinstance(first, str) and first else "a model without a kind")


def printable(text: str) -> str:
    """A stranger's words as they may be shown: of one line, and not long."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])
