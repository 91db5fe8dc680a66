"""A reason is asked for now and then, and a hopeless one is put up with for some seconds."""

from __future__ import annotations

from clusters.patience import ASK_SECONDS, HOPELESS_SECONDS, Patience
from clusters.reasons import Reason


class World:
    def __init__(self) -> None:
        self.now, self.asked, self.hopeless = 0.0, 0, False

    def ask(self) -> Reason:
        self.asked += 1
        return Reason("no room", "", self.hopeless)


def test_the_reason_is_asked_for_now_and_then() -> None:
    world = World()
    patience = Patience(world.ask, lambda: world.now)
    for _ in range(5):
        patience.reason()
    assert world.asked == 1
    world.now += ASK_SECONDS
    patience.reason()
    assert world.asked == 2


def test_a_hopeless_reason_is_put_up_with_for_some_seconds() -> None:
    world = World()
    patience = Patience(world.ask, lambda: world.now)
    world.hopeless = True
    patience.reason()
    assert not patience.ended
    world.now += HOPELESS_SECONDS
    patience.reason()
    assert patience.ended


def test_hope_begins_the_time_anew() -> None:
    world = World()
    patience = Patience(world.ask, lambda: world.now)
    for hopeless in (True, False, True):
        world.hopeless = hopeless
        world.now += HOPELESS_SECONDS
        patience.reason()
        assert not patience.ended
