"""Which way a cluster's controllers are reached by. sushy is imported when one is opened."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bare_metal.bmc.port import Controllers
from bare_metal.inventory import Cluster, Placed, resolved
from llmops.errors import InputError


def open_controllers(cluster: Cluster, folder: Path) -> Controllers:
    """The way to the controllers of a cluster's hosts, by Redfish.

    Args:
        cluster: The cluster.
        folder: Where its file lies; relative paths in it begin there.

    Raises:
        InputError: When the password or the authorities' certificates cannot be had, or sushy is
            not installed.
    """
    bmc = cluster.bmc
    if bmc.password is None:
        raise InputError(
            "expected a password for the management controllers, found none in the cluster file",
            hint="write where it is: bmc: {password: 'env:NAME'}, or file:PATH",
        )
    password = resolved(bmc.password, folder).rstrip("\r\n")
    verify: bool | str = str(_trusted(folder, bmc.ca)) if bmc.ca else not bmc.insecure
    with needs_sushy():
        from bare_metal.bmc.redfish import SushyControllers
    return SushyControllers(bmc, password, verify)


def _trusted(folder: Path, ca: str) -> Path:
    path = folder / Path(ca).expanduser()
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise InputError(
            f"bmc.ca: {path} cannot be read: {why}",
            hint="a file with the certificates of who signed those of the controllers, in PEM",
        ) from error
    return path


@contextmanager
def needs_sushy() -> Iterator[None]:
    """Tell who lacks sushy how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sushy", "requests"):
            raise
        raise InputError(
            "sushy is not installed, and management controllers are reached by it",
            hint="pip install 'llmops[metal]'",
        ) from error


def with_controllers(hosts: Sequence[Placed]) -> tuple[Placed, ...]:
    """The hosts, each of which must have a controller with an address.

    Raises:
        InputError: When one has none.
    """
    without = [host.name for host in hosts if not host.bmc]
    if without:
        raise InputError(
            f"expected an address for the controller of {without[0]}, found none in the cluster"
            " file",
            hint="write bmc_addresses: 10.0.9.1 for its unit, that of the unit's first host",
        )
    return tuple(hosts)


__all__ = ["open_controllers", "with_controllers"]
