"""A plan beyond this machine: options in, plan out, printed. It decides nothing."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.options import Format
from llmops.errors import InputError

if TYPE_CHECKING:
    from llmops.catalog import Catalogue
    from llmops.planning import ModelFacts, fleet
    from llmops.spec import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What of a plan is shown, and how."""

    output: Format
    top: int
    rejected: bool
    layouts: str | None
    explain: str | None
    compare: str | None
    plot: Path | None

    def check(self) -> None:
        """Refuse two views at once.

        Raises:
            InputError: When more than one is asked for, naming them.
        """
        views = {"--layouts": self.layouts, "--explain": self.explain, "--compare": self.compare}
        asked = [name for name, value in views.items() if value is not None]
        asked += ["--plot"] if self.plot is not None and self.layouts is not None else []
        if len(asked) > 1:
            raise InputError(
                f"expected one view of a plan, found {' and '.join(asked)}",
                hint="ask for one after the other",
            )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is ready to be answered."""

    source: str
    subject: fleet.Subject
    needs: fleet.Needs
    catalogue: Catalogue
    facts: ModelFacts
    spec: Loaded | None

    def placed(self) -> AbstractContextManager[None]:
        """Errors about a field of the spec, if there is one, told at its place."""
        from cli.specs import placed

        return placed(self.spec) if self.spec is not None else contextlib.nullcontext()


def run(
    files: list[Path] | None,
    model: str | None,
    on: str,
    own: list[Path] | None,
    wish: fleet.Wish,
    shown: Shown,
    *,
    offline: bool,
) -> None:
    """Plan, and print what is asked for."""
    from cli.fleet_views import show
    from cli.specs import read_any, read_spec
    from llmops.spec import Loaded

    if model is not None and files:
        raise InputError(
            "expected a spec or --model, found both",
            hint="leave -f out, or --model: a spec names its model itself",
        )
    catalogue = open_catalogue(on, own)
    spec = None if model is not None else read_any(files)
    if not isinstance(spec, Loaded | None):
        from cli import finetune_offers

        finetune_offers.run(spec, catalogue, wish, shown, offline=offline)
        return
    asked = ask(spec or str(model), catalogue, wish, offline=offline)
    other = None
    if shown.compare == "live" and asked.spec is None:
        raise InputError(
            "--compare live needs a spec: its name says whose release is meant",
            hint="name a spec with -f, or compare with another spec's file",
        )
    if shown.compare not in (None, "live"):
        beside = read_spec([Path(str(shown.compare))])
        other = ask(beside, catalogue, wish, offline=offline)
    show(asked, shown, other)


def ask(what: Loaded | str, catalogue: Catalogue, wish: fleet.Wish, *, offline: bool) -> Asked:
    """Look the model of a spec, or the one that is named, up; and gather what is asked."""
    from cli.fleet_model import model_facts
    from cli.specs import placed
    from llmops.planning import fleet

    if isinstance(what, str):
        needs = fleet.wished(fleet.Needs(), wish, catalogue)
        facts = model_facts(what, offline=offline)
        return Asked(what, fleet.Subject.of(facts, needs.dtype), needs, catalogue, facts, None)
    loaded = what
    with placed(loaded):
        needs = fleet.wished(fleet.needs_of(loaded.deployment, catalogue), wish, catalogue)
        named = loaded.deployment.model
        facts = model_facts(named.source, named.revision, offline=offline)
        subject = fleet.Subject.of(facts, needs.dtype)
    return Asked(named.source, subject, needs, catalogue, facts, loaded)


def open_catalogue(on: str, own: list[Path] | None) -> Catalogue:
    """What is weighed: all that is known, or the machines of one file alone."""
    from cli.catalog import open_catalogue
    from llmops.catalog import load_catalogue
    from llmops.planning import fleet

    if on == "catalog":
        return open_catalogue(own)
    file = Path(on).expanduser()
    if not file.exists():
        raise InputError(
            f"expected here, catalog or a catalogue's file after --on, found '{on[:80]}'",
            hint="docs/reference/catalog.md shows a file of your own machines",
        )
    others = [one for one in own or [] if not (one.exists() and one.samefile(file))]
    return fleet.only(load_catalogue([*others, file]), load_catalogue(others))
