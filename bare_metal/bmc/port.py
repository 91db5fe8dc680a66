"""What is asked of a host's management controller (BMC) and told to it, whoever carries it.

Looking and changing are different types: who gets a `Looking` can read documents and nothing else.
A controller that does not answer is `HostGoneError`, as a host is; one document of it that cannot
be had is `ResourceUnknownError`, and leaves the others readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bare_metal.inventory import Placed

Document = Mapping[str, Any]
"""A Redfish resource as it came: all that stands in it is the controller's word."""

ROOT = "/redfish/v1/"


class ResourceUnknownError(Exception):
    """A resource of a controller that answers could not be had."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Looking(Protocol):
    """A controller that is looked at."""

    def document(self, path: str) -> Document:
        """A resource by its path, such as `/redfish/v1/Systems/1`.

        Raises:
            ResourceUnknownError: When it is not there, or not whole, or may not be read.
            HostGoneError: When the controller went away, or lets nobody in.
        """


class Changing(Looking, Protocol):
    """A controller that is told to change its host."""

    def reset(self, system: str, kind: str) -> None:
        """Have a system start or stop.

        Args:
            system: The system's path.
            kind: A `ResetType` of Redfish, such as `GracefulShutdown`.

        Raises:
            ResourceUnknownError: When it is refused, or no answer tells whether it was taken.
            HostGoneError: When the controller went away.
        """

    def boot_from(self, system: str, target: str, enabled: str) -> None:
        """Have a system start from somewhere else.

        Args:
            system: The system's path.
            target: A `BootSourceOverrideTarget`, such as `Pxe`; empty leaves it as it is.
            enabled: `Once`, `Continuous` or `Disabled`.

        Raises:
            ResourceUnknownError: When it is refused, or no answer tells whether it was taken.
            HostGoneError: When the controller went away.
        """


class LookingControllers(Protocol):
    """What brings one to controllers to look at them."""

    def looking(self, host: Placed) -> AbstractContextManager[Looking]:
        """A host's controller; entering it raises HostGoneError."""


class Controllers(LookingControllers, Protocol):
    """What brings one to controllers."""

    def changing(self, host: Placed) -> AbstractContextManager[Changing]:
        """A host's controller, to change the host; entering it raises HostGoneError."""


__all__ = [
    "ROOT",
    "Changing",
    "Controllers",
    "Document",
    "Looking",
    "LookingControllers",
    "ResourceUnknownError",
]
