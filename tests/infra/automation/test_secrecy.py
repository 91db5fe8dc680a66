"""No secret in events, errors or files of ours, whoever said it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.automation import Cleaner, bring_up
from tests.infra.automation.stage import Stage, failing

pytestmark = pytest.mark.timeout(600)

CANARY = "canary-9f27-do-not-print"
RECORDINGS = Path(__file__).parents[1] / "recordings"


@pytest.mark.parametrize(
    "name", ["PULUMI_CONFIG_PASSPHRASE", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN"]
)
@pytest.mark.filterwarnings("error")
def test_a_secret_that_a_provider_prints_reaches_nobody(
    name: str, stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, CANARY)
    planted = (RECORDINGS / "leak.jsonl").read_text().replace("PLANTED_SECRET", CANARY)
    assert planted.count(CANARY) == 3, "nothing was planted"
    (stage.folder / "leak.jsonl").write_text(planted)
    stage.script(up=["leak.jsonl"])
    events, error = failing(bring_up(stage.engine()))
    assert CANARY not in repr(events)
    assert CANARY not in f"{error.message}{error.hint}{error!r}"
    assert "[secret] is not valid" in error.message
    assert CANARY not in "".join(capfd.readouterr())
    ours = [file for file in (stage.folder / "home").rglob("*") if file.is_file()]
    assert ours
    assert [file for file in ours if CANARY in file.read_text()] == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no access for AKIA" + "ABCDEFGHIJKLMNOP today", "no access for [secret] today"),
        ("pul-" + "0" * 40, "[secret]"),
        ("the vpc vpc-0aa1 is there", "the vpc vpc-0aa1 is there"),
        (
            "https://x/?X-Amz-Signature=" + "af" * 32 + "&b=1",
            "https://x/?X-Amz-Signature=[secret]&b=1",
        ),
    ],
)
def test_what_has_the_form_of_a_credential_is_hidden(said: str, shown: str) -> None:
    assert Cleaner({})(said) == shown


def test_names_of_files_are_no_secrets() -> None:
    clean = Cleaner({"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token", "API_TOKEN": "abc"})
    assert clean("/var/run/token abc") == "/var/run/token abc"
