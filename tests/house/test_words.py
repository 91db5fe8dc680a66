"""What must not occur in the tree: secrets, hosts of package indexes, paths of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house import tree

# Each with a gap in it, so that this file is not its own finding.
HOSTS = "py~pi.org python~hosted.org npm~js.org golang~.org crates~.io maven~.org deb.debian~.org"
PATHS = (
    r"(?<![\w.])/wo~rk/\w (?<![\w.])/fa~rm/\w (?<![\w.])/ro~ot/\w"
    r" (?<![\w.])/ho~me/(?!you\b|user\b)\w /tmp/ba~sh_jobs"
)
SECRETS = [
    r"\bhf_[A-Za-z0-9]{30,}\b",
    r"\bllmops-[0-9a-f]{16}-[A-Za-z0-9_-]{43}\b",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
]
FORBIDDEN = re.compile(
    "|".join(
        [*re.escape(HOSTS.replace("~", "")).split(r"\ "), *PATHS.replace("~", "").split(), *SECRETS]
    )
)


MODULES = ("go.mod", "go.sum")
"""Lists of Go modules: some modules' own names begin with a host's, and stand for no index."""


def _texts() -> list[Path]:
    named = [p for p in tree.files() if p.name not in MODULES]
    return [p for p in named if b"\0" not in (tree.ROOT / p).read_bytes()[:4096]]


@pytest.mark.parametrize("path", _texts(), ids=str)
def test_no_secret_no_index_host_and_no_path_of_one_machine(path: Path) -> None:
    text = (tree.ROOT / path).read_text(encoding="utf-8", errors="replace")
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0][:12]}"
        for match in FORBIDDEN.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "llmops-" + "0a" * 8 + "-" + "x" * 43,
        "hf_" + "a" * 34,
        "AKIA" + "A" * 16,
        "https://py" + "pi.org",
    ],
)
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert FORBIDDEN.search(f"key = '{text}'")
