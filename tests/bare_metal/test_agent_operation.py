"""The agent on a host and the mark of maintenance: facts in, commands out; and what a cut leaves.

The host is a value that takes the commands' effect on its files: what the commands do on a real one
is shown by `test_served`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bare_metal.hosts.facts import NAMES, HostFacts, Unit, Unknown
from bare_metal.hosts.operations import (
    TOKEN,
    AgentUnwanted,
    AgentWanted,
    Change,
    Desired,
    maintained,
    plan,
    serves,
)
from bare_metal.hosts.operations.agent import APPLIED, DIGEST, SETTINGS, UNIT
from bare_metal.hosts.operations.program import COMPLETE
from bare_metal.inventory import System
from serving.agent import SERVICE

STORE = "s3://bucket/alpha"
CANARY = "canary-5e1f" * 6
HEAD = AgentWanted("head", STORE, CANARY, {"NCCL_IB_HCA": "=mlx5_0"})


def host(**files: str) -> HostFacts:
    """A host with llmops on it, and whatever else is told by path."""
    known: dict[str, Any] = {"ours": {COMPLETE: "x\n", **files}, "accounts": {}, "units": {}}
    return HostFacts(**{name: known.get(name, Unknown("not asked")) for name in NAMES})


def want(agent: AgentWanted | AgentUnwanted | None = HEAD, **more: Any) -> Desired:
    return Desired("su1-001", "10.0.0.1", 22, System(), agent=agent, **more)


def after(facts: HostFacts, changes: tuple[Change, ...]) -> HostFacts:
    """The host once commands were carried out, as far as files and the service go."""
    files = dict(facts.ours) if isinstance(facts.ours, dict) else {}
    units = dict(facts.units) if isinstance(facts.units, dict) else {}
    accounts: Any = facts.accounts
    for change in changes:
        words = change.argv
        if words[:2] == ("sh", "-c") and words[3] == "write" and change.stdin is not None:
            if words[4] != TOKEN:
                files[words[4]] = change.stdin.decode()
        elif words[0] == "rm":
            files = {path: text for path, text in files.items() if path not in words}
        elif words[0] == "useradd":
            accounts = {**accounts, "llmops": None}
        elif words[:2] == ("systemctl", "restart") or "--now" in words:
            gone = "disable" in words
            units[SERVICE] = Unit(SERVICE, "inactive" if gone else "active", "")
    return replace(facts, ours=files, units=units, accounts=accounts)


def test_a_fresh_host_is_brought_to_run_the_agent_and_then_nothing_is_to_do() -> None:
    first = plan(host(), want())
    assert not first.refusals
    done = after(host(), first.changes)
    assert serves(done) == ("head", STORE)
    again = plan(done, want())
    assert again.changes == ()
    assert [one.why for one in again.kept] == ["the agent runs (head)"]


@pytest.mark.parametrize("at", range(11))
def test_a_run_that_was_cut_anywhere_is_gone_on_with(at: int) -> None:
    whole = plan(host(), want())
    assert len(whole.changes) == 11, "as many cuts as there are commands"
    cut = after(host(), whole.changes[:at])
    rest = plan(cut, want()).changes
    assert rest, "a cut before the last command leaves something to do"
    assert rest[-2].argv == ("systemctl", "restart", SERVICE), "it is started with what it has now"
    assert plan(after(cut, rest), want()).changes == ()


def test_the_token_is_in_no_word_and_in_no_fact() -> None:
    changes = plan(host(), want()).changes
    assert not [one for one in changes if CANARY in " ".join(one.argv) or CANARY in one.why]
    assert [one.argv[4] for one in changes if one.stdin and CANARY.encode() in one.stdin] == [TOKEN]
    assert CANARY not in repr(HEAD) + repr(after(host(), changes))


def test_another_token_or_other_settings_start_it_anew() -> None:
    done = after(host(), plan(host(), want()).changes)
    for other in (replace(HEAD, token="new" * 9), replace(HEAD, settings={"A": "b"})):
        words = [one.argv for one in plan(done, want(other)).changes]
        assert ("systemctl", "restart", SERVICE) in words
        assert not [argv for argv in words if argv[0] == "useradd"]


def test_an_agent_that_has_died_is_started() -> None:
    done = after(host(), plan(host(), want()).changes)
    dead = replace(done, units={SERVICE: Unit(SERVICE, "failed", "")})
    (start,) = plan(dead, want()).changes
    assert start.argv == ("systemctl", "enable", "--now", SERVICE)


def test_a_host_without_llmops_or_that_serves_another_store_is_refused() -> None:
    bare = replace(host(), ours={})
    assert [one.why for one in plan(bare, want()).refusals] == ["llmops is not installed there"]
    other = after(host(), plan(host(), want()).changes)
    refused = plan(other, want(replace(HEAD, store="s3://bucket/beta")))
    assert [one.why for one in refused.refusals] == [f"it serves for {STORE}"]
    assert refused.changes == ()


def test_a_worker_leaves_its_ray_before_its_files_go_and_a_head_ends_what_it_runs() -> None:
    worker = replace(HEAD, role="worker")
    serving = after(host(), plan(host(), want(worker)).changes)
    words = [one.argv for one in plan(serving, want(AgentUnwanted(STORE))).changes]
    assert [argv[0:2] for argv in words] == [
        ("systemctl", "disable"), ("sh", "-c"), ("rm", "-f"), ("systemctl", "daemon-reload"),
    ]  # fmt: skip
    assert words[1][-1] == "10min"
    head = after(host(), plan(host(), want()).changes)
    words = [one.argv for one in plan(head, want(AgentUnwanted(STORE))).changes]
    assert words[0][:2] == ("systemctl", "kill")
    gone = after(head, plan(head, want(AgentUnwanted(STORE))).changes)
    assert serves(gone) is None
    assert plan(gone, want(AgentUnwanted(STORE))).changes == ()
    left = gone.ours if isinstance(gone.ours, dict) else {}
    assert not {UNIT, SETTINGS, DIGEST, APPLIED} & set(left)


def test_the_agent_of_another_store_is_left_alone() -> None:
    serving = after(host(), plan(host(), want()).changes)
    assert plan(serving, want(AgentUnwanted("s3://bucket/beta"))).changes == ()


def test_a_mark_is_set_once_with_its_reason_and_taken_away_once() -> None:
    marked = after(host(), plan(host(), want(None, maintenance="new fan")).changes)
    assert maintained(marked) == "new fan"
    assert plan(marked, want(None, maintenance="again")).changes == ()
    (away,) = plan(marked, want(None, maintenance="")).changes
    free = after(marked, (away,))
    assert maintained(free) is None
    assert plan(free, want(None, maintenance="")).changes == ()
    assert plan(marked, want(None)).changes == (), "who asks for neither changes nothing"
