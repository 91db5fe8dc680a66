"""What hosts are prepared with: accounts, limits, kernel settings, services, the weights' disk.

Every field is obeyed by an operation of `bare_metal.hosts.operations`. Left out means left alone:
nothing that is not written here is changed on a host.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bare_metal.inventory.words import (
    AbsolutePath,
    Account,
    HostName,
    LocalPath,
    ModuleName,
    PublicKey,
    ServiceName,
    SettingName,
)
from llmops.spec import Form, Section

Tuple = Field(strict=False)


class User(Section):
    """An account of the hosts."""

    name: Account
    """Its name."""

    keys: Annotated[tuple[PublicKey, ...], Tuple] = ()
    """Public keys that may log in, each a line of `authorized_keys`. Others that are there stay."""


class Module(Section):
    """A kernel module that is loaded, now and at each start."""

    name: ModuleName
    """Its name, such as `ib_umad`."""

    options: dict[ModuleName, Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:-]{1,60}$")]] = Field(
        default_factory=dict
    )
    """Its parameters. One that differs from the loaded module's means loading it again, which is
    refused where the management interface needs it."""


class Cache(Section):
    """A disk for weights, with a filesystem on it. It is mounted and never formatted."""

    source: Annotated[
        str,
        Field(pattern=r"^(LABEL=[A-Za-z0-9_.-]{1,16}|UUID=[0-9A-Fa-f][0-9A-Fa-f-]{3,35})$"),
        Form("LABEL=… or UUID=… of a filesystem, as `lsblk -o LABEL,UUID` shows them"),
    ]
    """Which filesystem. A label can be the same on every host."""

    path: AbsolutePath = "/var/lib/llmops"
    """Where it is mounted."""


class Firewall(Section):
    """Who may reach Ray's ports; all others are turned away. Nothing else is touched."""

    allow: Annotated[
        tuple[Annotated[str, Form("a network such as 10.0.0.0/16")], ...],
        Tuple,
        Field(min_length=1),
    ]
    """Networks that may: those that the hosts themselves are in. Loopback always may."""


class Program(Section):
    """llmops itself, in an environment of its own: `/opt/llmops/current`."""

    wheel: LocalPath
    """The wheel, a file here; a relative path begins at the cluster file."""

    lock: LocalPath
    """What it needs, pinned by hashes (`requirements/*.txt` of llmops), a file here."""


class System(Section):
    """What hosts are prepared with. Nothing is changed that is not written here."""

    users: Annotated[tuple[User, ...], Tuple] = ()
    """Accounts, made where they are missing; none is ever removed."""

    memlock: Literal["unlimited"] | None = None
    """Memory that programs may lock. RDMA registers buffers by locking them, and login sessions
    usually allow 8 MiB."""

    hugepages: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Huge pages of the kernel's default size that are kept free."""

    sysctl: dict[SettingName, Annotated[str, Field(pattern=r"^[A-Za-z0-9 \t./_-]{1,100}$")]] = (
        Field(default_factory=dict)
    )
    """Kernel settings by name, each value as text: `net.core.somaxconn: "4096"`."""

    modules: Annotated[tuple[Module, ...], Tuple] = ()
    """Kernel modules."""

    iommu: Literal["off", "passthrough", "on"] | None = None
    """How the kernel must have been started. It is checked and never changed: that takes the boot
    loader and a restart."""

    time: ServiceName | None = None
    """Service that keeps the clock, such as `chrony`: enabled and running."""

    cache: Cache | None = None
    """A disk for weights."""

    subnet_managers: Annotated[tuple[HostName, ...], Tuple] = ()
    """Hosts that run the fabric's subnet manager (`opensm`). On all others it is stopped and
    disabled, since only one can be master. Empty: left alone."""

    firewall: Firewall | None = None
    """Who may reach Ray's ports."""

    program: Program | None = None
    """llmops itself."""

    services: Annotated[tuple[ServiceName, ...], Tuple] = ()
    """Other services that must be enabled and running, such as `nvidia-fabricmanager`."""
