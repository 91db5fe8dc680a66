"""The programs of a scratch root: what they answer lies in files, what they were told is kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

IMDS = "http://169.254.169.254/latest"
CREDENTIALS = {"AccessKeyId": "canary-key", "SecretAccessKey": "canary-secret", "Token": "canary-t"}


def pretend(root: Path, name: str, arguments: Sequence[str]) -> int:
    """Answer as the program of that name."""
    state = root / "pretended"
    with (state / "calls").open("a") as calls:
        calls.write(json.dumps([name, *arguments]) + "\n")
    return _PROGRAMS.get(name, _nothing)(state, list(arguments))


def _nothing(state: Path, arguments: list[str]) -> int:
    return 0


def _read(state: Path, name: str, default: Any = None) -> Any:
    file = state / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else default


def _noted(name: str) -> Callable[[Path, list[str]], int]:
    """A program that succeeds once something was done."""
    return lambda state, arguments: 0 if (state / f"{name}.json").exists() else 1


def _doing(name: str) -> Callable[[Path, list[str]], int]:
    def do(state: Path, arguments: list[str]) -> int:
        (state / f"{name}.json").write_text(json.dumps(arguments))
        return 0

    return do


def _driver(state: Path, arguments: list[str]) -> int:
    sys.stdout.write("NVIDIA L4\n" * _read(state, "gpus", 0))
    return 0


def _curl(state: Path, arguments: list[str]) -> int:
    if _read(state, "offline"):
        return 6
    url = next(one for one in arguments if "://" in one)
    config = sys.stdin.read() if "--config" in arguments else ""
    if url.startswith(IMDS):
        sys.stdout.write(_metadata(url.removeprefix(IMDS)))
        return 0
    assert "--aws-sigv4" in arguments, f"{url} is not signed"
    assert CREDENTIALS["SecretAccessKey"] in config, "not signed with the machine's own role"
    if "secretsmanager" in url:
        return _secret(state, arguments, config)
    if "//logs." in url:
        return _logs(state, arguments, config)
    return _object(state, arguments, url)


def _metadata(path: str) -> str:
    answers = {
        "/api/token": "session",
        "/meta-data/iam/security-credentials/": "worker",
        "/meta-data/iam/security-credentials/worker": json.dumps(CREDENTIALS),
        "/meta-data/local-ipv4": "10.80.0.10",
        "/meta-data/instance-id": "i-0a1b2c3d",
    }
    return answers[path]


def _secret(state: Path, arguments: list[str], config: str) -> int:
    """Secrets Manager: one value, and the first request of a token wins."""
    action = next(one for one in arguments if "X-Amz-Target" in one).rpartition(".")[2]
    (line,) = [line for line in config.splitlines() if line.startswith("data = ")]
    request = json.loads(json.loads(line.removeprefix("data = ")))
    kept = _read(state, "secret")
    if action == "GetSecretValue":
        if kept is None:
            return 22
        sys.stdout.write(json.dumps({"SecretString": kept["SecretString"]}))
        return 0
    if kept is not None and kept["ClientRequestToken"] == request["ClientRequestToken"]:
        return 22
    (state / "secret.json").write_text(json.dumps(request))
    return 0


def _logs(state: Path, arguments: list[str], config: str) -> int:
    """CloudWatch: streams that were made, and the lines that each call has put."""
    action = next(one for one in arguments if "X-Amz-Target" in one).rpartition(".")[2]
    (line,) = [line for line in config.splitlines() if line.startswith("data = ")]
    request = json.loads(json.loads(line.removeprefix("data = ")))
    if _read(state, "refused"):
        return 22
    kept = _read(state, "logs", {"streams": [], "puts": []})
    if action == "CreateLogStream":
        if request in kept["streams"]:
            return 22
        kept["streams"].append(request)
    else:
        times = [event["timestamp"] for event in request["logEvents"]]
        if times[-1] - times[0] > 24 * 3600 * 1000:
            return 22
        kept["puts"].append(request)
    (state / "logs.json").write_text(json.dumps(kept))
    return 0


def _journal(state: Path, arguments: list[str]) -> int:
    """journalctl: the lines behind the cursor, and the cursor behind them."""
    (file,) = [a.partition("=")[2] for a in arguments if a.startswith("--cursor-file=")]
    cursor = Path(file)
    after = int(cursor.read_text()) if cursor.exists() else 0
    lines: list[str] = _read(state, "journal", [])
    apart: int = _read(state, "microseconds_apart", 1)
    for number, text in enumerate(lines[after:], after):
        at = 1_700_000_000_000_000 + number * apart
        entry = {"MESSAGE": text, "__REALTIME_TIMESTAMP": str(at)}
        sys.stdout.write(json.dumps(entry) + "\n")
    cursor.write_text(str(len(lines)))
    return 0


def _object(state: Path, arguments: list[str], url: str) -> int:
    objects: dict[str, str] = _read(state, "objects", {})
    if "list-type=2" in arguments:
        prefix = next(one for one in arguments if one.startswith("prefix=")).removeprefix("prefix=")
        keys = [key for key in objects if key.startswith(prefix)]
        sys.stdout.write("".join(f"<Key>{key}</Key>" for key in keys))
        return 0
    key = unquote(url.split("/", 4)[4])
    if key not in objects:
        return 22
    Path(arguments[arguments.index("-o") + 1]).write_text(objects[key])
    return 0


_PROGRAMS: dict[str, Callable[[Path, list[str]], int]] = {
    "blkid": _noted("formatted"),
    "curl": _curl,
    "id": _noted("user"),
    "journalctl": _journal,
    "mkfs.ext4": _doing("formatted"),
    "mount": _doing("mounted"),
    "mountpoint": _noted("mounted"),
    "nvidia-smi": _driver,
    "useradd": _doing("user"),
}
