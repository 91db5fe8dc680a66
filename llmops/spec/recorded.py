"""A target as a release's record has it: as much of it as policies are chosen by.

Not read strictly: a later version may have recorded fields that this one does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops.spec.aws import AwsTarget
from llmops.spec.kubernetes import KubernetesTarget
from llmops.spec.machines import BareMetalTarget, LocalTarget

_SECTIONS: Mapping[str, type[KubernetesTarget | AwsTarget | BareMetalTarget]] = {
    "kubernetes": KubernetesTarget,
    "aws": AwsTarget,
    "bare_metal": BareMetalTarget,
}
_CHOSEN_BY = ("namespace", "region")
"""Fields that policies are chosen by."""


def recorded_target(recorded: Mapping[str, Any]) -> LocalTarget | KubernetesTarget | AwsTarget:
    """The target of a record; this machine where it names none."""
    if not recorded:
        return LocalTarget()
    kind = recorded.get("kind", "kubernetes")
    known = {name: recorded[name] for name in _CHOSEN_BY if name in recorded}
    return _SECTIONS.get(kind, KubernetesTarget).model_construct(kind=kind, **known)
