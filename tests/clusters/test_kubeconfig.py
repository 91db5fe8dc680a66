"""A kubeconfig is read as kubectl reads it, and what is wrong with it is said at once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.kubeconfig import find
from llmops.errors import InputError

CASES = Path(__file__).parents[1] / "cases" / "kubeconfig"
SECRET = "canary-secret"


def laid_out(case: dict[str, Any], home: Path) -> tuple[dict[str, str], Path]:
    """The case's files; the environment and the service account's folder that go with them."""
    for name, text in case["files"].items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environ = {"HOME": str(home)}
    if "kubeconfig" in case:
        environ["KUBECONFIG"] = os.pathsep.join(str(home / name) for name in case["kubeconfig"])
    account = home / "account"
    if case.get("account"):
        account.mkdir()
        (account / "token").write_text(SECRET)
        (account / "namespace").write_text("ml")
        environ |= {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    return environ, account


def cases(*, wrong: bool) -> list[Any]:
    read = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CASES.glob("*.yaml"))}
    chosen = {name: case for name, case in read.items() if ("error" in case["expect"]) is wrong}
    return [pytest.param(case, id=name) for name, case in chosen.items()]


@pytest.mark.parametrize("case", cases(wrong=False))
def test_a_kubeconfig_says_which_cluster(case: dict[str, Any], tmp_path: Path) -> None:
    environ, account = laid_out(case, tmp_path)
    found = find(case.get("context"), environ, account)
    assert {key: getattr(found, key) for key in case["expect"]} == case["expect"]
    assert SECRET not in repr(found)


@pytest.mark.parametrize("case", cases(wrong=True))
def test_what_is_wrong_with_a_kubeconfig_is_said(case: dict[str, Any], tmp_path: Path) -> None:
    environ, account = laid_out(case, tmp_path)
    with pytest.raises(InputError) as refused:
        find(case.get("context"), environ, account)
    error = refused.value
    assert case["expect"]["error"] in error.message
    assert case["expect"].get("hint", "") in error.hint
    assert SECRET not in error.message + error.hint


def test_an_unreadable_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        find(None, {"KUBECONFIG": str(tmp_path)})


def test_a_kubeconfig_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not a text file"):
        find(None, {"KUBECONFIG": str(file)})


def test_many_contexts_are_not_all_listed(tmp_path: Path) -> None:
    file = tmp_path / "config"
    names = [f"c{number:02}" for number in range(40)]
    file.write_text(yaml.safe_dump({"contexts": [{"name": n, "context": {}} for n in names]}))
    with pytest.raises(InputError) as refused:
        find("zebra", {"KUBECONFIG": str(file)})
    assert refused.value.hint.endswith("c09 and 30 more")


def test_a_large_kubeconfig_is_read_within_milliseconds(tmp_path: Path) -> None:
    file = tmp_path / "config"
    entry = {"certificate-authority-data": "QUFB" * 500, "server": "https://10.0.0.1"}
    file.write_text(
        yaml.safe_dump(
            {
                "current-context": "c0",
                "contexts": [{"name": f"c{n}", "context": {"cluster": f"c{n}"}} for n in range(50)],
                "clusters": [{"name": f"c{n}", "cluster": entry} for n in range(50)],
            }
        )
    )
    spent = []
    for _ in range(5):
        begun = time.process_time()
        find(None, {"KUBECONFIG": str(file)})
        spent.append(time.process_time() - begun)
    assert min(spent) < 0.1
