"""A runtime that begins anew by itself: the same host, another Ray, and what Serve was to run.

What a command has handed to the host is kept beside its sockets, and is gone with them: whoever
ends a runtime leaves nothing that could begin.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from typing import Any, NoReturn

from serving.runtime import launcher, segments
from serving.runtime.paths import ANEW, RuntimePaths
from serving.serve_config import GATEWAY

log = logging.getLogger("llmops.host")


def keep(paths: RuntimePaths, config: dict[str, Any]) -> None:
    """Remember the config that Serve runs; it holds no secret."""
    whole = paths.held.with_suffix(".new")
    whole.touch(mode=0o600)
    whole.write_text(json.dumps(config))
    whole.replace(paths.held)


def kept(paths: RuntimePaths) -> dict[str, Any] | None:
    """The config that Serve ran before this process began anew; None where it begins."""
    try:
        found: dict[str, Any] = json.loads(paths.held.read_text())
    except FileNotFoundError:
        return None
    return found


def metrics_port(config: dict[str, Any]) -> int:
    """The port that the gateway of a config tells its figures on."""
    [found] = [app for app in config["applications"] if app["name"] == GATEWAY]
    port: int = found["args"]["metrics_port"]
    return port


def begin(why: str) -> NoReturn:
    """Be a new host in place of this one, at once: the pid stays, and who drives a Ray that falls
    may fall with it."""
    log.error("%s: the runtime begins anew", why)
    os.environ[ANEW] = "1"
    same = [sys.executable, "-m", "serving.runtime.host", *sys.argv[1:]]
    os.execv(sys.executable, same)  # noqa: S606 - there is no shell to be had


def clear(paths: RuntimePaths) -> None:
    """End what is left of the Ray before, in a host that has begun anew."""
    if ANEW in os.environ:
        _end_all(paths)
        shutil.rmtree(paths.ray, ignore_errors=True)


def give_up(paths: RuntimePaths, why: str) -> NoReturn:
    """End all that this host has started, and itself: a command finds nothing, and begins anew."""
    log.error("%s: the runtime ends; llmops deploy begins it anew", why)
    _end_all(paths)
    os._exit(1)


def _end_all(paths: RuntimePaths) -> None:
    family = launcher.family(paths)
    shared = segments.known(paths, [one.pid for one in family])
    launcher.end(family)
    segments.remove(shared)


__all__ = ["begin", "clear", "give_up", "keep", "kept", "metrics_port"]
