"""`llmops` against a real API server, from the first deploy to the last destroy."""

from __future__ import annotations

from tests.kubernetes.desk import Desk


def test_a_service_from_first_deploy_to_destroy(desk: Desk) -> None:
    first = desk.deploy(desk.spec())
    print(first.text)
    assert first.code == 0, first.text
    print(desk.run("status", "chat").text)
    again = desk.deploy(desk.spec())
    print(again.text)
    assert "nothing changed" in again.text
    second = desk.deploy(desk.spec(security={"requests_per_minute": 99}))
    print(second.text)
    assert second.code == 0
    print(desk.run("history", "chat").text)
    gone = desk.run("destroy", "chat", "--yes")
    print(gone.text)
    assert gone.code == 0
