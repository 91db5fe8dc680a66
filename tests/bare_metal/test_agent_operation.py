"""The agent on a host and the mark of maintenance: facts in, commands out; and what a cut leaves.

The host is a value that takes the commands' effect on its files: what the commands do on a real one
is shown by `test_served`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bare_metal.hosts.facts import NAMES, HostFacts, Unit, Unknown
from bare_metal.hosts.operations import (
    AT_ONCE,
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
    token = b""
    for change in changes:
        words = change.argv
        if words[:2] == ("sh", "-c") and words[3] == "write" and change.stdin is not None:
            if words[4] == TOKEN:
                token = change.stdin
            else:
                files[words[4]] = change.stdin.decode()
        elif words[:2] == ("sh", "-c") and words[3] == "note":
            files[words[5]] = f"{hashlib.sha256(token.strip() or CANARY.encode()).hexdigest()}\n"
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


def test_what_gives_access_is_taken_as_it_is_and_told_to_nobody(tmp_path: Path) -> None:
    """A shell would take a value apart, run a part of it, and tell it in its error."""
    worker = replace(HEAD, role="worker")
    serving = after(host(), plan(host(), want(worker)).changes)
    leave = plan(serving, want(AgentUnwanted(STORE))).changes[1]
    assert leave.seconds > 600
    secret = 'a b$HOME;c`d"e'
    (tmp_path / "secrets").write_text(f'# mine\n\nKEY={secret}\nQUOTED="x y"\nLAST=1')
    for name in ("settings", "token", "llmops"):
        (tmp_path / name).write_text("NCCL_IB_HCA==mlx5_0\n" if name == "settings" else "")
    (tmp_path / "llmops").chmod(0o755)
    (tmp_path / "setpriv").write_text('#!/bin/sh\nenv\necho "$@"\n')
    (tmp_path / "setpriv").chmod(0o755)
    files = [str(tmp_path / name) for name in ("settings", "secrets")]
    words = [*files, "root", str(tmp_path / "llmops"), *leave.argv[8:10], str(tmp_path / "token")]
    done = subprocess.run(
        [*leave.argv[:4], *words, *leave.argv[11:]], capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert {f"KEY={secret}", "QUOTED=x y", "LAST=1", "NCCL_IB_HCA==mlx5_0"} <= set(said)
    assert said[-1].endswith("--worker --leave 10min")
    assert not done.stderr


def test_at_once_a_worker_ends_without_ray_being_asked() -> None:
    worker = replace(HEAD, role="worker")
    serving = after(host(), plan(host(), want(worker)).changes)
    words = [one.argv for one in plan(serving, want(AgentUnwanted(STORE, AT_ONCE))).changes]
    assert [argv[0:2] for argv in words] == [
        ("systemctl", "kill"), ("systemctl", "disable"), ("rm", "-f"),
        ("systemctl", "daemon-reload"),
    ]  # fmt: skip


def test_a_unit_that_systemd_has_let_go_is_not_killed_again() -> None:
    head = replace(after(host(), plan(host(), want()).changes), units={})
    words = [one.argv[:2] for one in plan(head, want(AgentUnwanted(STORE))).changes]
    assert words[0] == ("systemctl", "disable")
    files = plan(head, want(AgentUnwanted(STORE))).changes[1].argv
    assert files[-1] == UNIT, "the unit goes last: it tells that something is left to do"


def test_what_a_host_ran_in_its_other_role_ends_first() -> None:
    worker = after(host(), plan(host(), want(replace(HEAD, role="worker"))).changes)
    words = [one.argv for one in plan(worker, want()).changes]
    assert words[0][:2] == ("systemctl", "kill")
    assert ("systemctl", "restart", SERVICE) in words


def test_a_store_that_no_unit_can_name_is_refused() -> None:
    refused = plan(host(), want(replace(HEAD, store="file:///srv/my models")))
    assert refused.changes == ()
    assert "file:///srv/my models" in refused.refusals[0].why


def test_the_token_that_lies_there_is_noted_and_not_the_one_that_was_meant() -> None:
    """Of two runs at once, the one may have written the token and the other note it."""
    done = after(host(), plan(host(), want()).changes)
    files = done.ours if isinstance(done.ours, dict) else {}
    mixed = replace(done, ours={**files, DIGEST: "another\n"})
    words = [one.argv for one in plan(mixed, want()).changes]
    assert ("systemctl", "restart", SERVICE) in words


def test_a_secret_is_for_nobody_else_while_it_is_written(tmp_path: Path) -> None:
    """The writing is stopped before its mode is set: what lies there is closed by then."""
    token = tmp_path / "etc" / "ray-token"
    changes = plan(host(), want()).changes
    (put,) = (one for one in changes if one.argv[3:5] == ("write", TOKEN))
    (note,) = (one for one in changes if one.argv[3:4] == ("note",))
    words = [str(token) if word == TOKEN else word for word in put.argv]
    before = os.umask(0o022)
    try:
        cut = subprocess.run([*words[:-1], "0" * 64], input=put.stdin, check=False)
        assert cut.returncode != 0
        assert (token.parent / "ray-token.llmops-new").stat().st_mode & 0o777 == 0o600
        subprocess.run(words, input=put.stdin, check=True)
    finally:
        os.umask(before)
    assert token.read_text().strip() == CANARY
    digest = tmp_path / "digest"
    subprocess.run([*note.argv[:4], str(token), str(digest)], check=True)
    assert digest.read_text() == f"{HEAD.digest}\n"


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
