"""Files become records: every form, every place named, every mistake told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llmops.errors import InputError
from llmops.finetuning import Data
from serving.finetune.data import endings, reading
from serving.finetune.data.inputs import Input, find
from serving.finetune.data.reading import Record, read
from serving.finetune.data.rows import Bad

ROWS = [{"text": "one"}, {"text": "zwei äöü"}, {"text": "three\nlines"}]


def opened(path: Path, form: str = "text") -> Input:
    """A file as it is found."""
    source = {"source": f"file://{path}", "format": form}
    (found,) = find(Data.model_validate({"train": [source]}), lambda _: None)
    return found


def records(path: Path) -> list[tuple[str, object]]:
    """Places and values; a bad row's value is its reason."""
    return [
        (one.source, one.value if isinstance(one, Record) else one.reason)
        for one in read(opened(path))
    ]


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_lines_are_read_with_their_places(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(row) for row in ROWS[:2]) + "\n\n" + json.dumps(ROWS[2])
    places = [(f"a.jsonl:{line}", row) for line, row in zip((1, 2, 4), ROWS, strict=True)]
    assert records(written(tmp_path, "a.jsonl", text)) == places
    packed = written(tmp_path, "a.jsonl.gz", gzip.compress(text.encode()))
    assert [value for _, value in records(packed)] == ROWS


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        (b'{"text": }', "a.jsonl:2:10", "not JSON: Expecting value"),
        (b"[1]", "a.jsonl:2", "expected an object, found an array"),
        (b'{"text": "\xff"}', "a.jsonl:2", "byte 11 of the line is not UTF-8"),
        (b"[" * 100_000, "a.jsonl:2", "nested too deep, or a number too long"),
    ],
)
def test_a_bad_line_is_named_and_the_next_is_read(
    tmp_path: Path, line: bytes, place: str, reason: str
) -> None:
    path = written(tmp_path, "a.jsonl", b'{"text": "x"}\n' + line + b'\n{"text": "y"}\n')
    found = records(path)
    assert [value for _, value in (found[0], found[2])] == [{"text": "x"}, {"text": "y"}]
    assert found[1][0] == place
    assert reason in str(found[1][1])


def test_a_line_longer_than_any_row_is_bad_and_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST", 100)
    path = written(tmp_path, "a.jsonl", b"x" * 1000 + b'\n{"text": "y"}\n')
    found = list(read(opened(path)))
    assert isinstance(found[0], Bad)
    assert found[1] == Record("a.jsonl:2", {"text": "y"})


def test_a_table_is_read_with_the_lines_that_its_rows_begin_at(tmp_path: Path) -> None:
    text = 'text,n\none,1\n"two\nlines",2\nthree\nfour,4\n'
    assert records(written(tmp_path, "a.csv", text)) == [
        ("a.csv:2", {"text": "one", "n": "1"}),
        ("a.csv:3", {"text": "two\nlines", "n": "2"}),
        ("a.csv:5", "expected 2 columns, found 1"),
        ("a.csv:6", {"text": "four", "n": "4"}),
    ]
    assert records(written(tmp_path, "b.tsv", "text\tn\na,b\t1\n")) == [
        ("b.tsv:2", {"text": "a,b", "n": "1"})
    ]


def test_parquet_is_read_by_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert records(tmp_path / "a.parquet") == [
        (f"a.parquet:{at}", row) for at, row in enumerate(ROWS, 1)
    ]
    with pytest.raises(InputError, match=r"b\.parquet is not Parquet"):
        records(written(tmp_path, "b.parquet", b"PAR1 not at all"))
    ends = pa.array([0, 2], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(b"\xff\xfe")])
    pq.write_table(pa.table({"text": column}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="has a value that cannot be read after row 0"):
        records(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.json", b'[{"n": ' + b"1" * 5000 + b"}]", "a number too long"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 99)[:15] + b"\xff" * 20, "is not whole"),
        ("a.csv", b'"a"x,b\n1,2\n', "has no heads of columns"),
    ],
    ids=["number", "packed", "heads"],
)
def test_a_file_that_cannot_be_gone_on_with_is_an_error(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        records(written(tmp_path, name, content))


@pytest.mark.parametrize("name", ["**.jsonl", "a" * 300 + ".jsonl"], ids=["pattern", "long"])
def test_a_name_that_no_file_can_have_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be looked for"):
        opened(tmp_path / name)


def test_a_plain_text_has_a_row_in_each_line(tmp_path: Path) -> None:
    assert records(written(tmp_path, "a.txt", "one\n\n two\r\n")) == [
        ("a.txt:1", {"text": "one"}),
        ("a.txt:3", {"text": " two"}),
    ]


values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    rows=some.lists(some.dictionaries(some.text(max_size=3), values, max_size=3), max_size=6),
    indent=some.sampled_from([None, 0, 2]),
    chunk=some.integers(1, 40),
)
def test_an_array_is_read_piece_by_piece_as_it_is_read_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, object]],
    indent: int | None,
    chunk: int,
) -> None:
    path = tmp_path_factory.mktemp("array") / "a.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", chunk)
        assert [value for _, value in records(path)] == rows


def test_an_array_that_breaks_is_an_error_with_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", '[\n {"text": "x"},\n {"text": }\n]')
    with pytest.raises(InputError, match=r"a\.json:3:11: not JSON: Expecting value"):
        records(path)
    with pytest.raises(InputError, match="it ends within the array"):
        records(written(tmp_path, "b.json", '[{"text": "x"}'))


def test_a_packed_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"text": "x"}\n' * 1000)
    with pytest.raises(InputError, match="is not whole"):
        records(written(tmp_path, "a.jsonl.gz", whole[:-20]))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "x"}\n')
    given_file = opened(path)
    path.write_text('{"text": "longer"}\n')
    with pytest.raises(InputError, match="has changed while it was read"):
        list(read(given_file))


def test_wildcards_name_files_in_their_order_and_labels_tell_them_apart(tmp_path: Path) -> None:
    for folder in ("b", "a"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "rows.jsonl", '{"text": "x"}\n')
    source = {"source": f"file://{tmp_path}/*/rows.jsonl", "format": "text"}
    found = find(Data.model_validate({"train": [source]}), lambda _: None)
    assert [one.label for one in found] == ["a/rows.jsonl", "b/rows.jsonl"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing.jsonl", "does not exist"), ("folder", "is not a file"), ("a.xlsx", "'.xlsx'")],
)
def test_what_cannot_be_rows_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    written(tmp_path, "a.xlsx", "x")
    with pytest.raises(InputError, match=said) as refused:
        opened(tmp_path / name)
    assert refused.value.path == "data.train[0].source"


def test_every_ending_has_a_reader() -> None:
    assert set(endings.ENDINGS) == set(reading.READERS)
