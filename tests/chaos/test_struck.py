"""Each process of a runtime is killed and stopped under a load: noticed, gone round, replaced.

One runtime for all strikes. `-s` shows the table that `docs/safety.md` is made of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.chaos.faults import Fault, can_starve
from tests.chaos.history import Outcome
from tests.chaos.striking import BASIS, ENGINES, HEADING, ROLES, Field, Strike, Struck, staged

pytestmark = [pytest.mark.long, pytest.mark.engines, pytest.mark.timeout(2400)]

FAULTS = (Fault.KILL, Fault.STOP)
STRIKES = [
    Strike("worker", Fault.STARVE),
    *(Strike(process, fault) for process in (*ENGINES, "gateway", "controller", *BASIS)
      for fault in FAULTS),
]  # fmt: skip
NOTICED = 5.0
"""Seconds until a strike is noticed."""
TOLD = 2.0
"""Seconds from then on until all that it has cut are told of it."""


def _possible(strike: Strike) -> bool:
    return strike.fault is not Fault.STARVE or can_starve()


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """The service, struck by all."""
    with staged(tmp_path_factory.mktemp("struck") / "field") as made:
        door = made.deploy()
        try:
            asyncio.run(made.strikes(door, filter(_possible, STRIKES)))
        finally:
            print(f"\n{HEADING}", *(one.row() for one in made.found), sep="\n")
        yield made


@pytest.fixture(params=STRIKES, ids=str)
def struck(request: pytest.FixtureRequest, field: Field) -> Struck:
    """What came of a strike."""
    if not _possible(request.param):
        pytest.skip("this user may not limit the memory of a process")
    [found] = [one for one in field.found if one.strike == request.param]
    return found


def test_it_is_noticed_and_what_it_took_is_there_again(struck: Struck) -> None:
    assert struck.landed, f"the fault did not land on {struck.pid}"
    assert struck.noticed is not None
    assert struck.noticed <= NOTICED + struck.late, struck.row()
    assert struck.replaced is not None, struck.row()


def test_no_client_is_left_without_a_word_where_another_replica_lives(struck: Struck) -> None:
    assert not struck.outcomes.keys() & {Outcome.LOST, Outcome.TRUNCATED}, struck.why
    if struck.strike.process in (*ENGINES, "controller"):
        assert struck.broken == 0, struck.why
        assert struck.outcomes[Outcome.REFUSED] == 0, struck.why
        assert struck.outcomes[Outcome.WHOLE] > 0


def test_what_is_cut_is_told_soon(struck: Struck) -> None:
    if struck.cut is not None:
        assert struck.noticed is not None
        assert struck.cut <= struck.noticed + TOLD + struck.late, struck.row()


def test_the_control_plane_is_missed_by_nobody(field: Field) -> None:
    controller = [one for one in field.found if one.strike.process == "controller"]
    assert [one.outcomes.keys() for one in controller] == [{Outcome.WHOLE}] * len(FAULTS)


def test_engines_outlive_the_gateway_and_the_controller(field: Field) -> None:
    for one, after in pairwise(field.found):
        if one.strike.process in ("gateway", "controller"):
            assert after.ready == one.ready, f"engines were started again after {one.strike}"


def test_whatever_is_struck_no_answer_is_mixed_or_miscounted(field: Field) -> None:
    assert {one.process for one in STRIKES} == set(ROLES), "a process is never struck"
    assert field.violations() == []
