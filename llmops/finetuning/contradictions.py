"""What no fine-tuning can mean, though each value has the right type: sections compared. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.finetuning.data_rules import find_in_data
from llmops.finetuning.exam_rules import find_in_exams
from llmops.finetuning.model import FineTune
from llmops.finetuning.training_rules import find_in_training
from llmops.spec import Finding, Written, find_in_source


def find_contradictions(spec: FineTune, written: Written) -> Iterator[Finding]:
    """Everything that is wrong with a fine-tuning of which each value has the right type."""
    yield from find_in_source(("model",), spec.model.source, spec.model.revision)
    yield from find_in_data(spec, written)
    yield from find_in_training(spec, written)
    yield from find_in_exams(spec, written)
