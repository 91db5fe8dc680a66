"""The model that a plan is about, with what many layouts ask of it worked out once. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from llmops.planning import architecture, quantisation
from llmops.planning.architecture import Keys, Latent, Profile, Weight
from llmops.planning.memory import (
    ELEMENT,
    BytesOf,
    CacheSettings,
    Pool,
    Stored,
    dtype,
    loaded_bytes,
    pool,
)
from llmops.planning.model import ModelFacts
from llmops.planning.parallel import Cuts, Parallel
from llmops.planning.quantisation import Quantisation, kv_element
from llmops.planning.served import why_unserved
from llmops.units import Bytes

CLOSE = 0.001
"""Files whose bytes differ from the architecture's by less are taken to be as it says."""


@dataclass(slots=True)
class Subject:
    """A model and what has been worked out of it. Not a value: it remembers answers."""

    profile: Profile
    dtype: str
    """Format of what is not quantised: the engine's word."""
    quantisation: Quantisation | None
    stored: Stored
    cuts: Cuts
    held: int | None
    """Bytes of weights once loaded, where the files' headers were read; None from a configuration
    alone."""
    _weights: dict[tuple[Parallel, int | None], int] = field(default_factory=dict)
    _padded: dict[tuple[int, int | None], Stored] = field(default_factory=dict)
    _pools: dict[tuple[int, int, int, CacheSettings], Pool] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ModelFacts, asked: str = "auto") -> Subject:
        """Read a model's facts.

        Args:
            model: What was looked up.
            asked: The number format that the user wants, or `auto`.

        Raises:
            Refusal: When the configuration is absurd, contradictory or of an unknown kind.
        """
        chosen = dtype(asked, model)
        profile = architecture.read(
            model.config, model.parameters, model.weight_bytes, model.tensors
        )
        how = quantisation.read(model.config, model.dtypes)
        element = ELEMENT[chosen]
        held = None
        if model.weight_bytes:
            held = loaded_bytes(model, element) + _widened(profile, element)
        stored = Stored.of(profile, element, _bytes_of(how, element))
        return cls(profile, chosen, how, stored, Cuts.of(profile), held)

    @property
    def element(self) -> int:
        """Bytes of an element that is not quantised."""
        return ELEMENT[self.dtype]

    @property
    def latent(self) -> bool:
        """Whether any layer has multi-head latent attention."""
        return Latent in self.cuts.memories

    @property
    def head_sizes(self) -> tuple[int, ...]:
        """Sizes of the attention heads whose keys are kept, each once."""
        memories = (memory for layer in self.profile.layers for memory in layer.memory)
        return tuple(sorted({memory.key for memory in memories if isinstance(memory, Keys)}))

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights once loaded: the files', else as the architecture has it."""
        return self.stored.total if self.held is None else self.held

    @property
    def unserved(self) -> str:
        """Why vLLM 0.32 does not serve it; empty when nothing is known against it."""
        return why_unserved(self.profile, self.quantisation)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the model is estimated, or contradicts its files, in sentences."""
        if self.profile.notes or not self._differs:
            return self.profile.notes
        held, told = Bytes(self.weight_bytes).human(), Bytes(self.stored.total).human()
        note = f"its files hold {held} of weights once loaded, and its config.json tells of {told}"
        return (f"{note}: planned with what the files hold",)

    @property
    def _differs(self) -> bool:
        """Whether the files hold more or less than the architecture says."""
        total = self.stored.total
        return self.held is not None and abs(self.held - total) > total * CLOSE

    def kv_element(self, asked: str = "auto") -> int:
        """Bytes of an element of the KV cache: as asked, else the files', else the model's."""
        own = self.quantisation.kv_dtype if self.quantisation else None
        return kv_element(asked if asked != "auto" else own or "auto", self.element)

    def pool(self, parallel: Parallel, settings: CacheSettings) -> Pool:
        """How a layout keeps its KV cache: data ranks and experts are nothing to it."""
        key = (parallel.tensor, parallel.pipeline, parallel.context, settings)
        if key not in self._pools:
            self._pools[key] = pool(self.profile, parallel, settings)
        return self._pools[key]

    def weights(self, parallel: Parallel, capability: int | None = None) -> int:
        """Bytes of weights on the fullest device of a layout.

        Dealt as the architecture says; where the files hold more or less than it, in proportion.

        Args:
            parallel: A legal layout.
            capability: Compute capability of the GPU, on which kernels' tiles depend.
        """
        key = (parallel, capability)
        if key not in self._weights:
            most, total = max(self.stored_on(parallel, capability).on(parallel)), self.stored.total
            if self._differs:
                most = most * self.weight_bytes // total
            self._weights[key] = most
        return self._weights[key]

    def stored_on(self, parallel: Parallel, capability: int | None) -> Stored:
        """The weights with what kernels add to experts that do not fill their tiles."""
        how = self.quantisation
        if how is None or not how.tiles:
            return self.stored
        key = (1 if parallel.expert else parallel.ranks, capability)
        if key not in self._padded:

            def padded(name: str, weight: Weight) -> int:
                return how.padded(name, weight, self.element, *key)

            self._padded[key] = Stored.of(self.profile, self.element, padded)
        return self._padded[key]


def _widened(profile: Profile, element: int) -> int:
    """Bytes that weights take beyond their format because the engine keeps them in float32."""
    counts = Counter(map(id, (*profile.layers, *profile.encoder)))
    alike = {id(layer): layer for layer in (*profile.layers, *profile.encoder)}
    found = [(1, weight) for weight in (*profile.before, *profile.after, *profile.towers)]
    found += [(counts[key], weight) for key, layer in alike.items() for weight in layer.weights]
    wide = sum(count * weight.elements for count, weight in found if weight.float32)
    return wide * (ELEMENT["float32"] - element)


def _bytes_of(how: Quantisation | None, element: int) -> BytesOf | None:
    if how is None:
        return None
    return lambda name, weight: how.stored(name, weight, element)
