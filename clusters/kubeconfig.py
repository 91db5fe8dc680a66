"""Which cluster, as whom: what the kubeconfig says, read as kubectl reads it and checked at once.

It reads files only, within milliseconds, and asks no cluster. Credentials are not read here: only
that they are there. It refuses what kubectl would pass over in silence, such as a context whose
cluster is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from llmops.errors import InputError
from llmops.spec import nearest

IN_CLUSTER = "in-cluster"
"""The context's name when llmops runs in a pod, with its service account."""

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT = "~/.kube/config"
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster that can be asked, and as whom. It carries no credentials."""

    context: str
    cluster: str
    user: str
    namespace: str
    """The context's namespace; `default` where it names none."""
    server: str
    """Base URL of the API server."""
    source: str
    """Where it is written: the file's path, or the service account of this pod."""
    files: tuple[Path, ...] = ()
    """Every file that was merged, in order; none in a pod."""
    proxy: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A named entry of one of the lists, and the file that it stands in."""

    value: Mapping[str, Any]
    file: Path


@dataclass(frozen=True, slots=True)
class _Merged:
    """Several files as one: of each name the first counts."""

    files: tuple[Path, ...]
    current: str
    contexts: Mapping[str, _Entry]
    clusters: Mapping[str, _Entry]
    users: Mapping[str, _Entry]


def find(
    context: str | None = None,
    environ: Mapping[str, str] | None = None,
    account: Path = ACCOUNT,
) -> Access:
    """The access that a context stands for; the current context without a name.

    Raises:
        InputError: When there is no kubeconfig, it cannot be read, or it does not say enough.
    """
    given = os.environ if environ is None else environ
    paths = _paths(given)
    there = tuple(path for path in paths if path.exists())
    if there:
        return _access(_merge(there), context)
    pod = _pod(given, account) if not given.get("KUBECONFIG") else None
    if pod is None:
        raise _absent(given, paths)
    if context not in {None, IN_CLUSTER}:
        raise InputError(
            f"there is no context {context}: this pod has its service account and no kubeconfig",
            hint="leave `target.context` out, or mount a kubeconfig and set $KUBECONFIG",
            path="target.context",
        )
    return pod


def _paths(environ: Mapping[str, str]) -> list[Path]:
    named = [part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    home = Path(environ.get("HOME") or Path.home())
    return [Path(part).expanduser() for part in named] or [home / ".kube" / "config"]


def _absent(environ: Mapping[str, str], paths: list[Path]) -> InputError:
    hint = (
        "get one from whoever runs the cluster; `kubectl config get-contexts` shows what there is"
    )
    if environ.get("KUBECONFIG"):
        told = ", ".join(str(path) for path in paths)
        return InputError(f"there is no kubeconfig: $KUBECONFIG names {told}", hint=hint)
    return InputError(
        f"there is no kubeconfig: $KUBECONFIG is not set, and {DEFAULT} does not exist", hint=hint
    )


def _pod(environ: Mapping[str, str], account: Path) -> Access | None:
    """The service account of the pod that this runs in."""
    host, port = (environ.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
    if not (host and port and (account / "token").is_file()):
        return None
    namespace = account / "namespace"
    return Access(
        context=IN_CLUSTER,
        cluster=IN_CLUSTER,
        user="service account",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        source="the service account of this pod",
    )


def _merge(files: tuple[Path, ...]) -> _Merged:
    lists: dict[str, dict[str, _Entry]] = {"contexts": {}, "clusters": {}, "users": {}}
    current = ""
    for file in files:
        data = _read(file)
        current = current or str(data.get("current-context") or "")
        for name, entries in lists.items():
            for key, value in _entries(file, data, name):
                entries.setdefault(key, _Entry(value, file))
    return _Merged(files, current, **lists)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"the kubeconfig {file} is not a text file") from error
    except OSError as error:
        raise InputError(
            f"the kubeconfig {file} cannot be read: {error.strerror}",
            hint="it must be a file that this user may read",
        ) from error
    try:
        # The parser in C where there is one: kubeconfigs carry whole certificates.
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise _malformed(file, error) from error
    if data is None:
        raise InputError(f"the kubeconfig {file} is empty", hint="$KUBECONFIG may name another")
    if not isinstance(data, dict):
        raise InputError(f"{file}:1:1: this is no kubeconfig: it holds no keys at all")
    return data


def _malformed(file: Path, error: yaml.YAMLError) -> InputError:
    mark = getattr(error, "problem_mark", None)
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else f"{file}"
    # The text around the place is left out: it may hold a token.
    why = getattr(error, "problem", None) or "it is not YAML"
    return InputError(f"{where}: the kubeconfig is malformed: {why}")


def _entries(
    file: Path, data: Mapping[str, Any], name: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = data.get(name) or []
    if not isinstance(found, list):
        raise InputError(f"the kubeconfig {file} is malformed: `{name}` is not a list")
    for at, item in enumerate(found):
        inner = item.get(name[:-1]) if isinstance(item, dict) else None
        if not isinstance(item, dict) or not item.get("name"):
            raise InputError(f"the kubeconfig {file} is malformed: `{name}[{at}]` has no name")
        if inner is not None and not isinstance(inner, dict):
            raise InputError(
                f"the kubeconfig {file} is malformed: `{name}[{at}].{name[:-1]}` holds no keys"
            )
        yield str(item["name"]), inner or {}


def _access(merged: _Merged, context: str | None) -> Access:
    name = context or merged.current
    entry = merged.contexts.get(name)
    if entry is None:
        raise _no_context(merged, context, name)
    cluster, user = (str(entry.value.get(key) or "") for key in ("cluster", "user"))
    found = _needed(merged.clusters, "cluster", cluster, name, entry.file)
    if user:
        _needed(merged.users, "user", user, name, entry.file)
    server = str(found.value.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise InputError(
            f"the cluster {cluster} in {found.file} has "
            + (f"the server {server}, which is no URL" if server else "no server"),
            hint="`server` is the API server's URL, such as https://10.0.0.1:6443",
        )
    return Access(
        context=name,
        cluster=cluster,
        user=user,
        namespace=str(entry.value.get("namespace") or "default"),
        server=server,
        source=str(entry.file),
        files=merged.files,
        proxy=str(found.value.get("proxy-url") or ""),
    )


def _no_context(merged: _Merged, context: str | None, name: str) -> InputError:
    where = ", ".join(str(file) for file in merged.files)
    if not merged.contexts:
        return InputError(
            f"the kubeconfig {where} has no contexts",
            hint="`kubectl config set-context` makes one; it joins a cluster and a user",
        )
    if not name:
        return InputError(
            f"the kubeconfig {where} has no current context, and `target.context` names none",
            hint=f"set `target.context` to one of: {_some(merged.contexts)}",
            path="target.context",
        )
    near = nearest(name, merged.contexts)
    meant = f"did you mean {near}? " if near else ""
    return InputError(
        f"there is no context {name} in the kubeconfig {where}",
        hint=f"{meant}there is: {_some(merged.contexts)}",
        path="target.context" if context else "",
    )


def _needed(
    entries: Mapping[str, _Entry], what: str, name: str, context: str, file: Path
) -> _Entry:
    entry = entries.get(name)
    if entry is not None:
        return entry
    told = f"names the {what} {name}, which is not there" if name else f"names no {what}"
    raise InputError(
        f"the context {context} in {file} {told}",
        hint=f"there is: {_some(entries)}" if entries else f"there is no {what} at all",
    )


def _some(names: Mapping[str, object]) -> str:
    listed = sorted(names)
    rest = len(listed) - _LISTED
    return ", ".join(listed[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
