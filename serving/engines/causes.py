"""From an engine's log to the reason it did not start, in a sentence.

An engine that fails prints several tracebacks, of which the last ("Engine core initialization
failed. See root cause above") tells least. This finds the first that tells something, says it
plainly, and says what to do. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an engine did not start, and what to do about it (empty when nothing is known)."""

    text: str
    hint: str = ""


_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"estimated maximum model length is (?P<n>\d+)",
        "the KV cache is too small for the context: it holds {n} tokens",
        "set model.context to at most {n}, or give engine.kv_cache more",
    ),
    (
        r"No available memory for the cache blocks",
        "no memory is left for the KV cache",
        "set engine.kv_cache or model.context lower, or use a smaller model",
    ),
    (
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError: (?P<n>[^\n]{1,160})",
        "the GPU is out of memory: {n}",
        "set engine.kv_cache or model.context lower, or raise parallelism.tensor",
    ),
    (
        r"(?:DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|MemoryError)",
        "this machine is out of memory",
        "set engine.kv_cache lower, or stop what else uses memory (llmops status)",
    ),
    (
        (
            r"Model architectures (?P<n>\[[^\]]{1,200}\])"
            r" (?:are not|failed to be) (?:supported|inspected)"
        ),
        "the engine does not know the model's architecture {n}",
        "use a model that this vLLM version supports",
    ),
    (
        r"Transformers does not recognize this architecture|model type `(?P<n>[^`]{1,80})`",
        "the model's architecture is not known to the installed engine",
        "use a model that the installed versions support (llmops doctor shows them)",
    ),
    (
        r"HeaderTooLarge|InvalidHeaderDeserialization|SafetensorError|MetadataIncompleteBuffer",
        "a weight file is damaged",
        "remove the model from the cache and deploy again: its files are then fetched anew",
    ),
    (
        (
            r"(?:KeyError|ValueError): (?P<n>[^\n]{0,120}"
            r"(?:not initialized from checkpoint|no module or parameter named)[^\n]{0,80})"
        ),
        "the weights do not fit the model's config: {n}",
        "check that config.json and the weight files belong together",
    ),
    (
        r"Address already in use",
        "a port is taken by another program",
        "llmops doctor names it; choose another target.port",
    ),
    (
        r"unrecognized arguments: (?P<n>[^\n]{1,160})",
        "the installed engine does not know the arguments {n}",
        "remove them from engine.args",
    ),
)

_GENERIC = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|See root cause above"
    r"|See stack trace|EngineDeadError|Executor failed|leaked (?:semaphore|shared_memory)"
)
_ERROR = re.compile(
    r"(?:^|[\s\]])(?P<e>(?:[a-z_]+\.)*[A-Z]\w*(?:Error|Exception|Failure)): (?P<m>\S[^\n]*)"
)


def find_cause(log: str, error: BaseException | None = None) -> Cause:
    """The reason in `log` (the end of an engine's log), else in `error`."""
    tail = f"{error.__class__.__name__}: {error}" if error is not None else ""
    text = f"{log}\n{tail}"
    for pattern, what, hint in _KNOWN:
        if match := re.search(pattern, text):
            names = {key: (value or "") for key, value in match.groupdict().items()}
            return Cause(what.format(**names), hint.format(**names))
    for line in text.splitlines():
        match = _ERROR.search(line)
        if match and not _GENERIC.search(line):
            return Cause(f"{match['e'].rsplit('.', 1)[-1]}: {match['m'].strip()[:300]}")
    return Cause(tail[:300] or "the engine ended without a message")
