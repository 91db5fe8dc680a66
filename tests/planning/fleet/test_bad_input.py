"""Whatever stands in a stranger's configuration or catalogue: a plan or a typed refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.catalog import load_catalogue
from llmops.errors import InputError, LlmopsError, RefusedError
from llmops.planning.fleet import Needs, Subject, Wish, check_asked, dollars, only, wished
from llmops.planning.parallel import Parallel
from tests.planning.fleet import worlds

MODELS = sorted((worlds.CASES / "fleet" / "bad-models").glob("*.yaml"))
CATALOGUES = sorted((worlds.CASES / "fleet" / "bad-catalogues").glob("*.yaml"))


def _case(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def _refused(error: LlmopsError, code: int, words: str) -> None:
    assert error.exit_code == code
    assert words in str(error)
    assert error.message
    assert "\n" not in error.message


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_bad_model_is_refused_and_named(path: Path) -> None:
    case = _case(path)
    config = {**worlds.config(case["model"]), **case["change"]}
    kept = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(RefusedError) as caught:
        Subject.of(worlds.facts(kept))
    _refused(caught.value, 3, case["message"])


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_a_bad_catalogue_is_refused_and_named(path: Path, tmp_path: Path) -> None:
    case = _case(path)
    file = tmp_path / "own.yaml"
    file.write_text(case["text"])
    with pytest.raises(InputError) as caught:
        only(load_catalogue([file]), load_catalogue())
    assert caught.value.exit_code == 2
    assert case["message"] in str(caught.value)


def test_there_are_as_many_bad_cases_as_were_promised() -> None:
    assert len(MODELS) + len(CATALOGUES) >= 40


@pytest.mark.parametrize(
    ("name", "needs", "words", "hint"),
    [
        ("llama-3.1-70b", Needs(parallel=Parallel(3)), "64 attention heads", "tensor 4"),
        ("llama-3.1-70b", Needs(parallel=Parallel(8, 1, 2)), "replicas do the same", "tensor 8"),
        (
            "llama-3.1-70b",
            Needs(parallel=Parallel(1, 81)),
            "more stages than 80 layers",
            "pipeline 80",
        ),
        ("llama-3.1-8b", Needs(experts=True), "no experts", "--experts"),
        ("mixtral-8x7b", Needs(parallel=Parallel(16, 1, 1, True)), "8 experts", "tensor 16"),
        ("llama-3.1-8b", Needs(context=131073), "trained for 131,072", "131072"),
        ("smollm2-135m", Needs(parallel=Parallel(2)), "9 attention heads", "tensor 1"),
        ("t5-11b", Needs(parallel=Parallel(1, 2)), "encoder", "tensor 1"),
    ],
)
def test_what_a_model_does_not_allow_is_refused_with_what_comes_nearest(
    name: str, needs: Needs, words: str, hint: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        check_asked(worlds.subject(name), needs)
    _refused(caught.value, 3, words)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "0", "-5", "free", "20 EUR/h", "1e9", "NaN", "inf", "20;21", "9" * 40, "\uff12\uff10"],
)
def test_what_is_no_amount_of_dollars_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        dollars(text)
    _refused(caught.value, 2, "US dollars an hour")


@pytest.mark.parametrize("text", ["20", "$20", "20 USD/h", "20 USD", "20$", "20.0 usd / h"])
def test_a_budget_may_be_written_in_several_ways(text: str) -> None:
    assert dollars(text) == 20


@pytest.mark.parametrize(
    ("wish", "words", "hint"),
    [
        (Wish(gpu="H100-SMX"), "H100-SMX", "H100-SXM"),
        (Wish(providers=("amazon",)), "provider", ""),
        (Wish(providers=("azzure",)), "provider", "azure"),
        (Wish(regions=("moon",)), "region", ""),
        (Wish(regions=("",)), "region", ""),
        (Wish(budget="-1"), "US dollars", "--budget 20"),
    ],
)
def test_a_name_that_nobody_has_is_refused_with_the_nearest(
    wish: Wish, words: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        wished(Needs(), wish, worlds.catalogue("catalog"))
    _refused(caught.value, 2, words)
    assert hint in caught.value.hint
