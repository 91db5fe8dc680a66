"""The RayServices of tests/cases/rayservices: made from a case's settings, and written anew.

    python -m tests.clusters.objects.golden --write

writes every `expected.yaml`; read the difference before it is kept. Without `--write` it names the
cases that differ.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from clusters.model import Manifest, Runtime
from clusters.objects.rayservice import rayservice
from tests.clusters.builders import make_release, make_runtime, make_serve_config

CASES = Path(__file__).parents[2] / "cases" / "rayservices"
NAMESPACE = "llm"


def cases() -> list[str]:
    """Names of the cases."""
    return sorted(file.parent.name for file in CASES.glob("*/settings.yaml"))


def runtime_of(case: str) -> Runtime:
    """The runtime that a case's settings describe.

    `releases` are written as `make_plan` takes them, with a `number` and a `share`; `target` is
    that of all.
    """
    settings: dict[str, Any] = yaml.safe_load((CASES / case / "settings.yaml").read_text())
    shares = {entry["number"]: entry.pop("share") for entry in settings["releases"]}
    found = [make_release(target=settings.get("target"), **entry) for entry in settings["releases"]]
    return make_runtime(*found, shares=shares)


def made(case: str) -> Manifest:
    """The case's RayService as it is made now."""
    runtime = runtime_of(case)
    return rayservice(runtime, NAMESPACE, make_serve_config(runtime))


def text(case: str) -> str:
    """The same as a file."""
    return yaml.dump(made(case), Dumper=_Dumper, sort_keys=False, width=100)


def expected(case: str) -> str:
    """The file that is kept; empty when there is none yet."""
    file = CASES / case / "expected.yaml"
    return file.read_text() if file.exists() else ""


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a difference is one of lines; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _block)


def main(arguments: list[str]) -> int:
    """Write or compare; 1 when cases differ and were not written."""
    differing = [case for case in cases() if text(case) != expected(case)]
    for case in differing:
        print(case)
        if "--write" in arguments:
            (CASES / case / "expected.yaml").write_text(text(case))
    return int(bool(differing) and "--write" not in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
