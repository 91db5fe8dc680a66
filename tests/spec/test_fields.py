"""Every field is documented where it is declared, and shown so wherever it is asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from llmops.errors import InputError
from llmops.spec import FieldDoc, explain, fields, loads
from llmops.spec.reference import reference_page
from tests.house import tree

MODELS = [tree.ROOT / "llmops" / "spec" / name for name in ("models.py", "kubernetes.py")]


def _declared() -> Iterator[tuple[str, str, str | None]]:
    """Class, field, and the text below it."""
    for node in (node for path in MODELS for node in ast.parse(path.read_text()).body):
        if not isinstance(node, ast.ClassDef):
            continue
        for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text = None
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    text = str(after.value.value)
                yield node.name, statement.target.id, text


@pytest.mark.parametrize(("section", "field", "text"), list(_declared()))
def test_every_field_has_its_docstring_right_below(
    section: str, field: str, text: str | None
) -> None:
    assert text, f"{section}.{field} has no docstring"
    words = " ".join(text.split())
    assert words.endswith("."), f"{section}.{field}: {words}"
    shown = [doc for doc in fields() if doc.path.rpartition(".")[2] == field and doc.doc == words]
    assert shown, f"{section}.{field} is not among the documented fields"


@pytest.mark.parametrize("doc", fields(), ids=lambda doc: doc.path)
def test_every_field_is_on_the_reference_page(doc: FieldDoc) -> None:
    page = " ".join(reference_page().split())
    assert f"`{doc.path}`" in page
    assert doc.doc in page


def test_a_field_says_type_default_and_allowed_words() -> None:
    (doc,) = explain("engine.kv_cache")
    assert doc.type == "'auto', or a size from 1MiB to 64TiB, such as '2GiB'"
    assert (doc.default, doc.allowed, doc.required, doc.section) == (
        "auto",
        ("auto",),
        False,
        False,
    )
    (strategy,) = explain("maintenance.strategy")
    assert strategy.allowed == ("rolling", "canary", "recreate")
    (source,) = explain("model.source")
    assert (source.default, source.required) == ("required", True)


def test_a_field_of_one_kind_of_target_says_which() -> None:
    told = {doc.path: doc for doc in explain("target")}
    once = {(doc.path, doc.doc) for doc in explain("target")}
    assert len(once) == len(explain("target")), "a field is told once for all kinds that share it"
    assert told["target.port"].only == told["target.host"].only == "local, agent or bare_metal"
    assert told["target.weights.kind"].only == told["target.namespace"].only == "kubernetes"
    kind = told["target.kind"]
    assert (kind.only, kind.default, kind.allowed[:2]) == ("", "local", ("local", "kubernetes"))
    assert told["target"].type.startswith("a section whose kind is one of 'local', 'kubernetes'")


def test_the_reference_page_tells_every_field_once_and_for_which_kind_it_is() -> None:
    page = reference_page()
    for doc in fields():
        meanings = sum(other.path == doc.path for other in fields())
        assert page.count(f"# `{doc.path}`\n") == meanings, doc.path
    assert "Default: `8000`. For `kind: local, agent or bare_metal`." in page
    assert "Default: `default`. For `kind: kubernetes`." in page


def test_a_section_is_explained_with_what_is_below_it() -> None:
    paths = [doc.path for doc in explain("maintenance")]
    assert paths == [
        "maintenance",
        "maintenance.strategy",
        "maintenance.canary",
        "maintenance.canary.steps",
        "maintenance.canary.watch",
        "maintenance.canary.more_failures",
        "maintenance.canary.more_truncated",
        "maintenance.canary.slower",
        "maintenance.canary.least_requests",
        "maintenance.window",
        "maintenance.keep_releases",
        "maintenance.keep_logs",
        "maintenance.drain",
        "maintenance.start_deadline",
    ]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("security.keys[0]", "security.keys"),
        ("engine.args.seed", "engine.args"),
        (" name ", "name"),
        ("target.namespace", "target.namespace"),
        ("target.port", "target.port"),
        ("target.node_selector.pool", "target.node_selector"),
        ("target.tolerations[0].key", "target.tolerations[].key"),
        ("target.tolerations[].key", "target.tolerations[].key"),
        ("target.egress[1]", "target.egress"),
    ],
)
def test_what_lies_in_a_field_is_explained_by_it(path: str, shown: str) -> None:
    assert [doc.path for doc in explain(path)] == [shown]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("engine.kvcache", "did you mean 'engine.kv_cache'?"),
        ("kv_cache", "did you mean 'engine.kv_cache'?"),
        ("scaling.replica", "did you mean 'scaling.replicas'?"),
        ("", "sections: apiVersion, kind, name, model"),
        ("quux.flob", "sections: apiVersion, kind, name, model"),
        ("[[[", "sections: apiVersion"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(path: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        explain(path)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_default_is_what_holds_when_nothing_is_written() -> None:
    document: Any = loads("name: chat\nmodel: {source: hf://owner/name}\n").model_dump(mode="json")
    for doc in fields():
        if doc.only not in ("", "local"):
            continue  # a file that says nothing is of the kind local
        if "[]" in doc.path:
            continue  # a list that is not written has no entry
        value: Any = document
        for key in doc.path.split("."):
            value = value[key] if isinstance(value, dict) else {}
        if not isinstance(value, dict) and doc.default not in ("required", "none"):
            shown = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
            assert doc.default == (shown.lower() if isinstance(value, bool) else shown), doc.path
