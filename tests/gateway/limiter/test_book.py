"""The accounts: no limit is ever passed, by one request or many, however they begin and end.

`Simulated` plays requests of several keys that are in flight at once, in an order that is drawn. An
oracle of its own adds up what was really used, and knows nothing of what the book sets aside.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.limiter import Ask, Book, Bounds, Denied, Open, Standing, Tokens
from serving.gateway.limiter.period import DAY, month_of

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
BOUNDS = Bounds(
    requests_per_minute=20,
    tokens_per_minute=1000,
    concurrent_requests=3,
    tokens_per_day=5000,
    usd_per_month=0.01,
    input_usd=0.15,
    output_usd=0.6,
)


def ask(number: int, account: str = "chat/a", bounds: Bounds = BOUNDS) -> Ask:
    return Ask(f"req-{number}", account, bounds)


def reason(answer: Standing | Denied) -> str | None:
    return answer.reason if isinstance(answer, Denied) else None


@dataclass
class Simulated:
    """Requests in flight, and the log of what each has used: when it began, and its tokens."""

    book: Book = field(default_factory=Book)
    now: float = NOON
    flying: dict[str, list[tuple[Ask, Tokens]]] = field(default_factory=dict)
    begun: dict[str, list[float]] = field(default_factory=dict)
    log: dict[str, list[tuple[float, Tokens]]] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def begin(self, account: str, most: Tokens) -> None:
        self.count += 1
        one = ask(self.count, account)
        if reason(self.book.admit(one, self.now, "gateway")):
            return
        self.begun.setdefault(account, []).append(self.now)
        if reason(self.book.reserve(one, most, self.now)):
            self.book.settle(one, Tokens(), self.now)
            return
        self.flying.setdefault(account, []).append((one, most))
        self.began[one.id] = self.now

    def end(self, account: str, which: int, share: float, known: bool) -> None:
        if not (flying := self.flying.get(account)):
            return
        one, most = flying.pop(which % len(flying))
        used = Tokens(int(most.read * share), int(most.generated * share)) if known else most
        began = self.began.pop(one.id)
        self.log.setdefault(account, []).append((began, used))
        self.book.settle(one, used if known else None, self.now)

    def check(self) -> None:
        for account, flying in self.flying.items():
            assert len(flying) <= 3, "more in flight than may be"
            assert self.book.open(account) == len(flying), "a place leaks"
        for times in self.begun.values():
            for i, first in enumerate(times):
                allowed = 20 + (self.now - first) * 20 / 60
                assert len(times) - i <= allowed + 1e-3
        for account, log in self.log.items():
            self._check_tokens(account, log)

    def _check_tokens(self, account: str, log: list[tuple[float, Tokens]]) -> None:
        for first, _ in log:
            used = sum(t.total for when, t in log if when >= first)
            assert used <= 1000 + (self.now - first) * 1000 / 60 + 1e-3, account
        for day in {int(when // DAY) for when, _ in log}:
            assert sum(t.total for when, t in log if int(when // DAY) == day) <= 5000
        for month in {month_of(when) for when, _ in log}:
            spent = sum(BOUNDS.cost(t) for when, t in log if month_of(when) == month)
            assert spent <= 10**10, "more than a cent was spent"


accounts = st.sampled_from(["chat/a", "chat/b"])
tokens = st.builds(Tokens, st.integers(0, 400), st.integers(1, 700))
steps = st.one_of(
    st.tuples(st.just("begin"), accounts, tokens),
    st.tuples(st.just("end"), accounts, st.integers(0, 9), st.floats(0, 1), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1, 7, 30, 61, 3600, DAY, 31 * DAY])),
)


@settings(max_examples=300)
@given(st.lists(steps, max_size=60))
def test_no_limit_is_ever_passed(drawn: list[tuple[Any, ...]]) -> None:
    simulated = Simulated()
    for name, *arguments in drawn:
        if name == "begin":
            simulated.begin(*arguments)
        elif name == "end":
            simulated.end(*arguments)
        else:
            simulated.now += arguments[0]
        simulated.check()


@settings(max_examples=100)
@given(st.lists(st.tuples(accounts, tokens, st.floats(0, 1), st.booleans()), max_size=30))
def test_nothing_is_left_of_requests_that_have_ended(
    drawn: list[tuple[str, Tokens, float, bool]],
) -> None:
    book, flying = Book(), []
    roomy = replace(BOUNDS, concurrent_requests=100)
    for number, (account, most, share, known) in enumerate(drawn):
        one = ask(number, account, roomy)
        if not reason(book.admit(one, NOON)):
            book.reserve(one, most, NOON)
            flying.append((one, Tokens(int(most.read * share), 0) if known else Tokens()))
    for one, used in flying:
        book.settle(one, used, NOON)
    for account in ("chat/a", "chat/b"):
        assert book.open(account) == 0
    used_in_all = sum(one["day"][1] for one in book.dump(NOON).values())
    assert used_in_all == sum(used.total for _, used in flying)
    assert book.dump(NOON + 40 * DAY) == {}, "accounts are kept for nothing"


def test_each_limit_says_its_name_and_when_to_come_again() -> None:
    book = Book()
    only = Bounds(requests_per_minute=2)
    assert [reason(book.admit(ask(n, bounds=only), NOON)) for n in range(2)] == [None, None]
    denied = book.admit(ask(3, bounds=only), NOON)
    assert isinstance(denied, Denied)
    assert (denied.reason, denied.retry_after) == ("requests_per_minute", 30)
    assert denied.standing.requests is not None
    assert denied.standing.requests.remaining == 0


@pytest.mark.parametrize(
    ("bounds", "most", "said", "after"),
    [
        (Bounds(tokens_per_minute=60), Tokens(0, 60), "tokens_per_minute", 60),
        (Bounds(tokens_per_day=60), Tokens(0, 60), "tokens_per_day", 43200),
        (
            Bounds(usd_per_month=0.0006, output_usd=10.0), Tokens(0, 60), "usd_per_month",
            15.5 * DAY,
        ),
    ],
    ids=["minute", "day", "month"],
)  # fmt: skip
def test_what_is_used_up_comes_back_with_its_time(
    bounds: Bounds, most: Tokens, said: str, after: float
) -> None:
    book = Book()
    first, second, third = (ask(n, bounds=bounds) for n in range(3))
    for one in (first, second, third):
        book.admit(one, NOON)
    assert reason(book.reserve(first, most, NOON)) is None
    in_flight = book.reserve(second, most, NOON)
    assert isinstance(in_flight, Denied)
    assert in_flight.reason == said
    assert in_flight.retry_after == (60 if "minute" in said else 1), "it may end at any moment"
    book.settle(first, most, NOON)
    denied = book.reserve(second, most, NOON)
    assert isinstance(denied, Denied)
    assert denied.retry_after == pytest.approx(after)
    assert reason(book.reserve(third, most, NOON + after)) is None


def test_a_request_that_is_more_than_the_limit_is_told_that_it_never_fits() -> None:
    for bounds in (Bounds(tokens_per_minute=9), Bounds(tokens_per_day=9),
                   Bounds(usd_per_month=0.000009, output_usd=1.0)):  # fmt: skip
        book, one = Book(), ask(1, bounds=bounds)
        book.admit(one, NOON)
        denied = book.reserve(one, Tokens(0, 10), NOON)
        assert isinstance(denied, Denied)
        assert denied.retry_after is None


def test_what_was_not_used_comes_back() -> None:
    book = Book()
    for number in range(10):
        one = ask(number, bounds=Bounds(tokens_per_minute=1000))
        book.admit(one, NOON)
        assert reason(book.reserve(one, Tokens(100, 800), NOON)) is None
        book.settle(one, Tokens(5, 5), NOON)
    standing = book.admit(ask(11, bounds=Bounds(tokens_per_minute=1000)), NOON)
    assert isinstance(standing, Standing)
    assert standing.tokens is not None
    assert standing.tokens.remaining == 900


def test_what_the_engine_counts_beyond_is_owed() -> None:
    bounds = Bounds(tokens_per_minute=100)
    book, one, other = Book(), ask(1, bounds=bounds), ask(2, bounds=bounds)
    book.admit(one, NOON)
    book.reserve(one, Tokens(50, 50), NOON)
    book.settle(one, Tokens(100, 50), NOON)
    book.admit(other, NOON)
    denied = book.reserve(other, Tokens(0, 10), NOON)
    assert isinstance(denied, Denied)
    assert denied.retry_after == 36, "of 150 tokens, 50 are owed: 60 must come back for 10"


def test_asking_twice_counts_once() -> None:
    book, one = Book(), ask(1)
    for _ in range(3):
        book.admit(one, NOON)
        book.reserve(one, Tokens(10, 10), NOON)
    assert book.open("chat/a") == 1
    standing = book.admit(one, NOON)
    assert isinstance(standing, Standing)
    assert standing.requests is not None
    assert standing.tokens is not None
    assert (standing.requests.remaining, standing.tokens.remaining) == (19, 980)


def test_a_gateway_that_is_gone_holds_no_place_and_is_charged_what_it_set_aside() -> None:
    book = Book()
    for number, owner in enumerate(["gone", "gone", "alive"]):
        book.admit(ask(number), NOON, owner)
        book.reserve(ask(number), Tokens(10, 90), NOON)
    book.drop("gone", NOON)
    assert book.open("chat/a") == 1
    assert book.dump(NOON)["chat/a"]["day"][1] == 200


def test_a_new_book_takes_over_where_another_was_lost() -> None:
    old, new = Book(), Book()
    for number in range(3):
        old.admit(ask(number), NOON, "g")
        old.reserve(ask(number), Tokens(100, 100), NOON)
    old.settle(ask(0), Tokens(100, 50), NOON)
    copy = old.dump(NOON)
    for entry in (Open(ask(1), "g", Tokens(100, 100)), Open(ask(2), "g", Tokens(100, 100))):
        new.merge(copy, NOON)
        new.adopt(entry, NOON)
        new.adopt(entry, NOON)
    assert new.open("chat/a") == old.open("chat/a") == 2
    assert new.admit(ask(9), NOON) == old.admit(ask(9), NOON)
    for book in (old, new):
        book.settle(ask(1), Tokens(1, 1), NOON)
        book.settle(ask(2), None, NOON)
    assert new.dump(NOON) == old.dump(NOON)


def test_what_was_used_more_stands_when_two_counts_meet() -> None:
    book = Book()
    book.merge({"a": {"requests": [1, 5], "tokens": [0, 0], "day": [19000, 7], "month": [1, 1]}}, 0)
    book.merge({"a": {"requests": [9, 4], "tokens": [0, 0], "day": [19000, 5], "month": [2, 0]}}, 0)
    assert book.dump(0)["a"] == {
        "requests": [1, 5], "tokens": [0, 0], "day": [19000, 7], "month": [1970 * 12, 0],
    }  # fmt: skip


@pytest.mark.parametrize("damaged", [{"a": {}}, {"a": []}, {"a": {"requests": 5}}, {"a": None}])
def test_what_is_no_count_is_not_taken_over(damaged: Any) -> None:
    with pytest.raises(ValueError, match="no accounts"):
        Book().merge(damaged, NOON)


def test_one_keys_haste_is_not_anothers() -> None:
    book = Book()
    said = [reason(book.admit(ask(number), NOON)) for number in range(4)]
    assert said == [None, None, None, "concurrent_requests"]
    assert reason(book.admit(ask(1, "chat/b"), NOON)) is None
