"""Distillation: a live model as the teacher writes the answers that another one learns from."""

from serving.finetune.distilling.prompts import Prompts, read_prompts
from serving.finetune.distilling.teaching import Taught, distil

__all__ = ["Prompts", "Taught", "distil", "read_prompts"]
