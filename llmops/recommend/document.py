"""A recommendation as plain data for `-o json`: stable keys, a reason beside each figure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from llmops.catalog import Origin, origins
from llmops.planning import Figure
from llmops.recommend.recommendation import Option, Recommendation


def recommendation_document(found: Recommendation) -> dict[str, Any]:
    """The recommendation; sizes in bytes, prices in US dollars an hour, texts in tokens."""
    return {
        "task": found.task,
        "assumed": list(found.assumed),
        "options": [_option(option) for option in found.options],
        "passed_over": [{"model": one.name, "reason": one.reason} for one in found.passed_over],
        "changes": [asdict(change) for change in found.changes],
    }


def _option(option: Option) -> dict[str, Any]:
    model, known = option.model, origins()
    return {
        "model": option.name,
        "source": model.source,
        "way": option.way,
        "kind": model.kind,
        "architecture": option.architecture,
        "vllm": {"served": model.vllm in ("in-tree", "transformers"), "reason": option.served},
        "parameters": model.parameters,
        "active_parameters": model.passed,
        "context": model.context,
        "languages": {"count": model.languages.count, "listed": list(model.languages.listed)},
        "licence": {"name": model.licence.name, "use": model.licence.use, "gated": model.gated},
        "memory": {
            "weights": _figure(option.memory),
            "weights_in_4_bits": _figure(option.four_bits),
        },
        "price_per_hour": _figure(option.price),
        "quality": [{"benchmark": s.benchmark, "value": s.value} for s in model.quality],
        "points": option.points,
        "reasons": [asdict(reason) for reason in option.reasons],
        "cited": _origin(known[model.cited]),
        "also_cited": {stated: _origin(known[cited]) for stated, cited in model.also.items()},
        "unconfirmed": list(model.unconfirmed),
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"title": origin.title, "url": origin.url, "date": origin.date.isoformat()}


def _figure(figure: Figure | None) -> dict[str, Any] | None:
    return None if figure is None else {"value": figure.value, "reason": figure.reason}
