"""What no operation may do: restart the network or a driver below the address hosts are reached by.

Pure. It looks at each command whoever made it, so that no operation can forget it. Where it is not
known what carries the address, what might is refused. Ends of this kind were met in the field:
`openibd restart` took the management card with it, since one driver served it and the adapters.
"""

from __future__ import annotations

from collections.abc import Sequence

from bare_metal.hosts.facts import HostFacts, Interface, Unknown

NETWORKS = frozenset(
    ("networking", "network", "NetworkManager", "systemd-networkd", "wicked", "netplan-wpa")
)
"""Services that hold all interfaces at once."""
DRIVERS = {"openibd": "mlx", "mlnx-en.d": "mlx", "mlnx_interface_mgr": "mlx", "rdma-ndd": ""}
"""Services that load drivers anew, by what the drivers' names begin with."""
BELOW = {"mlx5_core": ("mlx5_core", "mlxfw", "psample"), "mlx4_en": ("mlx4_en", "mlx4_core")}
"""Modules that a driver stands on."""
MOVING = (
    "restart",
    "stop",
    "start",
    "reload",
    "try-restart",
    "disable",
    "enable",
    "reload-or-restart",
)


def refused(argv: Sequence[str], facts: HostFacts, address: str) -> str | None:
    """Why a command may not be run on a host, or None where it may."""
    words = [word for word in argv if not word.startswith("-")]
    program = words[0].rsplit("/", 1)[-1] if words else ""
    carrier = _carrier(facts, address)
    if program in ("systemctl", "service", *DRIVERS, *NETWORKS):
        return _by_service(program, words, carrier)
    if (program == "modprobe" and ({"-r", "--remove"} & set(argv))) or program == "rmmod":
        return _by_driver(words[1:], carrier)
    if program in ("ip", "ifdown", "ifconfig", "ethtool", "nmcli"):
        return _by_interface(program, words, carrier)
    return None


def _carrier(facts: HostFacts, address: str) -> Interface | str:
    """The interface that carries the address, or why it is not known."""
    if isinstance(facts.addresses, Unknown) or isinstance(facts.interfaces, Unknown):
        return "what carries the management address is not known"
    name = facts.addresses.get(address, "").partition("@")[0]
    found = next((one for one in facts.interfaces if one.device == name), None)
    if found is None:
        return f"no interface is known to carry {address}"
    return (
        found if found.driver else f"what {name}, which carries {address}, stands on is not known"
    )


def _by_service(program: str, words: list[str], carrier: Interface | str) -> str | None:
    names = {word.removesuffix(".service") for word in (program, *words)}
    if not names & set(MOVING):
        return None
    if names & NETWORKS:
        return f"{min(names & NETWORKS)} holds the interface that carries management"
    for service in sorted(names & set(DRIVERS)):
        if isinstance(carrier, str):
            return f"{service} loads drivers anew, and {carrier}"
        if DRIVERS[service] and carrier.driver.startswith(DRIVERS[service]):
            return _takes(service, carrier)
    return None


def _by_driver(modules: list[str], carrier: Interface | str) -> str | None:
    for module in modules:
        name = module.replace("-", "_")
        if isinstance(carrier, str):
            return f"unloading {name} may cut the host off: {carrier}"
        if name in BELOW.get(carrier.driver, (carrier.driver,)):
            return _takes(name, carrier)
    return None


def _by_interface(program: str, words: list[str], carrier: Interface | str) -> str | None:
    changes = program in ("ifdown", "ethtool") or {"down", "set", "delete", "flush"} & set(words)
    if not changes:
        return None
    if isinstance(carrier, str):
        return carrier
    return f"{carrier.device} carries management" if carrier.device in words else None


def _takes(what: str, carrier: Interface) -> str:
    return f"{what} would take {carrier.device} down, which carries management ({carrier.driver})"
