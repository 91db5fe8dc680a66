"""The unit that brings back what was live: its text, and what is asked of a user's systemd.

A program stands in for systemctl: it notes what is enabled and does nothing more. So this does not
show that systemd would take the unit; `systemd-analyze --user verify` does, by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llmops.errors import InputError, RefusedError
from serving.local import BootUnit, Systemd, boot_unit, unit_text

STANDIN = """\
#!{python}
import sys
from pathlib import Path
here = Path({folder!r})
words = [word for word in sys.argv[1:] if not word.startswith("--")]
with (here / "asked").open("a") as asked:
    print(*words, file=asked)
enabled = here / "enabled"
if (here / "broken").exists():
    sys.exit("Failed to connect to bus: No medium found")
if words[0] == "enable":
    enabled.touch()
elif words[0] == "disable":
    enabled.unlink(missing_ok=True)
elif words[0] == "is-enabled":
    print("enabled" if enabled.exists() else "disabled")
elif words[0] == "show":
    print("active\\nsuccess" if enabled.exists() else "inactive\\nsuccess")
elif words[0] == "show-user":
    print("no")
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which stand-ins for systemd's programs note what they are asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "loginctl"):
        program = programs / name
        program.write_text(STANDIN.format(python=sys.executable, folder=str(tmp_path)))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return tmp_path


@pytest.fixture
def unit(tmp_path: Path) -> BootUnit:
    folder = tmp_path / "units"
    return BootUnit(Path("/opt/llmops/bin/llmops"), tmp_path / "home", usual=True, folder=folder)


def asked(machine: Path, *, looks: bool = False) -> list[str]:
    lines = (machine / "asked").read_text().splitlines()
    return [line for line in lines if looks or line.split()[0] not in ("show", "is-enabled",
            "show-environment", "show-user")]  # fmt: skip


def test_it_is_enabled_once_and_stays_so(machine: Path, unit: BootUnit) -> None:
    systemd = Systemd(booted=machine)
    assert not systemd.standing(unit).enabled
    for _ in range(2):
        systemd.enable(unit)
    standing = systemd.standing(unit)
    assert (standing.enabled, standing.linger, standing.state) == (True, False, "active success")
    assert unit.written
    assert [file.name for file in unit.folder.iterdir()] == ["llmops-runtime.service"]
    assert asked(machine) == ["daemon-reload", f"enable {unit.name}"] * 2


def test_it_is_taken_away_and_nothing_is_stopped(machine: Path, unit: BootUnit) -> None:
    systemd = Systemd(booted=machine)
    systemd.enable(unit)
    for _ in range(2):
        systemd.disable(unit)
    assert not systemd.standing(unit).enabled
    assert list(unit.folder.iterdir()) == []
    assert not any("stop" in line or "--now" in line for line in asked(machine, looks=True))


@pytest.mark.parametrize("lacks", ["the start by systemd", "its program", "its answer"])
def test_without_systemd_nothing_is_written(machine: Path, unit: BootUnit, lacks: str) -> None:
    booted = machine
    if lacks == "the start by systemd":
        booted = machine / "nowhere"
    elif lacks == "its program":
        (machine / "bin" / "systemctl").unlink()
    else:
        (machine / "broken").touch()
    systemd = Systemd(booted=booted)
    said = r"No medium found|not started by systemd"
    for change in (systemd.enable, systemd.disable):
        with pytest.raises(RefusedError, match=said) as refused:
            change(unit)
        assert "llmops deploy" in refused.value.hint
    assert not unit.folder.exists()
    assert systemd.standing(unit).systemd is False


def test_the_unit_keeps_what_serves_and_is_hardened(unit: BootUnit) -> None:
    lines = unit_text(unit).splitlines()
    assert f'Environment="LLMOPS_HOME={unit.home}"' in lines
    assert 'ExecStart="/opt/llmops/bin/llmops" runtime start --yes' in lines
    for line in ("KillMode=process", "RemainAfterExit=yes", "NoNewPrivileges=yes",
                 "RestrictSUIDSGID=yes", "LockPersonality=yes", "UMask=0077",
                 "Restart=on-failure", "StartLimitBurst=5", "WantedBy=default.target"):  # fmt: skip
        assert line in lines


def test_what_systemd_would_expand_is_kept(tmp_path: Path) -> None:
    odd = BootUnit(Path('/a b/ll"m%ops'), tmp_path / "h %h", usual=False, folder=tmp_path)
    text = unit_text(odd)
    assert 'ExecStart="/a b/ll\\"m%%ops" runtime start' in text
    assert f'Environment="LLMOPS_HOME={tmp_path}/h %%h"' in text
    assert f"EnvironmentFile=-{tmp_path}/h %%h/runtime.env" in text


def test_each_home_has_a_unit_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TMPDIR", "/var/short")
    program, usual = Path("/bin/llmops"), tmp_path / "usual"
    made = [boot_unit(home, program, usual=usual) for home in (usual, tmp_path / "a", tmp_path)]
    assert len({unit.name for unit in made}) == 3
    assert made[0].file == tmp_path / "config" / "systemd" / "user" / "llmops-runtime.service"
    assert 'Environment="TMPDIR=/var/short"' in unit_text(made[0])
    with pytest.raises(InputError, match="no unit can name"):
        boot_unit(tmp_path / "a\nb", program, usual=usual)
