"""What a model's quantisation is: which of its weights are stored in another form, and in which."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from llmops.planning.architecture import ByExpert, Role, Weight
from llmops.planning.quantisation.names import Names, Spellings, spellings
from llmops.planning.quantisation.packing import Form
from llmops.planning.refusal import Refusal

LAYERS: frozenset[Role] = frozenset({"linear", "expert"})
"""What every method may quantise; never norms, biases and routers."""

ANY: frozenset[Role] = LAYERS | {"head", "embedding"}
"""What a method may quantise where its configuration says so."""


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that are stored alike."""

    packing: Form | None
    """None: as they are."""
    roles: frozenset[Role] = LAYERS
    names: Names | None = None
    """Whose names match; None: all of these roles."""
    others: bool = False
    """Whether those are meant whose names do not match."""

    def holds(self, role: Role, spelt: Spellings) -> bool:
        """Whether a weight is one of them."""
        if role not in self.roles:
            return False
        return self.names is None or self.names.hit(spelt) is not self.others


@dataclass(frozen=True, slots=True)
class Tile:
    """What a kernel rounds experts up to."""

    least: int
    """Least compute capability for which it is taken."""
    hidden: int
    """The hidden size becomes a multiple of this."""
    width: int
    """So does each rank's part of an expert's width."""

    def rounded(self, width: int, ranks: int) -> int:
        """The width of an expert, all ranks' parts together."""
        return _up(-(-width // ranks), self.width) * ranks


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How a checkpoint stores its weights, as its configuration says."""

    method: str
    """The configuration's `quant_method`, as vLLM spells it."""
    words: str
    """A sentence for people, without a full stop."""
    groups: tuple[Group, ...]
    """The first that holds a weight decides; a weight in none stays as it is."""
    needs: int | None = None
    """Least compute capability of an NVIDIA GPU (89 is 8.9) that vLLM asks for; None if unknown."""
    kv_dtype: str | None = None
    """The KV cache's format where the checkpoint says one, in the words of `kv_cache_dtype`."""
    unloadable: str = ""
    """Why vLLM 0.32 does not load it; empty when it does."""
    tiles: tuple[Tile, ...] = ()
    """To what kernels round experts up, by GPU; empty when they take them as they are."""

    def packing(self, name: str, weight: Weight) -> Form | None:
        """The form of a weight; None when it stays as it is."""
        if not _is_matrix(weight):
            return None
        spelt = spellings(name, weight.role)
        return next((g.packing for g in self.groups if g.holds(weight.role, spelt)), None)

    def stored(self, name: str, weight: Weight, element: int) -> int:
        """Bytes that a weight takes on all devices together, all copies, scales and all.

        Args:
            name: Its full name, as transformers has it: `model.layers.0.mlp.up_proj.weight`.
            weight: Its shape and role.
            element: Bytes of an element that is not quantised.

        Raises:
            Refusal: When its shape does not allow the form.
        """
        return self._bytes(name, weight, element)

    def padded(
        self, name: str, weight: Weight, element: int, ranks: int, capability: int | None
    ) -> int:
        """As `stored`, with what kernels add to experts that do not fill their tiles.

        Args:
            name: Its full name.
            weight: Its shape and role.
            element: Bytes of an element that is not quantised.
            ranks: Tensor parallel ranks that cut each expert; 1 when experts are dealt whole.
            capability: Compute capability of an NVIDIA GPU; None counts with the largest tiles.

        Raises:
            Refusal: When its shape does not allow the form.
        """
        tile = self._tile(capability)
        if tile is None or weight.role != "expert" or not isinstance(weight.cut, ByExpert):
            return self._bytes(name, weight, element)
        width = weight.cut.units
        wide = tile.rounded(width, ranks)
        *outer, rows, columns = weight.shape
        if rows in (width, 2 * width):
            shape = (*outer, rows // width * wide, _up(columns, tile.hidden))
        else:
            shape = (*outer, _up(rows, tile.hidden), wide)
        return self._bytes(name, replace(weight, shape=shape), element)

    def _tile(self, capability: int | None) -> Tile | None:
        if capability is None:
            return max(self.tiles, key=lambda tile: tile.hidden * tile.width, default=None)
        fit = [tile for tile in self.tiles if tile.least <= capability]
        return fit[-1] if fit else None

    def _bytes(self, name: str, weight: Weight, element: int) -> int:
        packing = self.packing(name, weight)
        if packing is None:
            return weight.elements * element
        *outer, rows, columns = weight.shape
        parts = 2 if weight.role == "expert" and "gate_up" in weight.name and not rows % 2 else 1
        why = packing.why_not(rows // parts, columns)
        if why:
            raise Refusal(
                f"the model contradicts itself: it says that {name} is quantised by {self.method},"
                f" and {why}",
                hint="ask who made the model, or take another copy of it",
                path="model.source",
            )
        count = math.prod(outer) * weight.copies * parts
        return count * packing.size(rows // parts, columns, element)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _is_matrix(weight: Weight) -> bool:
    dimensions = 3 if weight.role == "expert" else 2
    return weight.role in ANY and 2 <= len(weight.shape) <= dimensions


def stay(names: Names | None, roles: frozenset[Role] = LAYERS) -> tuple[Group, ...]:
    """The group of those that a list keeps as they are; none without a list."""
    return (Group(None, roles, names),) if names else ()


def sentence(what: str, quantised: Iterable[Role], dtype: str, listed: int = 0) -> str:
    """What is quantised, and what is not.

    Args:
        what: `fp8 weights with 128 x 128 block scales`.
        quantised: Roles that are.
        dtype: What the others are stored as.
        listed: Modules that a list keeps as they are, too.
    """
    roles = frozenset(quantised)
    kept = ["norms", "routers"]
    kept += ["embeddings"] if "embedding" not in roles else []
    kept += ["head"] if "head" not in roles else []
    kept += ["experts"] if "expert" not in roles else []
    kept += ["other layers"] if "linear" not in roles else []
    kept += [f"{listed} listed module{'s' if listed > 1 else ''}"] if listed else []
    return f"{what}; {', '.join(kept[:-1])} and {kept[-1]} stay {dtype}"
