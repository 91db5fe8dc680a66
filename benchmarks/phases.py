"""Where the seconds of one `llmops` command go.

    python -m benchmarks.phases BEGAN FILE ARGUMENTS…

It runs the command in this process and writes to FILE, as JSON, how long each phase took by itself,
in seconds from BEGAN (Unix time at which the process was started). A phase within a phase counts
for the inner one only; what no phase is named for is `the rest`. Waits for requests that run in
threads count for the phase that waits.
"""

from __future__ import annotations

import builtins
import functools
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SLOW = ("kubernetes", "lightkube")
"""Packages whose import is a phase of its own."""

OTHER = "the rest: planning, rendering, texts"


class Watch:
    """Charges the time of one thread to the innermost phase that is open."""

    def __init__(self, began: float) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._thread = threading.get_ident()
        self._open = [OTHER]
        self._since = time.time()
        self.spent["interpreter"] = self._since - began

    def charge(self) -> None:
        """Charge what has passed since the last time."""
        now = time.time()
        self.spent[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what happens within to `name`; other threads' time is nobody's."""
        if threading.get_ident() != self._thread:
            yield
            return
        self.charge()
        self._open.append(name)
        try:
            yield
        finally:
            self.charge()
            self._open.pop()

    def importing(self, name: str) -> str:
        """The phase that an import belongs to: that of the slow package that caused it."""
        now = self._open[-1]
        root = name.partition(".")[0]
        if now.startswith("import of") or root in SLOW:
            return now if now.startswith("import of") else f"import of {root}"
        return "imports"

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Make a phase of every call of `owner.attribute`."""
        inner: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(inner)
        def outer(*arguments: Any, **options: Any) -> Any:
            with self.phase(name):
                return inner(*arguments, **options)

        setattr(owner, attribute, outer)


def _watch_imports(watch: Watch) -> None:
    plain = builtins.__import__

    def watched(name: str, *arguments: Any, **options: Any) -> Any:
        with watch.phase(watch.importing(name)):
            return plain(name, *arguments, **options)

    builtins.__import__ = watched


def _watch_calls(watch: Watch) -> None:
    import cli.specs
    import clusters.apply
    import clusters.client
    import clusters.place
    import clusters.pool
    import clusters.rendering
    import serving.models

    watch.wrap(cli.specs, "read_spec", "the spec")
    watch.wrap(clusters.place, "find", "the kubeconfig, to be told what is wrong")
    watch.wrap(clusters.client, "_credentials", "the kubeconfig, by the official client")
    watch.wrap(serving.models.Models, "describe", "the model's facts")
    watch.wrap(clusters.rendering, "objects", "rendering")
    watch.wrap(clusters.apply, "_looks", "dry runs and lists of what is there")
    watch.wrap(clusters.pool.Pool, "send", "other requests, one after another")


def main() -> None:
    """Run, and write down."""
    began, file, arguments = float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    watch = Watch(began)
    _watch_imports(watch)
    _watch_calls(watch)
    sys.argv = ["llmops", *arguments]
    from cli.main import main as run

    try:
        run()
    finally:
        watch.charge()
        file.write_text(json.dumps(watch.spent))


if __name__ == "__main__":
    main()
