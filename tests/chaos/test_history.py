"""The checker of histories: what is right passes, and each kind of wrong is found by its own rule.

Histories are drawn as a right service would have made them; then one thing is planted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.chaos.history import (
    RULES,
    VOICES,
    Accounts,
    Asked,
    Began,
    Ended,
    Event,
    Gone,
    Head,
    History,
    How,
    Live,
    Outcome,
    Sent,
    Totals,
    broken_at,
    check,
    dump,
    outcome_of,
    parse,
    read_audit,
    read_metrics,
    read_totals,
)

LASTS = 100.0
"""Seconds that a release is live in the histories that are drawn."""


class World:
    """A history and its accounts, which plants edit."""

    def __init__(self, releases: int) -> None:
        self.events: list[Any] = []
        self.audit: list[Asked] = []
        self.finished: dict[int, int] = {}
        for number in range(1, releases + 1):
            at = LASTS * number
            voice = VOICES[number % len(VOICES)]
            self.events += [Began(number, at - LASTS / 2, voice), Live(number, at)]
            self.finished[number] = 0
            if number > 1:
                self.events.append(Gone(number - 1, at + LASTS / 4))

    def ask(
        self, release: int, at: float, tokens: int, *, outcome: Outcome, stream: bool, named: bool
    ) -> None:
        """One more request, as a right service answers it."""
        number = 1 + sum(isinstance(event, Sent) for event in self.events)
        key = "operator" if named else f"key-{number % 3}"
        voice = VOICES[release % len(VOICES)]
        said = (voice * (1 + tokens // len(voice)))[:tokens]
        self.events.append(Sent(number, at, key, stream, tokens, release if named else None))
        identifier = f"req-{number}"
        head = Head(number, at + 0.1, 200, identifier, release)
        ended = Ended(
            number, at + 1, How.CLOSED, said, at + 0.1, tokens if stream else 1, "length",
            done=True, counted=tokens,
        )  # fmt: skip
        line = Asked(identifier, key, release, 200, "ok", tokens)
        if outcome is Outcome.REFUSED:
            head = replace(head, status=429)
            ended = Ended(number, at + 1, How.CLOSED, error="overloaded")
            line = Asked(identifier, key, release, 429, "overloaded", 0)
        elif outcome is Outcome.CANCELLED:
            ended = Ended(number, at + 1, How.CANCELLED, said[: tokens // 2], at + 0.1)
            line = Asked(identifier, key, release, 200, "client_gone", tokens // 2)
        elif outcome is Outcome.CUT:
            ended = Ended(
                number, at + 1, How.CLOSED, said[: tokens // 2], at + 0.1, tokens // 2,
                error="stream_cut", error_id=identifier,
            )  # fmt: skip
            line = Asked(identifier, key, release, 200, "stream_cut", tokens // 2)
        else:
            self.finished[release] += 1
        self.events += [head, ended]
        self.audit.append(line)

    def accounts(self) -> Accounts:
        metrics: dict[tuple[str, str, int], int] = {}
        for line in self.audit:
            status = 502 if line.reason == "stream_cut" else line.status
            who = line.key, str(line.release or ""), status
            metrics[who] = metrics.get(who, 0) + 1
        engines = {
            number: Totals(2, count, count, count, self.generated(number))
            for number, count in self.finished.items()
        }
        return Accounts(list(self.audit), metrics, engines)

    def generated(self, release: int) -> int:
        """Tokens that the release's engines have made."""
        return sum(line.tokens for line in self.audit if line.release == release)

    def edit(self, kind: type[Event], change: Callable[[Any], Any], **having: Any) -> None:
        """Change the last event of a kind that has these fields; None takes it out."""
        [*_, at] = [
            at
            for at, event in enumerate(self.events)
            if isinstance(event, kind) and all(getattr(event, k) == v for k, v in having.items())
        ]
        changed = change(self.events[at])
        self.events[at : at + 1] = [] if changed is None else [changed]


OUTCOMES = [Outcome.WHOLE, Outcome.REFUSED, Outcome.CANCELLED, Outcome.CUT]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A right history. Its last request is a whole stream, for plants to change."""
    releases = draw(st.integers(2, 4))
    made = World(releases)
    for _ in range(draw(st.integers(0, 12))):
        release = draw(st.integers(1, releases))
        outcome = draw(st.sampled_from(OUTCOMES))
        made.ask(
            release, LASTS * release + draw(st.floats(1, LASTS - 2)), draw(st.integers(1, 40)),
            outcome=outcome, stream=outcome is not Outcome.WHOLE or draw(st.booleans()),
            named=draw(st.booleans()),
        )  # fmt: skip
    last = LASTS * releases + 50
    made.ask(releases, last, 30, outcome=Outcome.CUT, stream=True, named=False)
    made.ask(releases, last, 30, outcome=Outcome.REFUSED, stream=True, named=False)
    made.ask(releases, last, 30, outcome=Outcome.WHOLE, stream=True, named=True)
    made.ask(releases, last, 30, outcome=Outcome.WHOLE, stream=True, named=False)
    return made


def ended(**changes: Any) -> Callable[[World], None]:
    """A plant: the last answer that was whole ended otherwise."""
    return lambda world: world.edit(Ended, lambda e: replace(e, **changes), finish="length")


def broken(**changes: Any) -> Callable[[World], None]:
    """A plant: nothing came of the last request, and its line of the audit log is as it was."""

    def plant(world: World) -> None:
        world.edit(Ended, lambda e: Ended(e.request, e.at, How.BROKEN, **changes), finish="length")

    return plant


def other_text(change: Callable[[str], str]) -> Callable[[World], None]:
    return lambda world: world.edit(
        Ended, lambda e: replace(e, text=change(e.text)), finish="length"
    )


def line(**changes: Any) -> Callable[[World], None]:
    """A plant: the last line of the audit log says something else."""

    def plant(world: World) -> None:
        world.audit[-1] = replace(world.audit[-1], **changes)

    return plant


def named_by(release: Callable[[int], int]) -> Callable[[World], None]:
    """A plant: the last answer comes from another release, and everybody agrees that it does."""

    def plant(world: World) -> None:
        was = world.audit[-1].release
        assert was is not None
        now = release(was)
        voice = VOICES[now % len(VOICES)]
        world.edit(Head, lambda e: replace(e, release=now), id=world.audit[-1].id)
        world.edit(Ended, lambda e: replace(e, text=voice * 3), finish="length")
        world.audit[-1] = replace(world.audit[-1], release=now)
        world.finished[was] -= 1
        world.finished[now] = world.finished.get(now, 0) + 1

    return plant


def after_its_end(world: World) -> None:
    """The live release was removed before, and nobody has taken over."""
    release = world.audit[-1].release or 0
    world.events.append(Gone(release, LASTS * release + 49))


def early(world: World) -> None:
    """The live release begins only now."""
    world.edit(Began, lambda e: replace(e, at=1e6))


def other_release_than_named(world: World) -> None:
    """The last but one names its release: it had asked for the one before that."""
    world.edit(Sent, lambda e: replace(e, asked=e.asked - 1), key="operator", tokens=30)


def twice(kind: type[Event]) -> Callable[[World], None]:
    return lambda world: world.events.append(
        [event for event in world.events if isinstance(event, kind)][-1]
    )


def never(kind: type[Event]) -> Callable[[World], None]:
    return lambda world: world.edit(kind, lambda _: None)


def unseen(world: World) -> None:
    last = world.audit[-1]
    world.audit.append(Asked("req-unseen", last.key, last.release, 429, "rate", 0))


def uncounted(world: World) -> None:
    world.finished[world.audit[-1].release or 0] -= 1


def overcounted(world: World) -> None:
    world.finished[world.audit[-1].release or 0] += len(world.audit)


PLANTS: dict[str, tuple[str, Callable[[World], None]]] = {
    "a second end": ("one_outcome", twice(Ended)),
    "a second head": ("one_outcome", twice(Head)),
    "no end": ("one_outcome", never(Ended)),
    "a connection that broke before anything came": ("none_lost", broken(why="reset")),
    "a connection that broke in the middle": (
        "none_truncated", broken(text=VOICES[0][:1], why="reset"),
    ),
    "a stream without its end": ("none_truncated", ended(done=False)),
    "a stream without a finish reason": ("none_truncated", ended(finish="")),
    "an error event without the id": (
        "typed_errors",
        lambda w: w.edit(Ended, lambda e: replace(e, error_id=""), error="stream_cut"),
    ),
    "an error event of another request": (
        "typed_errors",
        lambda w: w.edit(Ended, lambda e: replace(e, error_id="req-0"), error="stream_cut"),
    ),
    "an error without a code": (
        "typed_errors",
        lambda w: w.edit(Ended, lambda e: replace(e, error=""), error="overloaded"),
    ),
    "a text that is too short": ("right_length", other_text(lambda text: text[:-1])),
    "another count of tokens": ("right_length", ended(counted=29)),
    "another finish reason": ("right_length", ended(finish="stop")),
    "more pieces than tokens": ("right_length", ended(pieces=31)),
    "no pieces": ("right_length", ended(pieces=0)),
    "a mix of two releases": (
        "one_voice",
        other_text(lambda text: text[:-10] + next(v for v in VOICES if text[0] not in v)),
    ),
    "a piece twice, another never": (
        "one_voice", other_text(lambda text: text[:5] + text[4] + text[6:]),
    ),
    "a text of another release than is named": (
        "own_voice",
        other_text(lambda text: next(v for v in VOICES if text[0] not in v) * 3),
    ),
    "an answer before its release began": ("none_early", early),
    "an answer of the release before": ("none_superseded", named_by(lambda now: now - 1)),
    "an answer of a release that was gone": ("none_ended", after_its_end),
    "another release than was named": ("as_asked", other_release_than_named),
    "no line of the audit log": ("audited", lambda w: w.audit.remove(w.audit[-1])),
    "two lines of the audit log": ("audited", lambda w: w.audit.append(w.audit[-1])),
    "another status in the audit log": ("audited", line(status=499)),
    "another key in the audit log": ("audited", line(key="key-of-nobody")),
    "another count in the audit log": ("audited", line(tokens=29)),
    "a request that nobody sent": ("none_besides", unseen),
    "an answer that no engine finished": ("engines_agree", uncounted),
    "more than was asked finished by engines": ("engines_agree", overcounted),
}  # fmt: skip
UNMETERED = "a request that the metrics do not count"


def found(world: World, but: str = "") -> set[str]:
    """The rules that are broken; without one rule, where it is named."""
    rules = {name: rule for name, rule in RULES.items() if name != but}
    history = History.of(parse(dump(event)) for event in world.events)
    return {one.rule for one in check(history, world.accounts(), rules)}


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_a_right_history_has_no_violation(world: World) -> None:
    assert found(world) == set()


@pytest.mark.parametrize(("rule", "plant"), PLANTS.values(), ids=list(PLANTS))
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_what_is_planted_is_found_by_its_rule(
    rule: str, plant: Callable[[World], None], world: World
) -> None:
    plant(world)
    assert rule in found(world)
    assert rule not in found(world, but=rule)


ALSO = {
    "an answer of the release before": {"none_ended"},
    "a connection that broke in the middle": {"own_voice", "one_voice"},
    "another count of tokens": {"audited"},
    "no line of the audit log": {"engines_agree"},
    "two lines of the audit log": {"engines_agree"},
    "another status in the audit log": {"engines_agree"},
    "another key in the audit log": {"none_besides"},
    "another count in the audit log": {"engines_agree"},
    "a request that nobody sent": {"engines_agree"},
}
"""What else may rightly be found of a plant: two rules look at it from two sides."""


@pytest.mark.parametrize("name", PLANTS)
def test_without_its_rule_what_is_planted_is_missed(name: str) -> None:
    rule, plant = PLANTS[name]
    world = World(3)
    for outcome in (Outcome.CUT, Outcome.REFUSED):
        world.ask(3, 350, 30, outcome=outcome, stream=True, named=False)
    world.ask(3, 350, 30, outcome=Outcome.WHOLE, stream=True, named=True)
    world.ask(3, 350, 30, outcome=Outcome.WHOLE, stream=True, named=False)
    assert found(world) == set()
    plant(world)
    assert found(world, but=rule) <= ALSO.get(name, set())


def test_metrics_that_do_not_count_a_request_are_found() -> None:
    world = World(1)
    world.ask(1, 120, 5, outcome=Outcome.WHOLE, stream=False, named=False)
    accounts = world.accounts()
    accounts.metrics["key-1", "1", 200] += 1
    history = History.of(world.events)
    assert [one.rule for one in check(history, accounts)] == ["metered"]
    without = {name: rule for name, rule in RULES.items() if name != "metered"}
    assert check(history, accounts, without) == []


def test_each_rule_has_a_plant() -> None:
    assert {rule for rule, _ in PLANTS.values()} | {"metered"} == RULES.keys()


@given(st.sampled_from(VOICES), st.integers(0, 9), st.integers(0, 60), st.data())
def test_a_text_says_where_it_breaks(
    voice: str, first: int, length: int, data: st.DataObject
) -> None:
    text = (voice * 8)[first : first + length]
    assert broken_at(text) is None
    if length > 1:
        at = data.draw(st.integers(1, length - 1))
        assert broken_at(text[:at] + text[at + 1 :] + "#") == (
            at if at + 1 < length else length - 1
        )


@given(st.sampled_from(list(How)), st.booleans(), st.booleans(), st.sampled_from(["", "x"]))
def test_every_exchange_has_one_word_for_its_outcome(
    how: How, done: bool, headed: bool, error: str
) -> None:
    head = Head(1, 0.0, 200, "req-1", 1) if headed else None
    assert outcome_of(head, Ended(1, 1.0, how, done=done, error=error)) in Outcome


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"event": "sent"}', '{"event": "other"}'])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"no event|Expecting"):
        parse(line)


def test_accounts_are_read_as_gateway_and_engines_write_them() -> None:
    line = (
        '{"time": 1.0, "request": "req-1", "status": 200, "reason": "ok", "key": "red",'
        ' "service": "soak", "release": 2, "completion_tokens": 7}'
    )
    other = line.replace("soak", "other")
    assert read_audit([line, other], "soak") == [Asked("req-1", "red", 2, 200, "ok", 7)]
    scrape = (
        "# TYPE llmops_requests_total counter\n"
        'llmops_requests_total{key="red",model="x",release="2",service="soak",status="200"} 1.0\n'
        'llmops_requests_total{key="red",model="red",release="2",service="soak",status="200"} 2.0\n'
        'llmops_requests_total{key="red",release="2",service="other",status="200"} 4.0\n'
        'llmops_requests_created{key="red",release="2",service="soak",status="200"} 1.7e+09\n'
    )
    assert read_metrics(scrape, "soak") == {("red", "2", 200): 3}
    told = 'a llmops.replica engine ends: {"asked": 3, "answered": 2%s}\nother\n'
    assert read_totals((told % "") * 2) == Totals(2, 6, 4)
    counted = told % ', "finished": 2, "generated": 9'
    assert read_totals(counted * 2) == Totals(2, 6, 4, 4, 18)
