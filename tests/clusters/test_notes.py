"""What llmops did is told as events, and nothing depends on them."""

from __future__ import annotations

from typing import Any

from clusters.notes import MOST, event, note
from llmops.errors import RefusedError

ABOUT = {
    "apiVersion": "ray.io/v1",
    "kind": "RayService",
    "metadata": {"name": "chat-1a2b3c4d", "namespace": "llm", "uid": "u-1"},
}


def test_an_event_is_about_its_object() -> None:
    made = event(ABOUT, "Shifted", "release 2 has all new requests", 0.0)
    assert made["involvedObject"]["uid"] == "u-1"
    assert made["metadata"]["namespace"] == "llm"
    assert (made["reason"], made["lastTimestamp"]) == ("Shifted", "1970-01-01T00:00:00Z")


def test_a_long_message_is_cut() -> None:
    assert len(event(ABOUT, "Staged", "x" * 5000, 0.0)["message"]) == MOST


def test_who_may_make_no_events_loses_nothing_else() -> None:
    class Refusing:
        def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
            raise RefusedError("no")

    note(Refusing(), ABOUT, "Staged", "it runs")  # type: ignore[arg-type]
