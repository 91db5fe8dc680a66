"""The Containerfile of an image, from its lock. Pure: the same order gives the same text.

What the text keeps to: everything is installed by hash, from wheels only, and no index is named;
a mirror comes in as a secret that no layer keeps. The program is root's and read-only; it runs as
user 1000 and writes below /var/lib/llmops and /tmp only, so that a pod's root may be read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clusters.image.labels import Labels
from clusters.image.lock import Flavour
from clusters.names import HOME

VENV = "/opt/llmops"
USER = 1000
REQUIREMENTS = "requirements.txt"

ENVIRONMENT: Mapping[str, str] = {
    "PATH": f"{VENV}/bin:$PATH",
    "HOME": HOME,
    "LLMOPS_HOME": HOME,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUNBUFFERED": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
}

_EXTRA: Mapping[Flavour, Mapping[str, str]] = {
    Flavour.CPU: {},
    # Which GPUs a pod sees is its device plugin's to say: NVIDIA_VISIBLE_DEVICES=all here would
    # show every GPU of a node to pods that asked for none.
    Flavour.GPU: {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of."""

    flavour: Flavour
    base: str
    """Name of the base image, best with a digest."""
    labels: Labels
    wheel: str
    """File name of llmops' own wheel in the build context."""


def default_base(flavour: Flavour, python: str) -> str:
    """The base of an image for which none was named: a tag, since digests differ with the day.

    A GPU's engine compiles kernels when it starts, so its base has a C compiler and Python's
    headers. CUDA's libraries come in the lock's wheels for both, and the driver from the node.
    """
    slim = {Flavour.CPU: "-slim", Flavour.GPU: ""}[flavour]
    return f"docker.io/library/python:{python}{slim}-bookworm"


def containerfile(recipe: Recipe) -> str:
    """The text of the Containerfile; it ends in a new line."""
    steps = [
        _begin(recipe),
        _requirements(recipe.labels.python),
        _user(),
        _install(recipe.wheel),
        _reachable(),
        _environment(recipe.flavour),
        _labels(recipe.labels),
        _end(),
    ]
    return "\n\n".join(steps) + "\n"


def _begin(recipe: Recipe) -> str:
    return (
        f"# llmops {recipe.labels.version}, {recipe.flavour}; written by `llmops image build`.\n"
        f"ARG BASE={recipe.base}\n"
        "FROM ${BASE}\n"
        "ARG BASE\n"
        "USER 0"
    )


def _requirements(python: str) -> str:
    """What the base must have is asked first: the installation takes many minutes."""
    major, minor = python.split(".")
    check = (
        "import ensurepip, sys, venv; found = sys.version_info[:2];"
        f" sys.exit(0 if found == ({major}, {minor}) else"
        f' f"error: the base has Python {{found[0]}}.{{found[1]}}, expected {python}")'
    )
    bash = "{ echo 'error: the base has no bash, which KubeRay starts Ray with' >&2; exit 1; }"
    return f"RUN command -v bash >/dev/null || {bash}\nRUN python3 -c '{check}'"


def _user() -> str:
    """User 1000 by name too: some libraries look up who they run as."""
    person = f"llmops:x:{USER}:{USER}::{HOME}:/usr/sbin/nologin"
    return (
        f"RUN grep -q '^[^:]*:[^:]*:{USER}:' /etc/group || echo 'llmops:x:{USER}:' >>/etc/group\n"
        f"RUN grep -q '^[^:]*:[^:]*:{USER}:' /etc/passwd || echo '{person}' >>/etc/passwd\n"
        f"RUN mkdir -p {HOME} && chown {USER}:{USER} {HOME} && chmod 0700 {HOME}"
    )


def _install(wheel: str) -> str:
    """The lock first, in a layer that stays while only llmops changes."""
    pip = f"{VENV}/bin/python -m pip --disable-pip-version-check --no-cache-dir install --no-deps"
    return (
        f"RUN python3 -m venv {VENV}\n"
        f"COPY {REQUIREMENTS} {VENV}/{REQUIREMENTS}\n"
        "# The lock is whole, and overrides what some packages ask for: hence --no-deps.\n"
        "RUN --mount=type=secret,id=pip,target=/etc/pip.conf \\\n"
        f"    {pip} --require-hashes --only-binary=:all: -r {VENV}/{REQUIREMENTS}\n"
        "RUN --mount=type=bind,target=/context \\\n"
        f"    {pip} --no-index /context/{wheel}"
    )


def _reachable() -> str:
    """A login shell, which some versions of KubeRay start Ray in, sets PATH anew."""
    line = f"PATH={VENV}/bin:$PATH"
    return f"RUN mkdir -p /etc/profile.d && echo '{line}' >/etc/profile.d/llmops.sh"


def _environment(flavour: Flavour) -> str:
    settings = {**ENVIRONMENT, **_EXTRA[flavour]}
    return "ENV " + " \\\n    ".join(f'{name}="{value}"' for name, value in settings.items())


def _labels(labels: Labels) -> str:
    values = {
        "org.opencontainers.image.title": "llmops",
        "org.opencontainers.image.description": "Ray and an LLM engine, as llmops serves with them",
        "org.opencontainers.image.version": labels.version,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": labels.source,
        **labels.written(),
    }
    lines = [f"{name}={_quoted(value)}" for name, value in values.items() if value]
    return "LABEL " + " \\\n    ".join(['org.opencontainers.image.base.name="${BASE}"', *lines])


def _quoted(text: str) -> str:
    """A value between quotes, in which nothing is expanded."""
    for character in ("\\", '"', "$"):
        text = text.replace(character, "\\" + character)
    return f'"{text}"'


def _end() -> str:
    return (
        f"USER {USER}:{USER}\n"
        f"WORKDIR {HOME}\n"
        'RUN ["llmops", "--version"]\n'
        "ENTRYPOINT []\n"
        'CMD ["llmops", "--help"]'
    )
