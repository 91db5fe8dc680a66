"""The file that `llmops init` writes loads, as it is and with its options taken up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from llmops.errors import InputError
from llmops.spec import Deployment, Hardware, loads, starter
from tests.spec import strategies

SOURCE = "hf://owner/name"
OPTION = re.compile(r"^#(?=[a-z]|  [a-z])", re.MULTILINE)


def test_the_file_loads_as_it_is() -> None:
    made = loads(starter("chat", SOURCE))
    assert made == Deployment.model_validate({"name": "chat", "model": {"source": SOURCE}})


def test_the_file_loads_with_every_option_and_they_are_the_defaults() -> None:
    text = starter("chat", SOURCE)
    assert len(OPTION.findall(text)) > 10
    made, taken = loads(text), loads(OPTION.sub("", text))
    assert taken.hardware == Hardware(), "written out, and the same as auto"
    assert taken.model_copy(update={"hardware": "auto"}) == made


def test_each_option_loads_alone_with_its_section() -> None:
    lines = starter("chat", SOURCE).splitlines()
    options = [index for index, line in enumerate(lines) if re.match(r"#  [a-z]", line)]
    for index in options:
        section = max((i for i in range(index) if re.match(r"#[a-z]", lines[i])), default=None)
        taken = [
            OPTION.sub("", line) if i in (index, section) else line for i, line in enumerate(lines)
        ]
        assert loads("\n".join(taken)).name == "chat", lines[index]


def test_the_file_is_small_and_explains_itself() -> None:
    lines = starter("chat", SOURCE).splitlines()
    assert len(lines) <= 30
    assert max(len(line) for line in lines) <= 100
    assert "llmops explain" in lines[1]


@pytest.mark.parametrize("name", ["on", "no", "null", "true", "y"])
def test_a_name_that_is_a_word_of_yaml_is_quoted(name: str) -> None:
    assert loads(starter(name, SOURCE)).name == name


@given(name=strategies.names, source=strategies.sources)
@settings(max_examples=100, deadline=None)
def test_any_name_and_source_are_read_back(name: str, source: str) -> None:
    made = loads(starter(name, source))
    assert (made.name, made.model.source) == (name, source)


@pytest.mark.parametrize(
    ("name", "source", "says", "hint"),
    [
        ("My Chat", SOURCE, "name: expected a name", "such as support-chat"),
        ("chat", "owner/name", "source: expected hf://owner/name", "did you mean hf://owner/name?"),
        ("chat\n", SOURCE, "name: expected a name", "such as support-chat"),
    ],
)
def test_a_wrong_name_or_source_is_refused(name: str, source: str, says: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        starter(name, source)
    assert says in caught.value.message
    assert caught.value.hint == hint
