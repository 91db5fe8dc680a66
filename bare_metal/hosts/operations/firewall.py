"""A firewall around Ray's ports: who may reach them, in a table of nftables of our own. Pure.

Nothing else is touched: no other port, no other table, and not the port that SSH comes in by. The
table carries the digest of what made it, so that another one is told from ours. What somebody
changes inside of it by hand is not noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import ip_network

from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations.model import (
    Change,
    Desired,
    Kept,
    Refusal,
    Said,
    known,
    reload_units,
    write,
)

RULES = "/etc/llmops/firewall.nft"
NAME = "llmops-firewall.service"
UNIT = f"/etc/systemd/system/{NAME}"
PORTS = ((6379, 6379), (8265, 8265), (10001, 19999))
"""Ray's: the head's store, its dashboard, its clients and workers (Ray's documentation, "Ports
configurations": 6379, 8265, 10001, and 10002 to 19999 for workers)."""

_TABLE = """\
# Written by llmops from the cluster file; changes here are overwritten.
table inet llmops
delete table inet llmops
table inet llmops {{
  chain digest_{digest} {{
  }}
  chain ray {{
    iifname "lo" accept
    ct state established,related accept
{allowed}    counter drop
  }}
  chain input {{
    type filter hook input priority -5; policy accept;
    tcp dport {{ {ports} }} jump ray
  }}
}}
"""
_SERVICE = f"""\
# Written by llmops from the cluster file; changes here are overwritten.
[Unit]
Description=Firewall around the ports of Ray, for llmops
Wants=network-pre.target
Before=network-pre.target
After=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {RULES}
ExecStop=/usr/sbin/nft delete table inet llmops

[Install]
WantedBy=multi-user.target
"""


def rules(allow: tuple[str, ...]) -> tuple[str, str]:
    """The table that lets these networks in, and its digest."""
    written = [ip_network(text) for text in allow]
    four = sorted(str(one) for one in written if one.version == 4)
    six = sorted(str(one) for one in written if one.version == 6)
    ports = ", ".join(f"{low}-{high}" if low != high else f"{low}" for low, high in PORTS)
    allowed = "".join(
        f"    {word} saddr {{ {', '.join(some)} }} accept\n"
        for word, some in (("ip", four), ("ip6", six))
        if some
    )
    undigested = _TABLE.format(digest="", ports=ports, allowed=allowed)
    digest = hashlib.sha256(undigested.encode()).hexdigest()[:12]
    return _TABLE.format(digest=digest, ports=ports, allowed=allowed), digest


def firewall(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """The firewall around Ray's ports."""
    wanted = want.system.firewall
    if wanted is None:
        return
    if any(low <= want.port <= high for low, high in PORTS):
        yield Refusal(
            f"SSH comes in by {want.port}, which is one of Ray's ports: you would be locked out",
            "let the hosts' SSH listen on another port",
        )
        return
    text, digest = rules(wanted.allow)
    live = known(facts.firewall, "the table of nftables")
    ours = known(facts.ours, "files of llmops")
    state = known(facts.unit_files, "unit files").get(NAME)
    if ours.get(RULES) != text:
        yield write(RULES, text, f"write the rules that let {', '.join(wanted.allow)} reach Ray")
    if ours.get(UNIT) != _SERVICE:
        yield write(UNIT, _SERVICE, "write the service that loads them")
        yield reload_units()
    if state != "enabled":
        yield Change("load them with each start", ("systemctl", "enable", NAME))
    loaded = f"chain digest_{digest} " in live
    active = known(facts.units, "units").get(NAME)
    if not loaded or active is None or active.active != "active":
        yield Change("load them now", ("systemctl", "restart", NAME))
    elif ours.get(RULES) == text and ours.get(UNIT) == _SERVICE and state == "enabled":
        yield Kept(f"only {', '.join(wanted.allow)} reach Ray's ports")
