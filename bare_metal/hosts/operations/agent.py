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
from bare_metal.hosts.operations.wanted import AT_ONCE, AgentUnwanted, AgentWanted, Role
from llmops.units import Duration
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
UNWRITABLE = frozenset(" \t%$'\"\\")
"""What means something of its own in a command of a unit."""

_NOTE = """\
set -eu
printf %s "$(cat "$1")" | sha256sum | cut -c 1-64 > "$2.llmops-new"
mv -f "$2.llmops-new" "$2"
"""
"""Notes the token that is there: of two runs at once the one's may lie where the other looks."""

_LEAVE = """\
set -eu
if [ ! -f "$1" ] || [ ! -x "$4" ] || [ ! -f "$7" ] || ! id -u "$3" > /dev/null 2>&1; then
  # An earlier run came further, or somebody took them away: Ray can be asked by nobody.
  systemctl kill --signal=SIGKILL "$8" || true
  exit 0
fi
# Not as a shell would read them: systemd takes values as they are, and an error would tell them.
taken() {
  while IFS= read -r line || [ -n "$line" ]; do
    case "$line" in
      [A-Za-z_]*=*)
        value=${line#*=}
        value=${value#\\"}
        export "${line%%=*}=${value%\\"}" ;;
    esac
  done < "$1"
}
taken "$1"
if [ -f "$2" ]; then taken "$2"; fi
shift 2
exec setpriv --reuid="$1" --regid="$1" --init-groups -- "$2" agent --store "$3" --address "$4" \\
  --token-file "$5" --worker --leave "$7"
"""

STOP_SECONDS = 120.0
LEAVE_SECONDS = 600.0
"""What leaving takes beside its replicas: llmops and Ray are imported, and a raylet ends."""


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
    if UNWRITABLE & set(agent.store):
        yield Refusal(
            f"systemd would not take the store's address as it is: {agent.store}",
            "a path without spaces, quotes, backslashes, % and $",
        )
        return
    digest = _digest(want, agent)
    unit = known(facts.units, "units").get(SERVICE)
    if ours.get(APPLIED) != f"{digest}\n" or ours.get(DIGEST) != f"{agent.digest}\n":
        if other is not None and other[0] != agent.role and unit is not None:
            yield _killed(f"end what it runs as the {other[0]}")
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
    yield Change("note which token it is", ("sh", "-c", _NOTE, "note", TOKEN, DIGEST))


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
    # A head's runtime would outlive the agent, and a Ray without one helps nobody. systemctl kills
    # nothing of a unit that systemd has let go, since nothing of it runs any more.
    at_once = role == "head" or agent.within == AT_ONCE
    if at_once and SERVICE in known(facts.units, "units"):
        yield _killed("end what it runs")
    yield Change(
        "stop the agent, now and for good", ("systemctl", "disable", "--now", SERVICE),
        seconds=STOP_SECONDS,
    )  # fmt: skip
    if not at_once:
        files = (SETTINGS, SECRETS, ACCOUNT, LLMOPS)
        words = (*files, store, want.address, TOKEN, SERVICE, agent.within)
        yield Change(
            "take it out of the Ray, its replicas first",
            ("sh", "-c", _LEAVE, "leave", *words),
            seconds=Duration.parse(agent.within).seconds + LEAVE_SECONDS,
        )  # fmt: skip
    # The unit last: it is what tells the next run that this one was cut off.
    yield Change("take its files away", ("rm", "-f", APPLIED, DIGEST, TOKEN, SETTINGS, UNIT))
    yield reload_units()


def _killed(why: str) -> Change:
    return Change(why, ("systemctl", "kill", "--signal=SIGKILL", SERVICE))


__all__ = ["ACCOUNT", "TOKEN", "agent", "serves", "unit_of"]
