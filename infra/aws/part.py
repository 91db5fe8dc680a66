"""What every component has: its place below another, tags, and what it was called before.

A resource's identity is its name below its parents. When one is renamed here, its old name goes to
`RENAMED`, so that it is found again and not made anew; a test fails for names that come or go
without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.tags import NAME_TAG, STAYING

RENAMED: Mapping[str, tuple[str, ...]] = {}
"""By the name of a resource: the names that it had in earlier versions."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What all parts of a stack share."""

    service: str
    region: str
    tags: Mapping[str, str]

    @property
    def partition(self) -> str:
        """The part of AWS that the region is in, as ARNs name it."""
        if self.region.startswith("us-gov-"):
            return "aws-us-gov"
        return "aws-cn" if self.region.startswith("cn-") else "aws"

    def tagged(self, name: str) -> dict[str, str]:
        """The tags of a resource."""
        return {**self.tags, NAME_TAG: f"{self.service}-{name}"}

    def started(self, name: str) -> dict[str, str]:
        """The tags that a launch template gives to what it starts."""
        return {tag: value for tag, value in self.tagged(name).items() if tag in STAYING}


class Part(pulumi.ComponentResource):
    """A component of the stack; its resources stand below it."""

    def __init__(self, name: str, scope: Scope, parent: pulumi.Resource | None) -> None:
        super().__init__(
            f"llmops:aws:{type(self).__name__}",
            name,
            None,
            pulumi.ResourceOptions(parent=parent, aliases=_aliases(name)),
        )
        self.scope = scope

    def below(
        self,
        name: str,
        *,
        protect: bool | None = None,
        delete_first: bool = False,
        after: list[pulumi.Resource] | None = None,
    ) -> pulumi.ResourceOptions:
        """Options of the resource of that name below this part.

        Args:
            name: The resource's.
            protect: Whether it holds data: then nothing deletes it until somebody says so.
            delete_first: Whether the old one must go before a new one takes its place, because
                both cannot have what it has.
            after: Resources that it needs and does not name.
        """
        return pulumi.ResourceOptions(
            parent=self,
            aliases=_aliases(name),
            protect=protect,
            delete_before_replace=delete_first or None,
            depends_on=after,
        )


def _aliases(name: str) -> list[pulumi.Alias]:
    return [pulumi.Alias(name=old) for old in RENAMED.get(name, ())]
