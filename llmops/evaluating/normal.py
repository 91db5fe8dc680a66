"""When an answer is a reference, and which label it names: rules by which figures can be redone.

Nothing of a language is known here: no articles are dropped and no words are stemmed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


def normal(text: str) -> str:
    """`text` in Unicode's form NFKC, case folded, white space as single blanks, and without
    punctuation at its two ends."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _AROUND.sub("", " ".join(folded.split()))


def is_exact(answer: str, references: Iterable[str]) -> bool:
    """Whether `answer` is one of the references once both are `normal`."""
    found = normal(answer)
    return any(found == normal(reference) for reference in references)


def named_label(answer: str, labels: Sequence[str]) -> str:
    """The label that an answer names, or nothing.

    In this order: the label that the answer is; the longest label that it begins with, as whole
    words; the only label that occurs in it, as whole words. An answer that names several labels
    without beginning with one names none. Everything is compared `normal`.
    """
    found = normal(answer)
    spelt = {normal(label): label for label in labels}
    if found in spelt:
        return spelt[found]
    begins = [text for text in spelt if re.match(rf"{re.escape(text)}(?!\w)", found)]
    if begins:
        return spelt[max(begins, key=len)]
    inside = [text for text in spelt if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", found)]
    return spelt[inside[0]] if len(inside) == 1 else ""


def split_prompt(prompt: str, reference: str) -> tuple[str, str]:
    """A prompt and its reference, white space at the border being the reference's.

    Most vocabularies join a blank to the word after it, so that a prompt which ends with one would
    be followed by tokens that the model has hardly ever seen there.
    """
    bare = prompt.rstrip()
    return (bare, prompt[len(bare) :] + reference) if bare else (prompt, reference)
