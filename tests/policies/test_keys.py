"""Keys that are too old."""

from __future__ import annotations

from llmops.policies import combined, key_age
from llmops.targets import KeyInfo
from tests.policies.strategies import policy

DAY = 86_400.0
NOW = 1_795_867_200.0


def key(name: str, days: float, *, revoked: bool = False) -> KeyInfo:
    return KeyInfo(
        id=name, name=name, created_at=NOW - days * DAY, revoked_at=NOW if revoked else None
    )


def test_a_key_is_found_once_it_is_older_than_allowed() -> None:
    held = combined([policy("acme", values={"security.key_age": "90d"})])
    keys = [key("new", 0), key("just", 90), key("old", 91), key("gone", 900, revoked=True)]
    (finding,) = key_age(held, keys, service="chat", now=NOW)
    assert (finding.id, finding.path, finding.policy) == (
        "security.key_age", "security.keys", "acme",
    )  # fmt: skip
    assert finding.blocks
    assert "'old' is 91 days old" in finding.message
    assert finding.fix == "llmops keys rotate chat old"


def test_a_key_of_the_future_and_one_of_an_age_are_read_as_well() -> None:
    held = combined([policy("acme", values={"security.key_age": "90d"})])
    keys = [key("tomorrow", -1), key("ancient", 9000)]
    assert [f.proof.split()[0] for f in key_age(held, keys, service="chat", now=NOW)] == [
        "'ancient'"
    ]


def test_without_a_policy_no_key_is_too_old() -> None:
    assert list(key_age(combined([]), [key("old", 9000)], service="chat", now=NOW)) == []
