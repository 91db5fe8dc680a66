"""What holds for every deployment and for every file, tried with thousands of each."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.errors import SpecError
from llmops.spec import Deployment, load, loads
from llmops.spec.schema import schema
from tests.effort import effort
from tests.spec.strategies import deployments

SEED = """\
# A file to spoil.
name: support-chat
model: &model
  source: hf://owner/name
  context: 2048
engine:
  kv_cache: 2GiB
  args: {enable_prefix_caching: false, seed: -1}
security:
  keys: [team-a, "team-b"]
  max_body: 256KiB
maintenance: {drain: 2min, strategy: recreate}
"""
OF_A_CLUSTER = """\
name: support-chat
model: {source: hf://owner/name}
image: registry.example.com/llmops:v1
target:
  kind: kubernetes
  namespace: models
  node_selector: {pool: gpu}
  tolerations: [{key: gpu, operator: Exists}]
  weights: {kind: pvc, size: 1TiB}
  egress: [10.0.0.0/8]
  allow_tags: true
  expose: {kind: gateway, hostname: chat.example.com, gateway: public}
  redis: {address: "redis://redis.models.svc:6379"}
"""
PIECES = [
    ": ", "\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<", "!!str ",
    "!x ", "? ", "| ", ">-\n", "'", '"', "# ", "---\n", "...\n", "%YAML 1.1\n", "\t", "name",
    "model", "source", "hf://a/b", "engine", "args", "auto", "no", "010", "12:30", "1e999", "~",
    "\\", "\\x", "\ufeff", "\u202e", "\x00", "\x85", "é", "🚀", "security", "keys", "16", "GiB",
    ".nan", "@", "`",
]  # fmt: skip
LOOSE = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class _Quoting(yaml.SafeDumper):
    """Writes every text in quotes, as YAML 1.2 needs for what YAML 1.1 took for text."""


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def _yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Quoting, allow_unicode=True)


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1)


@pytest.mark.parametrize("dump", [_yaml, _json])
@given(deployment=deployments)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_deployment_that_is_written_is_read_back_equal(
    dump: Callable[[Any], str], deployment: Deployment
) -> None:
    assert loads(dump(deployment.model_dump(mode="json", exclude_unset=True))) == deployment


@given(deployment=deployments)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_schema_takes_whatever_the_program_takes(deployment: Deployment) -> None:
    document = deployment.model_dump(mode="json", exclude_unset=True)
    jsonschema.Draft202012Validator(schema()).validate(document)


@given(deployment=deployments)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_laid_over_itself_changes_nothing(deployment: Deployment) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "llmops.yaml"
        path.write_text(_json(deployment.model_dump(mode="json", exclude_unset=True)))
        assert load([path, path]) == deployment


def _loads_or_is_refused(read: Callable[[], Deployment]) -> None:
    with effort() as spent:
        refused = _refusal(read)
    assert spent.seconds < 2
    if refused is not None:
        for problem in refused.problems:
            assert problem.line >= 1
            assert problem.column >= 1
            assert problem.hint, f"no way out of: {problem}"
            assert "\n" not in problem.message + problem.hint
            assert len(str(problem)) < 600


def _refusal(read: Callable[[], Deployment]) -> SpecError | None:
    try:
        read()
    except SpecError as error:
        return error
    return None


@given(text=st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join))
@LOOSE
def test_no_text_breaks_the_reader(text: str) -> None:
    _loads_or_is_refused(lambda: loads(text))


@given(content=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "llmops.yaml"
        path.write_bytes(content)
        _loads_or_is_refused(lambda: load([path]))


@given(
    seed=st.sampled_from([SEED, OF_A_CLUSTER]),
    at=st.integers(0, max(len(SEED), len(OF_A_CLUSTER))),
    length=st.integers(0, 6),
    piece=st.sampled_from(PIECES) | st.text(max_size=2),
)
@LOOSE
def test_no_spoiled_file_breaks_the_reader(seed: str, at: int, length: int, piece: str) -> None:
    _loads_or_is_refused(lambda: loads(seed[:at] + piece + seed[at + length :]))


@pytest.mark.parametrize("seed", [SEED, OF_A_CLUSTER])
def test_the_file_to_spoil_is_right(seed: str) -> None:
    assert loads(seed).name == "support-chat"
