"""A base image and packages for a real build where no network is: from this machine's own files.

The base is bash, coreutils and grep, the Python that runs the tests, and the libraries that these
load: what of a Debian base the Containerfile uses. The packages are those that `llmops[kubernetes]`
needs, packed again from this environment, with a lock that has their hashes: no engine, no Ray.
Everything else, the Containerfile, the builder, the push, is what a user's build does.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clusters.image.wheel import packed

PROGRAMS = (
    *("bash", "sh", "mkdir", "chown", "chmod", "grep", "id", "touch", "cat", "rm", "ln", "env"),
    "ls",
)
LIBRARY = re.compile(r"(/\S+) \(0x")
LEFT_OUT = ("__pycache__", "test", "tests", "site-packages", "idlelib", "config-*", "*.a")
WITHOUT = ("RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json")


def make_base(root: Path) -> None:
    """The file system of a base image below `root`, which must not exist."""
    for folder in ("etc", "tmp", "usr/local/bin", "usr/local/lib", "var/lib", "bin", "proc", "dev"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\n")
    for name in PROGRAMS:
        _copy_program(Path(shutil.which(name) or f"/bin/{name}"), root / "bin" / name)
    _copy_python(root / "usr/local")
    for library in _libraries(root):
        target = root / library.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def _copy_program(source: Path, target: Path) -> None:
    shutil.copy(source.resolve(), target)


def _copy_python(prefix: Path) -> None:
    """Python finds its own library by where it stands, so it can stand elsewhere."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    _copy_program(Path(sys.base_prefix) / "bin" / version, prefix / "bin" / version)
    (prefix / "bin" / "python3").symlink_to(version)
    shutil.copytree(
        Path(sys.base_prefix) / "lib" / version,
        prefix / "lib" / version,
        ignore=shutil.ignore_patterns(*LEFT_OUT),
        symlinks=True,
    )
    (prefix / "lib" / version / "site-packages").mkdir()


def _libraries(root: Path) -> set[Path]:
    """What the programs and extension modules below `root`, and packed ones, are linked with."""
    found = [path for path in (root / "bin").iterdir() if path.is_file()]
    found += [path for path in root.rglob("*.so*") if path.is_file()]
    found += [path for path in (root / "usr/local/bin").iterdir() if not path.is_symlink()]
    for name in _needed("llmops", "kubernetes", set()):
        files = distribution(name).files or []
        found += [Path(str(file.locate())) for file in files if ".so" in file.suffixes]
    done = subprocess.run(
        ["ldd", *map(str, found)], capture_output=True, text=True, timeout=120, check=False
    )
    return {Path(name) for name in LIBRARY.findall(done.stdout)}


def pack_needed(folder: Path) -> str:
    """Put wheels of what llmops needs into `folder`; the text of a lock for them."""
    lines = []
    for name in sorted(_needed("llmops", "kubernetes", set())):
        file, content = _packed(name)
        (folder / file).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        lines.append(f"{name}=={distribution(name).version} --hash=sha256:{digest}\n")
    return "".join(lines)


def _packed(name: str) -> tuple[str, bytes]:
    found = distribution(name)
    files, info = {}, ""
    for file in found.files or []:
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        if file.parts[0].endswith(".dist-info"):
            info = file.parts[0]
            if file.name in WITHOUT or file.name.startswith("uv_"):
                continue
        files[file.as_posix()] = Path(str(file.locate())).read_bytes()
    return f"{info.removesuffix('.dist-info')}-py3-none-any.whl", packed(files, info)


def _needed(name: str, extra: str, seen: set[str]) -> set[str]:
    """Canonical names of what `name` needs, with one extra of it; without itself."""
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        needed = canonicalize_name(requirement.name)
        marker = requirement.marker
        if (marker and not marker.evaluate({"extra": extra})) or needed in seen:
            continue
        try:
            distribution(needed)
        except PackageNotFoundError:
            continue
        seen.add(needed)
        _needed(needed, "", seen)
    return seen
