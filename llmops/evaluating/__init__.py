"""What scores mean: their comparison, and whether a gate lets a model pass. Pure."""

from llmops.evaluating.comparing import (
    Comparison,
    Interval,
    alike_interval,
    discordant,
    gain,
    paired,
    share_interval,
)
from llmops.evaluating.gate import (
    FEWEST_ITEMS,
    Gate,
    Outcome,
    Rival,
    Verdict,
    gates_for,
    judge,
    verdicts_document,
)
from llmops.evaluating.items import Item, ItemSet, Turn, read_items
from llmops.evaluating.metric import BLEU_ORDER, Metric, figure
from llmops.evaluating.normal import is_exact, named_label, normal, split_prompt
from llmops.evaluating.scores import Scores, figure_of, read_scores

__all__ = [
    "BLEU_ORDER",
    "Comparison",
    "FEWEST_ITEMS",
    "Gate",
    "Interval",
    "Item",
    "ItemSet",
    "Metric",
    "Outcome",
    "Rival",
    "Scores",
    "Turn",
    "Verdict",
    "alike_interval",
    "discordant",
    "figure",
    "figure_of",
    "gain",
    "gates_for",
    "is_exact",
    "judge",
    "named_label",
    "normal",
    "paired",
    "read_items",
    "read_scores",
    "share_interval",
    "split_prompt",
    "verdicts_document",
]
