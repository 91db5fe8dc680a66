"""Fine-tuning in words and figures: what a user asks for, and what training it takes. Pure."""

from llmops.finetuning.data import Columns, Data, Duplicates, Entities, Filters, Rows
from llmops.finetuning.document import FINETUNE, parse_finetune, read_finetune
from llmops.finetuning.method import Full, Lora, Method, Qlora
from llmops.finetuning.model import (
    HELD_OUT,
    Base,
    Exam,
    FineTune,
    Result,
)
from llmops.finetuning.places import located, path_of
from llmops.finetuning.scaling_law import (
    FARTHEST,
    Bought,
    Law,
    Point,
    Step,
    Varied,
    best_split,
    largest,
    steps,
    varied,
)
from llmops.finetuning.starter import starter
from llmops.finetuning.training import Checkpoints, Hardware, Strategy, Training

__all__ = [
    "Base",
    "Bought",
    "Checkpoints",
    "Columns",
    "Data",
    "Duplicates",
    "Entities",
    "Exam",
    "FARTHEST",
    "FINETUNE",
    "Filters",
    "FineTune",
    "Full",
    "HELD_OUT",
    "Hardware",
    "Law",
    "Lora",
    "Method",
    "Point",
    "Qlora",
    "Result",
    "Rows",
    "Step",
    "Strategy",
    "Training",
    "Varied",
    "best_split",
    "largest",
    "located",
    "parse_finetune",
    "path_of",
    "read_finetune",
    "starter",
    "steps",
    "varied",
]
