"""What a safetensors file says of itself: any that the library writes, and none that it would not.

`tests/cases/safetensors/` holds broken files: `file` (hex), `text`, or a `header` with `length`
(what the file claims its header has; by default the truth) and `data` (bytes of tensors).
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from llmops.errors import ModelError
from serving.models import headers

CASES = sorted((Path(__file__).parents[1] / "cases" / "safetensors").glob("*.yaml"))

TYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16,
    "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip

Arrays = dict[str, npt.NDArray[Any]]
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
TENSORS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
        lambda name: name != "__metadata__"
    ),
    st.tuples(st.sampled_from(sorted(TYPES)), SHAPES),
    max_size=6,
)


def parse(content: bytes) -> headers.Weights:
    """Read a file that is in memory."""
    return headers.parse(
        "x.safetensors", lambda offset, length: content[offset : offset + length], len(content)
    )


def library(content: bytes) -> Any:
    """Read a file as the library does."""
    return safetensors.deserialize(content)  # type: ignore[no-untyped-call]


def made(case: dict[str, Any]) -> bytes:
    """The file that a case describes."""
    if "file" in case:
        return bytes.fromhex(case["file"])
    if "text" in case:
        return str(case["text"]).encode()
    repeated = case.get("header_of")
    header = repeated["open"] * repeated["times"] if repeated else case["header"]
    length = case.get("length", len(header))
    tensors = bytes(int(case.get("data", 0)))
    return int(length).to_bytes(8, "little") + str(header).encode() + tensors


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_in_words(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    content = made(case)
    with pytest.raises(ModelError) as caught:
        parse(content)
    assert case["message"] in caught.value.message
    with pytest.raises(safetensors.SafetensorError):
        library(content)  # what the library takes is not for us to refuse


@given(TENSORS, st.dictionaries(st.text("ab"), st.text("cd"), max_size=2))
def test_what_the_library_writes_is_read_with_equal_counts(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]
) -> None:
    arrays: Arrays = {name: np.zeros(shape, TYPES[kind]) for name, (kind, shape) in tensors.items()}
    found = parse(bytes(save(arrays, metadata or None)))
    expected: dict[str, int] = {}
    for kind, shape in tensors.values():
        expected[kind] = expected.get(kind, 0) + math.prod(shape)
    assert found.dtypes == expected
    assert found.bytes == sum(array.nbytes for array in arrays.values())
    assert found.parameters == sum(array.size for array in arrays.values())
    listed = {tensor.name: (tensor.dtype, tensor.shape) for tensor in found.tensors}
    assert listed == tensors


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_model_error(content: bytes) -> None:
    try:
        found = parse(content)
    except ModelError:
        return
    assert library(content) == [], f"{found} was read from {content!r}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON, st.integers(0, 40))
def test_a_header_of_any_json_raises_nothing_but_a_model_error(document: Any, tail: int) -> None:
    text = json.dumps(document).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(tail)
    try:
        found = parse(content)
    except ModelError:
        return
    assert 8 + len(text) + found.bytes == len(content)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**62))
def test_no_more_is_read_than_the_bound_whatever_a_file_claims(length: int, size: int) -> None:
    asked: list[int] = []

    def read(offset: int, wanted: int) -> bytes:
        asked.append(wanted)
        return length.to_bytes(8, "little") if offset == 0 else b"{"

    with pytest.raises(ModelError):
        headers.parse("x.safetensors", read, size)
    assert all(wanted <= headers.MAX_HEADER for wanted in asked)


def test_every_type_of_the_library_is_known() -> None:
    with pytest.raises(Exception, match="expected one of") as caught:
        library(made({"header": HEADER_WITHOUT_A_TYPE}))
    named = set(re.findall(r"`(\w+)`", str(caught.value)))
    assert len(named) > 10, caught.value
    assert named - {"none", *headers.BITS} == set()


HEADER_WITHOUT_A_TYPE = '{"a": {"dtype": "none", "shape": [], "data_offsets": [0, 0]}}'
