"""Images: where they come from, and whether they can change under their name."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies.findings import Finding
from llmops.policies.layers import Effective
from llmops.policies.review.subject import Subject, against, shown


def check_images(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about `image`; none where the target runs no containers."""
    image = subject.deployment.image
    if image is None or subject.cluster is None:
        return
    allowed = effective.decided.get("security.images.allowed")
    if allowed and not allowed.admits(image):
        lists = "; and from ".join(shown(patterns) for patterns in allowed.value)
        yield against(
            allowed, image, "image", f"images may not come from {image.partition('@')[0]}",
            fix=f"use an image from {lists}",
        )  # fmt: skip
    digest = effective.decided.get("security.images.digest")
    if digest and digest.value and "@sha256:" not in image:
        yield against(
            digest, False, "image", "an image must be named by its digest", proof=image,
            fix="write registry/name@sha256:…; llmops image build prints it",
        )  # fmt: skip
