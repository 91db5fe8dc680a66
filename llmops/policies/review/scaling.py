"""How many replicas there are when nobody asks; bounds are looked at in `fields`."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies.findings import Finding
from llmops.policies.layers import Effective
from llmops.policies.review.subject import Subject, against


def check_scaling(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about scaling to zero, also in a window of the schedule."""
    bound = effective.decided.get("scaling.scale_to_zero")
    if bound is None or bound.value:
        return
    scaling = subject.deployment.scaling
    asked = [("scaling.replicas", scaling.replicas)]
    asked += [
        (f"scaling.schedule[{index}].replicas", entry.replicas)
        for index, entry in enumerate(scaling.schedule)
    ]
    for path, replicas in asked:
        if replicas.low == 0:
            yield against(
                bound, True, path, "there may be no replica, and one at least is asked for",
                proof=f"{path}: {replicas}", fix=f"set {path}: 1..{replicas.high}",
            )  # fmt: skip
