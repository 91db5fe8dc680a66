"""A soak in short: hundreds of requests over an upgrade and a rollback, held against every rule.

One replica, in a range, so that vLLM counts what it does; `benchmarks.soak` has two, and thousands.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import Aim, staged
from tests.chaos.history import Outcome

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]

AIM = Aim(requests=200, streams=10, upgrades=1, rollbacks=1, minutes=10, rate=3.0, replicas="1..2")


def test_nothing_is_lost_mixed_or_miscounted_while_releases_change(tmp_path: Path) -> None:
    with staged(tmp_path / "soak", AIM) as campaign:
        campaign.run()
    assert campaign.failed == []
    assert campaign.done == {"upgrade": 1, "rollback": 1}
    assert campaign.violations() == []
    outcomes = campaign.outcomes()
    assert outcomes.keys() <= {Outcome.WHOLE, Outcome.CANCELLED, Outcome.REFUSED}, outcomes
    assert outcomes[Outcome.REFUSED] == campaign.named_too_late(), outcomes
    assert outcomes.total() >= AIM.requests
    answering = {head.release for _, head, ended in campaign.history().exchanges()
                 if head is not None and ended.text}  # fmt: skip
    assert answering == {1, 2, 3}, "no request was in the way of a change"
    engines = campaign.accounts.engines
    assert set(engines) == answering
    assert all(totals.finished for totals in engines.values()), "vLLM has counted nothing"
