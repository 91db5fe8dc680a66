"""Commands of their own that have a model, to be killed, raced and starved."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ENSURE = textwrap.dedent(
    """
    import sys
    from importlib import import_module
    from pathlib import Path
    from llmops.errors import LlmopsError
    from serving.models import Models

    root, source, revision, strike = sys.argv[1:5]

    if strike:
        import os
        when, name = strike.split(" ")
        module, _, attribute = name.rpartition(".")
        if not module.islower():
            module, _, owner = module.rpartition(".")
            owner = getattr(import_module(module), owner)
        else:
            owner = import_module(module)
        real = getattr(owner, attribute)

        def struck(*arguments, **options):
            if when == "after":
                real(*arguments, **options)
            print("struck", flush=True)
            os.kill(os.getpid(), 9)

        setattr(owner, attribute, struck)

    try:
        for event in Models(Path(root)).ensure(source, revision):
            print(event.reason, flush=True)
    except LlmopsError as error:
        sys.exit(f"{error.message}; hint: {error.hint}")
    print("had", flush=True)
    """
)
"""`ROOT SOURCE REVISION STRIKE`: have a model; `STRIKE` (`before NAME`, `after NAME` or empty) is
where the program kills itself."""


@contextmanager
def ensuring(
    root: Path,
    source: str,
    revision: str,
    *,
    strike: str = "",
    environment: Mapping[str, str],
    before: tuple[str, ...] = (),
) -> Iterator[subprocess.Popen[str]]:
    """The program, while it runs; ended at the latest when the block ends."""
    command = [*before, sys.executable, "-c", ENSURE, str(root), source, revision, strike]
    process = subprocess.Popen(
        command,
        env=os.environ | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def heard(process: subprocess.Popen[str], words: str) -> str:
    """Read what the program prints up to the line that has `words`.

    Raises:
        AssertionError: When it ends before.
    """
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return line
    assert process.stderr is not None
    raise AssertionError(f"'{words}' was never printed: {lines} {process.stderr.read()}")
