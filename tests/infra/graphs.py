"""A captured graph as text that can be read and compared: one golden file for each case.

`python -m tests.infra.graphs` writes them anew; read the difference before it is kept.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.keeping import NOTHING, Keep
from infra.naming import cloud_target
from infra.program import program
from infra.tags import NAME_TAG, PLAN_TAG, STACK_TAG
from llmops.spec import Deployment, loads
from tests.infra.capturing import SECRET, SIGNATURE, Captured, Registered, capture
from tests.infra.making import files, planned

CASES = Path(__file__).parents[1] / "cases" / "infra"
NAMES = sorted(path.stem for path in CASES.glob("*.yaml"))


def case(name: str) -> Deployment:
    """The deployment of a case."""
    return loads((CASES / f"{name}.yaml").read_text())


def captured(made: Deployment, *, preview: bool = False, keep: Keep = NOTHING) -> Captured:
    """What the program declares for a deployment; it must come to its end."""
    with tempfile.TemporaryDirectory() as folder:
        put = files(Path(folder), cloud_target(made).packages.removeprefix("index"))
        plan = planned(made)
        found = capture(lambda: program(made, plan, put, keep=keep), preview=preview)
    assert not found.error, found.error
    return found


def golden(name: str) -> Path:
    return CASES / "graphs" / f"{name}.json"


def text(found: Captured) -> str:
    """The graph as JSON: the resources by their URNs, and the stack's outputs."""
    resources = {short(urn): _shown(one) for urn, one in sorted(found.resources.items())}
    document = {
        "tags": stack_tags(found),
        "resources": resources,
        "outputs": _value(found.outputs),
        "asked": found.invokes,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def stack_tags(found: Captured) -> dict[str, str]:
    """The tags that everything has, but for its name."""
    (first, *others) = [
        {key: value for key, value in one.inputs["tags"].items() if key != NAME_TAG}
        for one in found.resources.values()
        if isinstance(one.inputs.get("tags"), Mapping)
    ]
    assert all(other == first for other in others), "tags differ between resources"
    return first


def short(urn: str) -> str:
    """What of a URN is the program's doing."""
    return urn.split("::", 2)[2] if urn else ""


def _shown(one: Registered) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "parent": short(one.parent),
        "depends": [short(urn) for urn in one.dependencies],
        "inputs": {key: _value(value, key) for key, value in one.inputs.items()},
    }
    for name in ("protect", "delete_first", "aliases"):
        if value := getattr(one, name):
            shown[name] = value
    return shown


def _value(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if STACK_TAG in value:
            whole = "the stack's tags" if PLAN_TAG in value else "its tags that stay"
            return {NAME_TAG: value[NAME_TAG], "and": whole}
        if value.get(SIGNATURE) == SECRET:
            return {"SECRET": _value(value["value"])}
        if "path" in value and SIGNATURE in value:
            return {"FILE": Path(value["path"]).name}
        return {name: _value(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    if key == "userData" and isinstance(value, str):
        return _start_up(value)
    if isinstance(value, str) and value.startswith('{"Version"'):
        return json.loads(value)
    return value


def _start_up(encoded: str) -> dict[str, Any]:
    """User data without the scripts, which are files of the package."""
    document: dict[str, Any] = yaml.safe_load(base64.b64decode(encoded))
    for file in document["write_files"]:
        content = file["content"]
        file["content"] = (
            content.splitlines() if not file["path"].startswith("/usr/local") else "a script"
        )
    return document


def write() -> None:
    """Write every golden file anew."""
    golden("x").parent.mkdir(exist_ok=True)
    for name in NAMES:
        golden(name).write_text(text(captured(case(name))))


if __name__ == "__main__":
    write()
