"""llmops' own wheel, made again from what is installed: pods run the very files that planned.

From an ordinary installation, its RECORD says which files; one that was edited since is refused. An
editable installation is its checkout: the packages that pyproject.toml ships, as they are now.
Two wheels of the same files are the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

from llmops.errors import InputError

NAME = "llmops"
_TAG = "py3-none-any"
_KEPT = ("METADATA", "entry_points.txt")
_WHEEL = f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel as bytes, under the file name that pip wants."""

    name: str
    content: bytes
    source: str
    """Commit of the source; empty when it is not known."""


def installed_wheel() -> Wheel:
    """The wheel of the llmops that runs.

    Raises:
        InputError: When it is not installed, or its files are not those that were installed.
    """
    try:
        found = distribution(NAME)
    except PackageNotFoundError as error:
        raise InputError(
            f"{NAME} runs from a folder that is not installed, so its own wheel cannot be made",
            hint="install it (pip install llmops, or make setup in a checkout)",
        ) from error
    return wheel_of(found)


def wheel_of(found: Distribution) -> Wheel:
    """The wheel of an installed distribution.

    Raises:
        InputError: When a file is missing, or is not what was installed.
    """
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    checkout = _checkout(origin)
    files = dict(_described(found))
    files |= dict(_from_checkout(checkout) if checkout else _from_record(found))
    source = _revision(checkout) if checkout else _commit(origin)
    info = f"{NAME}-{found.version}.dist-info"
    name = f"{NAME}-{found.version}-{_TAG}.whl"
    return Wheel(name, packed(files, info), source)


def packed(files: Mapping[str, bytes], info: str) -> bytes:
    """A wheel from the files in it: their names there, and contents.

    Args:
        files: Everything but WHEEL and RECORD, which are written here.
        info: Name of the `.dist-info` folder.
    """
    whole = {**dict(sorted(files.items())), f"{info}/WHEEL": _WHEEL.encode()}
    lines = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in whole.items()]
    record = f"{info}/RECORD"
    whole[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in whole.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _described(found: Distribution) -> Iterator[tuple[str, bytes]]:
    """What belongs to the distribution as a whole: its metadata, entry points and licence."""
    for file in _entries(found):
        folder, *rest = file.parts
        if folder.endswith(".dist-info") and (rest[0] in _KEPT or rest[0] == "licenses"):
            yield file.as_posix(), _read(file)


def _from_record(found: Distribution) -> Iterator[tuple[str, bytes]]:
    for file in _entries(found):
        inside = ".." not in file.parts and not file.parts[0].endswith(".dist-info")
        if inside and file.suffix != ".pyc":
            yield file.as_posix(), _read(file)


def _entries(found: Distribution) -> list[PackagePath]:
    if not found.files:
        raise InputError(
            f"the installed {NAME} has no RECORD of its files, so its wheel cannot be made",
            hint="reinstall it with pip or uv",
        )
    return found.files


def _read(file: PackagePath) -> bytes:
    try:
        content = Path(str(file.locate())).read_bytes()
    except OSError as error:
        raise _damaged(file, "is missing") from error
    if file.hash is not None and file.hash.mode == "sha256" and file.hash.value != _digest(content):
        raise _damaged(file, "was changed since")
    return content


def _damaged(file: PackagePath, what: str) -> InputError:
    return InputError(
        f"{file} was installed with {NAME} and {what}: the image would not be the release it names",
        hint=f"reinstall {NAME}",
    )


def _checkout(origin: Mapping[str, object]) -> Path | None:
    """Where an editable installation's sources are; None for an ordinary one."""
    details = origin.get("dir_info")
    if isinstance(details, dict) and details.get("editable"):
        return Path(unquote(urlparse(str(origin["url"])).path))
    return None


def _from_checkout(root: Path) -> Iterator[tuple[str, bytes]]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path.relative_to(root).as_posix(), path.read_bytes()


def _commit(origin: Mapping[str, object]) -> str:
    """The commit of an installation from a repository's address."""
    details = origin.get("vcs_info")
    return str(details.get("commit_id", "")) if isinstance(details, dict) else ""


def _revision(root: Path) -> str:
    """The checkout's commit, with `-dirty` when files differ from it; empty without git."""
    head = _git(root, "rev-parse", "HEAD")
    return f"{head}-dirty" if head and _git(root, "status", "--porcelain") else head


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
