"""Artefacts: what a run of fine-tuning has made, with its lineage and digests."""

from serving.finetune.artefacts.adapter import adapter_facts, locate
from serving.finetune.artefacts.kept import Artefact, keep, read, verify
from serving.finetune.artefacts.lineage import Base, Gated, Lineage, base_of
from serving.finetune.artefacts.merging import merge
from serving.finetune.artefacts.promoting import Promotion, promotion, served_runs

__all__ = [
    "Artefact",
    "Base",
    "Gated",
    "Lineage",
    "Promotion",
    "adapter_facts",
    "base_of",
    "keep",
    "locate",
    "merge",
    "promotion",
    "read",
    "served_runs",
    "verify",
]
