"""What others wrote and we only test with: unchanged, and declared as theirs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

KUBERAY = Path(__file__).with_name("kuberay")
README = (KUBERAY / "README.md").read_text()


def test_kuberays_definitions_are_as_they_came() -> None:
    declared = {name: digest for digest, name in re.findall(r"`([0-9a-f]{64})` \| `(\S+)`", README)}
    files = sorted(KUBERAY.glob("*.yaml"))
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == declared


def test_the_licence_that_is_declared_lies_at_the_root() -> None:
    assert "Apache-2.0" in README
    text = (KUBERAY.parents[2] / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
