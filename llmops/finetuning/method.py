"""What is trained: every weight, or adapters beside weights that stay as they are.

Every field is documented by the docstring right below it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from llmops.spec import Form, Section

ALL_LINEAR = "all-linear"

Target = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,199}$"),
    Form("the name of a layer, such as q_proj"),
]


class Full(Section):
    """Every weight is trained. It takes the most memory, and makes a whole model."""

    kind: Literal["full"]
    """What is trained: `full` every weight; `lora` low-rank adapters beside them; `qlora` adapters
    beside weights that are held in 4 bits, which needs a GPU."""


class Lora(Section):
    """Two small matrices beside each layer are trained (Hu et al., "LoRA", 2021); the weights of
    the base stay as they are, and many adapters can be served beside one base."""

    kind: Literal["lora"] = "lora"
    """What is trained: `full` every weight; `lora` low-rank adapters beside them; `qlora` adapters
    beside weights that are held in 4 bits, which needs a GPU."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rows of the small matrices: more can hold more, and take memory in proportion."""

    alpha: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = "auto"
    """What the adapter is added with: it is multiplied by alpha / rank. `auto` is twice the rank,
    so that another rank asks for no other learning rate."""

    dropout: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    """Share of an adapter's inputs that is left out by chance in each step, against learning a
    small data set by heart."""

    targets: (
        Annotated[tuple[Target, ...], Field(strict=False), Form("a list of layers' names")]
        | Literal["all-linear"]
    ) = "all-linear"
    """Which layers get an adapter: names, or ends of names, such as [q_proj, v_proj]. `all-linear`
    is every linear layer but the head, which learns most for its memory (Dettmers et al., "QLoRA",
    2023, section 4)."""

    @property
    def scale(self) -> int:
        """Alpha, settled."""
        return 2 * self.rank if self.alpha == "auto" else self.alpha


class Qlora(Lora):
    """Adapters beside weights that are held in 4 bits (Dettmers et al., "QLoRA", 2023)."""

    kind: Literal["qlora"]  # type: ignore[assignment]  # all else is as for lora
    """What is trained: `full` every weight; `lora` low-rank adapters beside them; `qlora` adapters
    beside weights that are held in 4 bits, which needs a GPU."""


_METHODS = {"full": "Full", "qlora": "Qlora"}


def _section_of(value: Any) -> str:
    """Which method a section is: adapters where it does not say."""
    kind = value.get("kind", "lora") if isinstance(value, dict) else getattr(value, "kind", "")
    return _METHODS.get(kind, "Lora") if isinstance(kind, str) else "Lora"


Method = Annotated[
    Annotated[Lora, Tag("Lora")] | Annotated[Full, Tag("Full")] | Annotated[Qlora, Tag("Qlora")],
    Discriminator(_section_of),
]
"""What is trained: the section's `kind` says which of these it is."""


__all__ = ["ALL_LINEAR", "Full", "Lora", "Method", "Qlora"]
