"""What a preparation is asked for, and the digest that names its result.

Everything that can change a byte of the result is in the digest: the section of the spec, the
inputs' own digests, the tokenizer, and the versions of the libraries that judge text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from llmops.errors import InputError
from llmops.finetuning import HELD_OUT, Data, FineTune, path_of

FORMAT = 1
"""Of the prepared folder. Raised whenever the same inputs would give other bytes."""

LIBRARIES = ("datasketch", "ftfy", "jinja2", "matplotlib", "phonenumbers", "presidio-analyzer",
             "py3langid", "pyarrow", "tokenizers", "transformers")  # fmt: skip
"""Libraries whose version can change the result."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to prepare. `data` has absolute places only: see `llmops.finetuning.located`."""

    data: Data
    sequence: int
    """Tokens of a training sequence: the longest row, where `filters.max_tokens` says nothing."""
    seed: int
    exams: Mapping[str, Path] = field(default_factory=dict)
    """Files that are asked and must not be learnt, by where the spec names them (`eval[0].set`).
    None where `data.leakage` is `keep`: the result does not follow from them."""

    @property
    def longest(self) -> int:
        """Most tokens of a row."""
        return self.data.filters.max_tokens or self.sequence


def settings_of(spec: FineTune) -> Settings:
    """The settings of a fine-tuning whose places have been made absolute."""
    exams: dict[Path, str] = {}
    if spec.data.leakage != "keep":
        for at, exam in enumerate(spec.eval):
            if exam.set != HELD_OUT:
                exams.setdefault(path_of(exam.set) or Path(exam.set), f"eval[{at}].set")
    places = {place: path for path, place in exams.items()}
    return Settings(spec.data, spec.training.sequence, spec.training.seed, places)


def library_versions() -> dict[str, str]:
    """Versions of what judges text.

    Raises:
        InputError: When one of these libraries is not installed.
    """
    try:
        return {name: version(name) for name in LIBRARIES}
    except PackageNotFoundError as error:
        raise InputError(
            f"preparing data needs the package {error.name}, which is not installed",
            hint="pip install 'llmops[finetune]'",
        ) from error
