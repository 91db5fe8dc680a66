"""Distillation: what a teacher wrote is kept, none of it asked for twice. The server is a fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from llmops.errors import InputError, RefusedError, SpecError
from serving.client import Endpoint
from serving.evaluate import Live, Settings
from serving.finetune.distilling import Taught, distil, read_prompts
from tests.client.server import DONE, KEY, SERVICE, Answer, Server, event, refusal

N = 20


def teach(body: dict[str, Any]) -> Answer:
    """What the teacher writes: cut for 3, empty for 4, refused for 5."""
    number = body["messages"][-1]["content"].split()[-1]
    if number == "5":
        return refusal(400, "this cannot be asked", "bad")
    text = "" if number == "4" else f"answer {number}"
    choice = {"delta": {"content": text}, "finish_reason": "length" if number == "3" else "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return Answer([event({"choices": [choice]}), event({"choices": [], "usage": usage}), DONE])


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"ask {n}"}) + "\n" for n in range(1, N + 1)))
    return path


def run(endpoint: Endpoint, prompts: Path, out: Path, **settings: Any) -> Taught:
    asked = read_prompts(prompts, system="Be brief", on_bad="fail")
    return distil(Live(endpoint), asked, out, Settings(**settings), lambda _: None, max_tokens=16)


def test_chats_are_written_in_order_and_what_teaches_nothing_is_left_out(
    server: Server, endpoint: Endpoint, prompts: Path, tmp_path: Path
) -> None:
    server.otherwise = teach
    found = run(endpoint, prompts, tmp_path / "out.jsonl")
    assert (found.rows, found.cut, found.empty) == (N - 3, (3,), (4,))
    assert list(found.failed) == ["5"]
    assert found.tokens == {"prompt": 3 * (N - 1), "output": 2 * (N - 1)}
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["messages"][1]["content"] for line in lines[:3]] == ["ask 1", "ask 2", "ask 6"]
    assert lines[0]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "ask 1"},
        {"role": "assistant", "content": "answer 1"},
    ]
    manifest = (tmp_path / "out.jsonl.manifest.json").read_text()
    assert KEY not in manifest
    assert json.loads(manifest)["result"]["rows"] == N - 3
    assert not (tmp_path / "out.jsonl.work").exists()


def test_a_finished_file_is_asked_for_no_more(
    server: Server, endpoint: Endpoint, prompts: Path, tmp_path: Path
) -> None:
    server.otherwise = teach
    first = run(endpoint, prompts, tmp_path / "out.jsonl")
    asked = len(server.asked)
    assert run(endpoint, prompts, tmp_path / "out.jsonl") == first
    assert len(server.asked) == asked


def test_another_file_of_that_name_is_left_alone(
    server: Server, endpoint: Endpoint, prompts: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.jsonl").write_text("mine")
    with pytest.raises(InputError, match="no teacher wrote it"):
        run(endpoint, prompts, tmp_path / "mine.jsonl")
    server.otherwise = teach
    run(endpoint, prompts, tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="another teacher"):
        run(endpoint, prompts, tmp_path / "out.jsonl", temperature=0.5)
    assert (tmp_path / "mine.jsonl").read_text() == "mine"


def test_the_budget_is_kept_and_a_larger_one_goes_on(
    server: Server, endpoint: Endpoint, prompts: Path, tmp_path: Path
) -> None:
    server.otherwise = teach
    with pytest.raises(RefusedError, match="budget of 300 tokens"):
        run(endpoint, prompts, tmp_path / "out.jsonl", token_budget=300)
    assert not (tmp_path / "out.jsonl").exists()
    before = len(server.asked)
    assert 0 < before < N
    run(endpoint, prompts, tmp_path / "out.jsonl", token_budget=100_000)
    # The one that was refused is asked again, like all that may have failed by chance.
    assert len(server.asked) <= N + 1


PROGRAM = """
import sys
from pathlib import Path
from serving.client import Endpoint
from serving.evaluate import Live, Settings
from serving.finetune.distilling import distil, read_prompts
asked = read_prompts(Path(sys.argv[2]), on_bad="fail")
teacher = Live(Endpoint(sys.argv[1], sys.argv[3], "tiny"))
distil(teacher, asked, Path(sys.argv[4]), Settings(concurrency=2), print, max_tokens=16)
"""


@pytest.mark.parametrize("after", [1, 7, 15])
def test_a_killed_teaching_goes_on_and_asks_nothing_twice(
    server: Server, prompts: Path, tmp_path: Path, after: int
) -> None:
    out = tmp_path / "out.jsonl"
    server.otherwise = lambda body: Answer([0.05, *teach(body).pieces])
    prompts.write_text("".join(f'{{"prompt": "ask {n}"}}\n' for n in range(10, 10 + N)))
    command = [sys.executable, "-c", PROGRAM, server.url, str(prompts), KEY, str(out)]
    process = subprocess.Popen(command)
    try:
        end = time.monotonic() + 120
        while len(server.asked) <= after:
            assert time.monotonic() < end, "nothing was asked"
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    print(f"killed {process.pid} after {len(server.asked)} questions")
    assert not out.exists(), "the fault did not land"
    kept = (out.with_name("out.jsonl.work") / "answers.jsonl").read_bytes()
    known = max(0, kept.count(b"\n") - 1)
    before = len(server.asked)
    subprocess.run(command, check=True, timeout=120)
    assert len(server.asked) - before == N - known
    lines = [json.loads(line)["messages"] for line in out.read_text().splitlines()]
    assert [turns[-1]["content"] for turns in lines] == [f"answer {n}" for n in range(10, 10 + N)]


def test_bad_rows_are_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a"}\n{"promt": "b"}\nnothing\n{"messages": []}\n')
    with pytest.raises(SpecError) as caught:
        read_prompts(path, on_bad="fail")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]
    skipped = read_prompts(path, on_bad="skip")
    assert len(skipped.items) == 1
    assert [problem.line for problem in skipped.bad] == [2, 3, 4]


def test_prompts_are_read_from_text_and_from_chats(tmp_path: Path) -> None:
    plain = tmp_path / "p.txt"
    plain.write_text("one\n\ntwo\n")
    assert [i.messages[0].content for i in read_prompts(plain, on_bad="fail").items] == [
        "one",
        "two",
    ]
    chats = tmp_path / "c.jsonl"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "old"}]
    chats.write_text(json.dumps({"messages": turns}) + "\n")
    [item] = read_prompts(chats, on_bad="fail").items
    assert [turn.content for turn in item.messages] == ["Hi"]


def test_the_verb_tells_what_was_left_out(
    server: Server, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.otherwise = teach
    monkeypatch.setenv("TEACHER_KEY", KEY)
    where = ["--url", server.url, "--model", SERVICE, "--key-env", "TEACHER_KEY"]
    files = ["--prompts", str(prompts), "--out", str(tmp_path / "out.jsonl")]
    done: Result = CliRunner().invoke(app, ["finetune", "distil", *where, *files])
    assert done.exit_code == 0, done.output
    assert "17 chats" in done.output
    assert "1 were cut, 1 were empty, 1 failed" in done.output
    assert f"{prompts}:5: " in done.output
