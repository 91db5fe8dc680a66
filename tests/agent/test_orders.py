"""Orders are numbered by whoever is first, one at a time for a service."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.opening import open_blobs
from serving.agent.orders import KEPT, Orders, Ref, Taken, nonce
from serving.agent.words import Order, Outcome
from tests.agent.worlds import MemoryBlobs, folder
from tests.releases.simulated import Killed

ORDER = Order("chat", "deploy", "anna@laptop", 1_000.0, "n", spec={"name": "chat"})


def test_the_next_order_needs_the_end_of_the_one_before() -> None:
    orders = Orders(MemoryBlobs())
    first = orders.place(ORDER)
    with pytest.raises(Taken, match="chat is being deployed, as anna@laptop asked at"):
        orders.place(replace(ORDER, by="ben@desk"))
    assert orders.pending() == (first,)
    orders.finish(first, Outcome(1.0))
    assert orders.place(ORDER) == Ref("chat", 2)


def test_orders_of_other_services_do_not_wait() -> None:
    orders = Orders(MemoryBlobs())
    orders.place(ORDER)
    assert orders.place(replace(ORDER, service="other")) == Ref("other", 1)
    assert len(orders.pending()) == 2


def test_of_commands_at_once_one_wins_and_the_others_are_told_of_it(tmp_path: Path) -> None:
    blobs = open_blobs(folder(tmp_path / "store"))
    for turn in range(1, 6):
        won, told = race(blobs, 4)
        assert (len(won), len(told)) == (1, 3), f"in turn {turn}"
        assert {taken.order.by for taken in told} == {won[0][1]}
        Orders(blobs).finish(won[0][0], Outcome(1.0))


def race(blobs: Blobs, commands: int) -> tuple[list[tuple[Ref, str]], list[Taken]]:
    won: list[tuple[Ref, str]] = []
    told: list[Taken] = []
    gate = threading.Barrier(commands)

    def command(by: str) -> None:
        gate.wait()
        try:
            won.append((Orders(blobs).place(replace(ORDER, by=by, nonce=nonce())), by))
        except Taken as taken:
            told.append(taken)

    threads = [threading.Thread(target=command, args=(f"c{n}",)) for n in range(commands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, told


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", [1, 2])
def test_a_command_killed_at_any_write_has_ordered_once_or_not_at_all(
    write: int, after: bool
) -> None:
    blobs = MemoryBlobs(kill=write, after=after)
    with pytest.raises(Killed):
        Orders(blobs).place(ORDER)
    pending = Orders(blobs).pending()
    assert pending == (() if (write, after) == (1, False) else (Ref("chat", 1),))


def test_an_outcome_stays_as_it_was_first_told() -> None:
    orders = Orders(MemoryBlobs())
    ref = orders.place(ORDER)
    orders.finish(ref, Outcome(1.0, release=3))
    orders.finish(ref, Outcome(2.0, release=4))
    assert orders.outcome(ref) == Outcome(1.0, release=3)


def test_old_orders_are_forgotten_and_their_numbers_are_not_given_out_again() -> None:
    blobs = MemoryBlobs()
    orders = Orders(blobs)
    for _ in range(KEPT + 5):
        ref = orders.place(ORDER)
        orders.tell(ref, 1, [{"kind": "begun", "text": "x"}])
        orders.finish(ref, Outcome(1.0))
    assert len(list(blobs.names("orders/"))) == KEPT
    assert len(list(blobs.names("outcomes/"))) == KEPT
    assert len(list(blobs.names("events/"))) == KEPT
    assert orders.place(ORDER).number == KEPT + 6


def test_forgetting_that_is_cut_off_brings_no_order_back() -> None:
    for strike in range(1, 12):
        blobs = MemoryBlobs()
        orders = Orders(blobs)
        for _ in range(KEPT):
            orders.finish(orders.place(ORDER), Outcome(1.0))
        ref = orders.place(ORDER)
        blobs.kill = blobs.writes + strike
        try:
            orders.finish(ref, Outcome(1.0))
        except Killed:
            blobs.kill = 0
        assert orders.pending() in ((), (ref,)), f"killed at write {strike}"


def test_numbers_are_listed_in_their_order() -> None:
    listed = sorted(names.of_order("orders", "chat", n) for n in (9, 10, 100, 1))
    assert [names.number_of(name) for name in listed] == [1, 9, 10, 100]
