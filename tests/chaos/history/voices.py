"""Voices of releases, of which no letter is another's: any piece of text says who wrote it.

A model of a voice says its letters in a row, over and over, a token each (`make_tiny_model`). So
a text that was cut, repeated, put in another order or sewn together from two shows by itself.
"""

from __future__ import annotations

import string

LETTERS = 10
_ALL = string.ascii_letters + string.digits
VOICES = tuple(_ALL[at : at + LETTERS] for at in range(0, len(_ALL) - LETTERS + 1, LETTERS))


def voice_of(text: str) -> str:
    """The voice of a text's first letter; empty when it is nobody's."""
    return next((voice for voice in VOICES if text[:1] and text[0] in voice), "")


def broken_at(text: str) -> int | None:
    """Where a text ceases to be what its first letter's voice would say; None when it never does.

    An empty text is whole.
    """
    voice = voice_of(text)
    if not voice:
        return 0 if text else None
    first = voice.index(text[0])
    for at, letter in enumerate(text):
        if letter != voice[(first + at) % len(voice)]:
            return at
    return None
