"""Bytes of quantised models against the tensors that the installed vLLM creates for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.planning.quantisation import cases

pytestmark = [pytest.mark.engines, pytest.mark.long]

BUILT = cases.of("engine")
TINY = {path.stem: yaml.safe_load(path.read_text())
        for path in (cases.CASES / "quantisation" / "tiny").glob("*.yaml")}  # fmt: skip

PASSING = (".q_scale", ".k_scale", ".v_scale", ".prob_scale", ".q_zero_point", ".k_zero_point",
           ".v_zero_point", ".w13_bias", ".w2_bias")  # fmt: skip
"""What vLLM creates to load scales and biases into, and drops when there are none: gpt-oss has."""


def config(case: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = TINY[case["model"]]
    return model | {"quantization_config": case["config"]}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    out = tmp_path_factory.mktemp("vllm") / "parameters.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.planning.quantisation.engine", str(out)],
        input=json.dumps({name: config(case) for name, case in BUILT.items()}),
        cwd=Path(__file__).parents[2],
        env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, int]] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize("name", BUILT)
def test_a_quantised_model_takes_the_bytes_of_vllms_tensors(
    name: str, theirs: dict[str, dict[str, int]]
) -> None:
    case = BUILT[name]
    whole = config(case)
    held = {
        parameter: size
        for parameter, size in theirs[name].items()
        if case["model"] == "gpt-oss" or not parameter.endswith(PASSING)
    }
    ours = cases.stored(whole, cases.understood(whole)) + case.get("beside", 0)
    assert ours == sum(held.values()), held


def test_experts_are_rounded_up_as_vllm_does() -> None:
    program = (
        "import json;"
        "from vllm.model_executor.layers.fused_moe.oracle.mxfp4 import Mxfp4MoeBackend as B,"
        " mxfp4_round_up_hidden_size_and_intermediate_size as up;"
        "print(json.dumps([up(b, 2880, 2880 // ranks) for ranks in (1, 8) for b in"
        " (B.MARLIN, B.TRITON, B.FLASHINFER_TRTLLM_MXFP4_BF16)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=110
    )
    vllms = [tuple(pair) for pair in json.loads(done.stdout.splitlines()[-1])]
    quantisation = cases.understood({"model_type": "gpt_oss", "quantization_config": {
        "quant_method": "mxfp4"}})  # fmt: skip
    tiles = {tile.least: tile for tile in quantisation.tiles}
    ours = [
        (-(-2880 // tiles[least].hidden) * tiles[least].hidden,
         tiles[least].rounded(2880, ranks) // ranks)
        for ranks in (1, 8) for least in (80, 90, 100)
    ]  # fmt: skip
    assert ours == vllms


def test_block_sizes_of_gguf_are_those_of_the_gguf_package() -> None:
    from gguf import GGML_QUANT_SIZES

    from llmops.planning.quantisation.gguf import BLOCKS

    theirs = {kind.name: size for kind, size in GGML_QUANT_SIZES.items() if size[0] > 1}
    assert dict(BLOCKS) == theirs
