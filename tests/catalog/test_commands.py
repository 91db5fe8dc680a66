"""`llmops catalog` as it is installed: what it prints and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

LLMOPS = Path(sys.executable).with_name("llmops")


class Shell:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.folder = folder

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(LLMOPS), "catalog", *arguments],
            cwd=self.folder,
            env=os.environ | {"LLMOPS_HOME": str(self.home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def data(self, *arguments: str) -> Any:
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_list_names_accelerators_and_offers_with_their_prices(shell: Shell) -> None:
    done = shell.run("list", "--gpu", "H100")
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert any(row.startswith("H100-SXM ") and "3.35TB/s" in row for row in rows)
    assert any(row.startswith("aws/p5.48xlarge ") and "$" in row for row in rows)
    assert not any(row.startswith("aws/g5") for row in rows)


def test_a_list_as_data_has_base_units_and_only_the_region_that_was_asked_for(shell: Shell) -> None:
    data = shell.data("list", "--provider", "gcp", "--region", "europe-west4", "--gpu", "L4")
    assert data["accelerators"] == []
    for offer in data["offers"]:
        assert [price["region"] for price in offer["prices"]] == ["europe-west4"]
    assert shell.data("list", "--kind", "accelerators", "--gpu", "T4")["offers"] == []


def test_show_gives_every_figure_with_unit_source_and_day(shell: Shell) -> None:
    figures = shell.data("show", "H100-SXM")["figures"]
    assert figures["bandwidth"]["value"] == 3.35e12
    assert figures["bandwidth"]["unit"] == "B/s"
    for figure in figures.values():
        assert figure["source"]["url"].startswith("https://")
        assert len(figure["source"]["date"]) == len("2026-07-20")
    text = shell.run("show", "aws/p5.48xlarge").stdout
    assert "price us-east-1" in text
    assert "https://" in text
    as_yaml = yaml.safe_load(shell.run("show", "T4", "-o", "yaml").stdout)
    assert as_yaml["figures"]["usable"]["value"] == 15360 * 2**20


def test_a_gpu_that_nobody_has_ends_with_two_and_the_nearest(shell: Shell) -> None:
    for arguments in (("list", "--gpu", "H100-SMX"), ("show", "H100-SMX")):
        done = shell.run(*arguments)
        assert done.returncode == 2
        assert "hint: did you mean 'H100-SXM'?" in done.stderr


def test_the_homes_own_file_is_read_unless_another_is_named(shell: Shell) -> None:
    rack = "offers: {own/rack: {accelerator: H100, count: 8, machines: 4}}\n"
    (shell.home / "catalog.yaml").write_text(rack)
    listed = shell.run("list", "--provider", "own").stdout
    assert "own/rack" in listed
    assert "4 of your own" in listed
    other = shell.folder / "other.yaml"
    other.write_text(rack.replace("rack", "other"))
    names = [
        o["name"]
        for o in shell.data("list", "--provider", "own", "--catalog", "other.yaml")["offers"]
    ]
    assert names == ["own/other"]


def test_a_mistake_in_ones_own_file_is_told_at_its_place(shell: Shell) -> None:
    (shell.home / "catalog.yaml").write_text("offers: {own/rack: {accelerator: H100, count: 0}}\n")
    done = shell.run("list")
    assert done.returncode == 2
    assert 'catalog.yaml:1:47: offers["own/rack"].count: expected' in done.stderr
    assert "Traceback" not in done.stderr


def test_check_ends_with_three_only_when_something_cannot_be_trusted(shell: Shell) -> None:
    assert shell.run("check").returncode == 0
    own = shell.folder / "own.yaml"
    own.write_text(
        "sources: {s: {title: t, url: 'https://example.com', date: '2026-01-01'}}\nsource: s\n"
        "offers: {x/y: {accelerator: T4, count: 1, prices: {r: {on_demand: 1, spot: 2}}}}\n"
    )
    done = shell.run("check", "--catalog", str(own))
    assert done.returncode == 3
    assert done.stdout.startswith("error: x/y: in r spot costs $2, more than $1 on demand")
    data = shell.run("check", "--catalog", str(own), "-o", "json")
    assert data.returncode == 3
    assert json.loads(data.stdout)["findings"][0]["id"] == "spot-over-on-demand"
