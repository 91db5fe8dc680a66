"""Raw data becomes prepared data: cleaned, tokenised, counted, and reported on."""

from serving.finetune.data.base import tokenizer_folder
from serving.finetune.data.prepare import Prepared, prepare
from serving.finetune.data.settings import Settings, settings_of

__all__ = ["Prepared", "Settings", "prepare", "settings_of", "tokenizer_folder"]
