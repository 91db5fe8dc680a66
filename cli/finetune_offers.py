"""The machines of a catalogue for a training: looked up, weighed, and printed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from cli.fleet_tables import print_fitted, say
from cli.fleet_views import REFUSED
from cli.options import Format
from llmops.errors import InputError

if TYPE_CHECKING:
    from cli.fleet import Shown
    from llmops.catalog import Catalogue
    from llmops.finetuning import FineTune
    from llmops.finetuning.planning import TrainingFleet, TrainingOption
    from llmops.planning import fleet
    from llmops.spec import Placed

OF_A_MACHINE = frozenset({"gpu", "providers", "regions", "spot", "budget"})
"""What may be wished of a machine for a training; all else is of a service."""

WORDS = {"in_flight": "in-flight"}

STALE = 90
"""Days after which a price is looked up anew, as `llmops catalog check` has it."""


def run(
    read: Placed[FineTune],
    catalogue: Catalogue,
    wish: fleet.Wish,
    shown: Shown,
    *,
    offline: bool,
) -> None:
    """Weigh a catalogue's machines for a training, and print them; ends with 3 where none does."""
    from cli.finetune_plan import refuse
    from cli.fleet_model import model_facts
    from cli.output import print_data
    from cli.specs import placed
    from llmops.finetuning import located
    from llmops.finetuning.planning import fleet_document, search_offers
    from llmops.planning import fleet

    refuse(shown, "layouts")
    _refuse(wish)
    with placed(read):
        spec = located(read)
        needs = fleet.wished(fleet.Needs(), wish, catalogue)
        facts = model_facts(spec.model.source, spec.model.revision, offline=offline)
        found = search_offers(spec, facts, catalogue, needs)
    if shown.output is Format.TEXT:
        _print(spec, found, shown)
    else:
        print_data(fleet_document(found, top=shown.top), shown.output)
    if not found.options:
        raise typer.Exit(REFUSED)


def _refuse(wish: fleet.Wish) -> None:
    """Refuse what only the plan of a service has an answer to.

    Raises:
        InputError: Naming the first such option.
    """
    for name, default in type(wish).__dataclass_fields__.items():
        if name not in OF_A_MACHINE and getattr(wish, name) != default.default:
            raise InputError(
                f"--{WORDS.get(name, name)} is for the plan of a service, and this is a"
                " fine-tuning",
                hint="its file says how it is trained: training.workers, training.strategy …",
            )


def _print(spec: FineTune, found: TrainingFleet, shown: Shown) -> None:
    say(
        f"{spec.name}: {spec.model.source}, {spec.method.kind},"
        f" {spec.training.workers} worker(s), sequences of {spec.training.sequence:,} tokens"
    )
    typer.echo("")
    if found.options:
        _print_options(found, shown.top)
    else:
        _print_nothing(found)
    if shown.rejected:
        from cli.fleet_text import print_rejected

        print_rejected(found.rejections)


def _print_options(found: TrainingFleet, top: int) -> None:
    from cli.finetune_plan import print_plan
    from llmops.finetuning.planning import price_reason

    chosen = found.options[:top]
    rows = [
        (one.offer.name, f"{one.offer.count} x {one.accelerator.name}", _money(one), one.region,
         one.why)
        for one in chosen
    ]  # fmt: skip
    print_fitted(("MACHINE", "GPUS", "USD/H", "REGION", "WHY"), rows, right=frozenset({"USD/H"}))
    if more := len(found.options) - len(chosen):
        say(f"and {more} more types of machines on which it fits (--top {len(found.options)})")
    first = found.options[0]
    typer.echo("")
    say(f"{first.offer.name}: {price_reason(first, found.needs)}{_age(first)}")
    print_plan(first.plan)


def _age(option: TrainingOption) -> str:
    """How old the price is, where it is old."""
    source = option.offer.sources.get("prices")
    if source is None or option.price is None:
        return ""
    days = (datetime.now(UTC).date() - source.date).days
    return f", {days} days old: look it up anew before you decide" if days > STALE else ""


def _print_nothing(found: TrainingFleet) -> None:
    """What is nearest to fit, and with which change; else the reasons of most machines."""
    if (near := found.nearest) is not None:
        say("nothing fits as it is written")
        say(f"nearest: {near.offer.name} ({near.offer.count} x {near.offer.accelerator}):"
            f" {near.reason}")  # fmt: skip
        say(f"hint: {near.hint}")
        return
    if not found.rejections:
        say("no machine of the catalogue is what was asked for")
        return
    one = found.rejections[0]
    say(f"nothing fits: {one.offer.name}: {one.reason}")
    say("--rejected lists the reasons of all machines")


def _money(option: TrainingOption) -> str:
    if option.price is None:
        return "?"
    own = option.offer.provider == "own" and not option.offer.prices
    return "own" if own else f"{option.price:,.2f}"
