"""Which connector a cluster's hosts are reached by. asyncssh is imported when one is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bare_metal.hosts.connection.answers import Connector
from bare_metal.hosts.connection.pins import HostKey
from bare_metal.inventory import Access, Cluster, Placed, hosts_of, switches_of
from llmops.errors import InputError
from llmops.spec import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence


def connector(cluster: Cluster, folder: Path) -> Connector:
    """The way to a cluster's hosts, over SSH.

    Args:
        cluster: The cluster.
        folder: Where its file lies; relative paths in it begin there.

    Raises:
        InputError: When the key to log in with cannot be had, or asyncssh is not installed.
    """
    with needs_asyncssh():
        from bare_metal.hosts.connection.ssh import open_ssh
    return open_ssh(cluster.access, folder)


async def shown_key(host: Placed, access: Access) -> HostKey:
    """The key that a host shows to whoever asks.

    Raises:
        HostGoneError: When it shows none.
        InputError: When asyncssh is not installed.
    """
    with needs_asyncssh():
        from bare_metal.hosts.connection.ssh import first_contact
    return await first_contact(host, access)


@contextmanager
def needs_asyncssh() -> Iterator[None]:
    """Tell who lacks asyncssh how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "asyncssh":
            raise
        raise InputError(
            "asyncssh is not installed, and hosts are reached by it",
            hint="pip install 'llmops[metal]'",
        ) from error


def chosen(cluster: Cluster, names: Sequence[str]) -> tuple[Placed, ...]:
    """Hosts of a cluster by name; all of them when none is named.

    Raises:
        InputError: When there is no such host.
    """
    every = {host.name: host for host in hosts_of(cluster)}
    for name in names:
        if name not in every:
            close = nearest(name, list(every))
            raise InputError(
                f"expected a host of {cluster.name}, found '{name[:60]}'",
                hint=f"did you mean {close}?" if close else "llmops cluster hosts list names them",
            )
    return tuple(every[name] for name in dict.fromkeys(names)) if names else tuple(every.values())


def chosen_switches(cluster: Cluster, names: Sequence[str]) -> tuple[Placed, ...]:
    """Switches of a cluster by name, of those that can be asked; all of these when none is named.

    Raises:
        InputError: When there is no such switch.
    """
    every = {one.name: one for one in switches_of(cluster)}
    for name in names:
        if name not in every:
            raise InputError(
                f"expected a switch with an address, found '{name[:60]}'",
                hint="write its address: switches: [{name: leaf-su1-r1, address: 10.0.5.1}]",
            )
    return tuple(every[name] for name in dict.fromkeys(names)) if names else tuple(every.values())


def with_addresses(hosts: Sequence[Placed]) -> tuple[Placed, ...]:
    """The hosts, each of which must be reachable by an address.

    Raises:
        InputError: When one has none.
    """
    without = [host.name for host in hosts if not host.address]
    if without:
        raise InputError(
            f"expected an address for {without[0]}, found none in the cluster file",
            hint="write addresses: 10.0.0.1 for its unit, the address of the unit's first host",
        )
    return tuple(hosts)
