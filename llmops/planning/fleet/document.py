"""A fleet plan as plain data for `-o json`: stable keys, every figure beside its reason. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from llmops.planning.figures import kv_per_token
from llmops.planning.fleet.lines import kv_tokens, memory_lines, spare_replicas
from llmops.planning.fleet.model import FleetOption, FleetPlan, Rejection
from llmops.planning.fleet.placement import place
from llmops.planning.fleet.reasons import binding, why_later
from llmops.planning.model import Figure
from llmops.planning.subject import Subject

BYTES, TOKENS, DOLLARS = "B", "token", "USD/h"


def document(
    plan: FleetPlan, subject: Subject, *, source: str = "", top: int | None = None
) -> dict[str, Any]:
    """The plan; a figure is `{"value": …, "unit": …, "reason": …}`, `unit` only where it has one.

    Args:
        plan: What was found.
        subject: The model it is about.
        source: Where the model was looked up, as the user wrote it.
        top: Options to show at most; all without.
    """
    first = plan.options[0] if plan.options else None
    return {
        "question": question(plan, source),
        "model": model(subject, plan.needs.kv_dtype),
        "served": _figure(not (why := subject.unserved), why or "nothing is known against it"),
        "why": plan.why,
        "memory": memory(subject, first, plan) if first else None,
        "options": [_option(subject, one, plan) for one in plan.options[:top]],
        "options_found": len(plan.options),
        "rejected": [_rejected(one) for one in plan.rejections],
    }


def question(plan: FleetPlan, source: str) -> dict[str, Any]:
    """What was asked, with what was assumed."""
    needs = plan.needs
    asked = {key: _plain(value) for key, value in asdict(needs).items()}
    return {"source": source} | asked


def model(subject: Subject, kv_dtype: str = "auto") -> dict[str, Any]:
    """What is known of the model."""
    profile, how = subject.profile, subject.quantisation
    return {
        "name": profile.name,
        "type": profile.model_type,
        "task": profile.task,
        "dtype": subject.dtype,
        "quantisation": how.words if how else None,
        "parameters": _figure(profile.parameters, "added up from the shapes of its weights"),
        "active_parameters": _figure(profile.active, active_reason(subject)),
        "weight_bytes": _figure(subject.weight_bytes, bytes_reason(subject), BYTES),
        "kv_bytes_per_token": _of(kv_per_token(subject, kv_dtype), BYTES),
        "context_trained": _figure(profile.max_positions, "by its configuration", TOKENS),
        "notes": list(subject.notes),
    }


def active_reason(subject: Subject) -> str:
    """Which parameters one token passes."""
    profile = subject.profile
    if not profile.experts:
        return "a token passes all of them"
    return f"a token passes {profile.experts_per_token} of {profile.experts} experts in a layer"


def bytes_reason(subject: Subject) -> str:
    """Where the size of the weights is from."""
    if subject.held is not None:
        return "as the headers of the weight files have it, once loaded"
    form = subject.quantisation.words if subject.quantisation else f"as {subject.dtype}"
    return f"from the configuration alone, {form}"


def memory(subject: Subject, option: FleetOption, plan: FleetPlan) -> dict[str, Any]:
    """The memory of the fullest device of an option."""
    taken = option.budget.memory - option.budget.reserve
    shown = "what its driver shows" if option.accelerator.usable is not None else "as sold"
    lines = memory_lines(subject, option, plan.needs)
    return {
        "device_bytes": _figure(
            option.budget.memory, f"memory of {option.accelerator.name}, {shown}", BYTES
        ),
        "per_device_bytes": _figure(
            taken, "what the engine takes: weights, buffers and KV cache", BYTES
        ),
        **{line.name: _figure(line.bytes, line.reason, BYTES) for line in lines},
    }


def price_reason(option: FleetOption, plan: FleetPlan) -> str:
    """What a price is made of, and as of which day."""
    if option.price is None:
        return "not in the catalogue"
    if option.free:
        return "machines of your own cost nothing by the hour"
    source = option.offer.sources.get("prices")
    day = f", as of {source.date}" if source is not None else ""
    kind = "spot" if plan.needs.spot else "on demand"
    each = option.price / option.machines
    return f"{option.machines} x {each:,.4g} USD/h {kind} in {option.region}{day}"


def context_reason(option: FleetOption, subject: Subject, plan: FleetPlan) -> str:
    """Why the context is what it is."""
    trained = subject.profile.max_positions
    if plan.needs.context is not None:
        return "as asked"
    if option.budget.context == trained:
        return "what the model was trained for"
    return f"the model was trained for {trained:,}, and the KV cache holds this much"


def _option(subject: Subject, option: FleetOption, plan: FleetPlan) -> dict[str, Any]:
    first, needs = plan.options[0], plan.needs
    typical = min(needs.typical, option.budget.context)
    return {
        "machine": option.offer.name,
        "provider": option.offer.provider,
        "accelerator": option.accelerator.name,
        "accelerators_per_machine": option.offer.count,
        "machines": option.machines,
        "replicas_per_machine": option.per_machine,
        "region": option.region or None,
        "layout": asdict(option.parallel) | {"devices": option.parallel.devices},
        "dtype": option.dtype,
        "context": _figure(
            option.budget.context, context_reason(option, subject, plan), TOKENS
        ),
        "requests": _figure(
            option.requests,
            f"of {typical:,} tokens at once in one replica; {needs.in_flight} asked",
        ),
        "kv_tokens": _figure(kv_tokens(option), "in one replica, as the engine reports", TOKENS),
        "price": _figure(option.price, price_reason(option, plan), DOLLARS),
        "idle": _figure(option.idle, "devices of these machines that nothing uses"),
        "spare_replicas": _figure(spare_replicas(option), "more at no extra price"),
        "memory": memory(subject, option, plan),
        "binding": binding(option, needs),
        "why": plan.why if option is first else why_later(option, first),
        "notes": list(option.notes),
        "placement": [asdict(rank) for rank in place(option)] if option is first else None,
    }  # fmt: skip


def _rejected(one: Rejection) -> dict[str, Any]:
    return {
        "machine": one.offer.name,
        "accelerator": one.offer.accelerator,
        "count": one.offer.count,
        "reason": one.reason,
    }


def prices(plan: FleetPlan, today: date, lasting: int = 90) -> dict[str, tuple[date, bool]]:
    """By provider of the options, the oldest day of its prices and whether that is stale.

    Args:
        plan: What was found.
        today: The day to compare with.
        lasting: Days after which a price is stale, as `llmops catalog check` has it.
    """
    found: dict[str, date] = {}
    for option in plan.options:
        source = option.offer.sources.get("prices")
        if source is not None and option.price is not None:
            known = found.get(option.offer.provider, source.date)
            found[option.offer.provider] = min(known, source.date)
    return {name: (day, (today - day).days > lasting) for name, day in found.items()}


def _figure(value: object, reason: str, unit: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"value": value}
    return made | ({"unit": unit} if unit else {}) | {"reason": reason}


def _of(figure: Figure, unit: str) -> dict[str, Any]:
    return _figure(figure.value, figure.reason, unit)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
