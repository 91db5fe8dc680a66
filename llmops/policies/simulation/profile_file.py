"""A replica's profile as a file: measured once, kept beside the spec, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from llmops.policies.simulation.profile import USUAL, Profile
from llmops.spec import Document, Form, Placed, Section, read_document
from llmops.units import Duration

_Seconds = Annotated[float, Field(ge=1e-6, le=60, strict=False)]


class ProfileForm(Section):
    """What one replica can do, as it was measured."""

    kind: Literal["ReplicaProfile"]
    """What the file describes."""

    slots: Annotated[int, Field(ge=1, le=10_000)] = USUAL.slots
    """Requests that the engine works on at once."""

    prefill_tokens_per_second: Annotated[float, Field(ge=1, le=1e8, strict=False)] = (
        USUAL.prefill_rate
    )
    """Tokens of prompts read in a second when nothing else is done."""

    step_seconds: _Seconds = USUAL.step
    """One step of decoding with an empty batch."""

    step_seconds_per_request: Annotated[float, Field(ge=0, le=60, strict=False)] = USUAL.step_each
    """What each request of the batch adds to a step."""

    chunk_tokens: Annotated[int, Field(ge=16, le=16_777_216)] = USUAL.chunk
    """Tokens of prompts read in one step (`max_num_batched_tokens`)."""

    startup: Annotated[Duration, Form("a time such as 60s")] = Duration.parse("60s")
    """From asking for a replica to its first answer."""

    gpus: Annotated[int, Field(ge=1, le=4096)] = 1
    """GPUs of one replica."""

    kv_tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Tokens that the KV cache holds; left out, its use decides nothing."""


PROFILE = Document(
    model=ProfileForm,
    noun="a profile",
    describes="a replica's profile",
    line="kind: ReplicaProfile",
    begin="llmops bench NAME --profile FILE measures a service's and writes one",
    absent="--profile names a file with kind: ReplicaProfile",
    usual="profile.yaml",
    levels="one",
    more="a profile has a number for {path}",
    stand_ins=((("kind",), "ReplicaProfile"),),
    examples={"kind": "kind: ReplicaProfile", "slots": "slots: 16", "startup": "startup: 60s"},
)
"""A profile's file."""


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        InputError: When the file cannot be read.
        SpecError: With all its problems.
    """
    return profile_of(read_document(PROFILE, [path]))


def profile_of(placed: Placed[ProfileForm]) -> Profile:
    """The profile that a file says."""
    form = placed.value
    return Profile(
        slots=form.slots,
        prefill_rate=form.prefill_tokens_per_second,
        step=form.step_seconds,
        step_each=form.step_seconds_per_request,
        chunk=form.chunk_tokens,
        startup=form.startup.seconds,
        devices=form.gpus,
        kv_tokens=form.kv_tokens,
    )
