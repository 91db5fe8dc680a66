"""Traces as files: what is read, and everything that is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given

from llmops.errors import SpecError
from llmops.policies.simulation import MOST_BYTES, Request, Trace, parse_trace, written
from tests.policies.simulation.worlds import traces

CASES = sorted((Path(__file__).parents[2] / "cases" / "traces").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_wrong_trace_is_refused_with_every_place(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    with pytest.raises(SpecError) as raised:
        parse_trace(case["trace"].encode(), "t.csv")
    told = [str(problem).split("\n")[0] for problem in raised.value.problems]
    assert told == [f"t.csv:{line}" for line in case["problems"]]
    assert all(problem.hint for problem in raised.value.problems)


def test_a_right_trace_is_read_as_it_is_written() -> None:
    raw = b"arrival,input_tokens,output_tokens\n0,512,128\n0.25,64,300\n0.25,1,1\n"
    assert parse_trace(raw, "t").requests == (
        Request(0.0, 512, 128),
        Request(0.25, 64, 300),
        Request(0.25, 1, 1),
    )


def test_lines_may_end_as_windows_ends_them() -> None:
    raw = b"arrival,input_tokens,output_tokens\r\n0.5,2,3\r\n"
    assert parse_trace(raw, "t").requests == (Request(0.5, 2, 3),)


def test_a_larger_file_is_not_read() -> None:
    with pytest.raises(SpecError, match="expected at most 64MiB, found a larger file"):
        parse_trace(b"x" * (MOST_BYTES + 1), "t")


def test_bytes_that_are_no_text_are_refused_at_their_place() -> None:
    with pytest.raises(SpecError, match="t:2:3: expected text in UTF-8, found byte 0xff"):
        parse_trace(b"arrival,input_tokens,output_tokens\n0,\xff,1\n", "t")


def test_only_the_first_problems_are_listed() -> None:
    raw = b"arrival,input_tokens,output_tokens\n" + b"x\n" * 5000
    with pytest.raises(SpecError) as raised:
        parse_trace(raw, "t")
    assert len(raised.value.problems) == 100


@given(traces())
def test_what_is_written_is_read_back(trace: Trace) -> None:
    raw = "".join(written(trace)).encode()
    assert parse_trace(raw, "t").requests == trace.requests
