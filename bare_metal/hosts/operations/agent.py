"""llmops' agent on a host, as a service: the head makes releases, a worker lends what it has.

Pure. Ray's token goes to the host on standard input, into a file that only the agent's account
reads; what tells whether it is the right one is its digest beside it, so that no look at a host
ever reads it. What gives access to the store is the administrator's: `/etc/llmops/secrets.env`,
which is never written here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

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
from bare_metal.hosts.operations.program import COMPLETE, CURRENT
from bare_metal.hosts.operations.wanted import AgentUnwanted, AgentWanted, Role
from serving.agent import SERVICE, AgentUnit, unit_text

ACCOUNT = "llmops"
STATE = "/var/lib/llmops"
ETC = "/etc/llmops"
SETTINGS = f"{ETC}/agent.env"
SECRETS = f"{ETC}/secrets.env"
TOKEN = f"{ETC}/ray-token"
DIGEST = f"{ETC}/ray-token.sha256"
APPLIED = f"{ETC}/agent.sha256"
"""What the agent was started with; written last, so that after a cut it is started anew."""
UNIT = f"/etc/systemd/system/{SERVICE}"
LLMOPS = f"{CURRENT}/venv/bin/llmops"

_LEAVE = """\
set -eu
set -a
. "$1"
if [ -f "$2" ]; then . "$2"; fi
set +a
shift 2
exec setpriv --reuid="$1" --regid="$1" --init-groups -- "$2" agent --store "$3" --address "$4" \\
  --token-file "$5" --worker --leave "$6"
"""

STOP_SECONDS = 120.0


def agent(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """The agent."""
    if isinstance(want.agent, AgentWanted):
        yield from _running(facts, want, want.agent)
    elif isinstance(want.agent, AgentUnwanted):
        yield from _gone(facts, want, want.agent)


def serves(facts: HostFacts) -> tuple[Role, str] | None:
    """What a host's agent does, and for which store; None where it has none.

    Raises:
        UnknowableError: When that is not known.
    """
    text = known(facts.ours, "files of llmops").get(UNIT, "")
    line = next((one for one in text.splitlines() if one.startswith("ExecStart=")), "")
    words = line.split()
    if "--store" not in words[:-1]:
        return None
    return ("worker" if "--worker" in words else "head"), words[words.index("--store") + 1]


def _running(facts: HostFacts, want: Desired, agent: AgentWanted) -> Iterator[Said]:
    ours = known(facts.ours, "files of llmops")
    if COMPLETE not in ours and want.program is None:
        yield Refusal(
            "llmops is not installed there",
            "name its wheel and lock in the cluster's file: system.program",
        )
        return
    other = serves(facts)
    if other is not None and other[1] != agent.store:
        yield Refusal(f"it serves for {other[1]}", "destroy what runs there, or take another host")
        return
    digest = _digest(want, agent)
    unit = known(facts.units, "units").get(SERVICE)
    if ours.get(APPLIED) != f"{digest}\n":
        yield from _account(facts)
        yield from _token(ours, agent)
        yield from _texts(ours, want, agent)
        yield reload_units()
        yield Change("start the agent with the host", ("systemctl", "enable", SERVICE))
        # What serves is not the agent: it goes on meanwhile.
        yield Change(
            f"start the agent ({agent.role})", ("systemctl", "restart", SERVICE),
            seconds=STOP_SECONDS,
        )  # fmt: skip
        yield write(APPLIED, f"{digest}\n", "note what it was started with")
    elif unit is not None and unit.active == "active":
        yield Kept(f"the agent runs ({agent.role})")
    else:
        found = unit.active if unit else "not running"
        yield Change(
            f"start the agent ({agent.role}); it is {found}",
            ("systemctl", "enable", "--now", SERVICE), seconds=STOP_SECONDS,
        )  # fmt: skip


def _account(facts: HostFacts) -> Iterator[Change]:
    if ACCOUNT in known(facts.accounts, "accounts"):
        return
    shell = "/usr/sbin/nologin"
    yield Change(
        f"make the account {ACCOUNT}, which nobody logs in to",
        ("useradd", "--system", "--user-group", "--home-dir", STATE, "--shell", shell, ACCOUNT),
    )


def _token(ours: Mapping[str, str], agent: AgentWanted) -> Iterator[Change]:
    if ours.get(DIGEST) == f"{agent.digest}\n":
        return
    yield write(TOKEN, f"{agent.token}\n", "put Ray's token there", mode="0600")
    yield Change(f"give it to {ACCOUNT}", ("chown", f"{ACCOUNT}:{ACCOUNT}", TOKEN))
    yield write(DIGEST, f"{agent.digest}\n", "note which token it is")


def _texts(ours: Mapping[str, str], want: Desired, agent: AgentWanted) -> Iterator[Change]:
    settings = _settings(agent)
    if ours.get(SETTINGS) != settings:
        yield write(SETTINGS, settings, "say which network it uses")
    unit = unit_of(want.address, agent)
    if ours.get(UNIT) != unit:
        yield Change(
            f"make {STATE}", ("install", "-d", "-o", ACCOUNT, "-g", ACCOUNT, "-m", "0700", STATE)
        )
        yield write(UNIT, unit, f"write {SERVICE} ({agent.role})")


def _digest(want: Desired, agent: AgentWanted) -> str:
    whole = "\0".join((unit_of(want.address, agent), _settings(agent), agent.digest))
    return hashlib.sha256(whole.encode()).hexdigest()


def _settings(agent: AgentWanted) -> str:
    told = {"LLMOPS_HOME": STATE, "HOME": STATE, **agent.settings}
    return "".join(f"{name}={value}\n" for name, value in told.items())


def unit_of(address: str, agent: AgentWanted) -> str:
    """The unit's text on the host of that address."""
    return unit_text(
        AgentUnit(
            program=LLMOPS,
            user=ACCOUNT,
            store=agent.store,
            address=address,
            token=TOKEN,
            worker=agent.role == "worker",
            environment=(SETTINGS, f"-{SECRETS}"),
        )
    )


def _gone(facts: HostFacts, want: Desired, agent: AgentUnwanted) -> Iterator[Said]:
    found = serves(facts)
    if found is None or found[1] != agent.store:
        yield Kept("no agent of it is there")
        return
    role, store = found
    if role == "head":  # its runtime would outlive the agent, and a Ray without one helps nobody
        yield Change("end what it runs", ("systemctl", "kill", "--signal=SIGKILL", SERVICE))
    yield Change(
        "stop the agent, now and for good", ("systemctl", "disable", "--now", SERVICE),
        seconds=STOP_SECONDS,
    )  # fmt: skip
    if role == "worker":
        words = (SETTINGS, SECRETS, ACCOUNT, LLMOPS, store, want.address, TOKEN, agent.within)
        yield Change(
            "take it out of the Ray, its replicas first",
            ("sh", "-c", _LEAVE, "leave", *words), seconds=3600.0,
        )  # fmt: skip
    yield Change("take its files away", ("rm", "-f", UNIT, SETTINGS, TOKEN, DIGEST, APPLIED))
    yield reload_units()


__all__ = ["TOKEN", "agent", "serves", "unit_of"]
