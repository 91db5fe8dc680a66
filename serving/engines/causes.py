"""From an engine's log to the reason it did not start, in a sentence.

An engine that fails prints several tracebacks, of which the last ("Engine core initialization
failed. See root cause above") tells least. This finds the first that tells something, says it
plainly, and says what to do. The texts looked for are those of vLLM 0.32 and of what it stands on.
Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmops.errors import LlmopsError


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an engine did not start, and what to do about it (empty when nothing is known)."""

    text: str
    hint: str = ""


_FIT = "check that config.json and the weight files belong together"
_LESS = "set engine.kv_cache or model.context lower, or use a smaller model"

_KNOWN: tuple[tuple[str, str, str], ...] = (
    # Memory
    (
        r"estimated maximum model length is (?P<n>\d+)",
        "the KV cache is too small for the context: it holds {n} tokens",
        "set model.context to at most {n}, or give engine.kv_cache more",
    ),
    (
        r"\((?P<need>[\d.]+) GiB KV cache is needed.{0,80}memory \((?P<have>[\d.]+) GiB\)",
        "the KV cache is too small for the context: it needs {need} GiB, and has {have} GiB",
        "set model.context lower, or give engine.kv_cache more",
    ),
    (
        (
            r"Available memory on node \d+ \((?P<have>[\d.]+)/[\d.]+ GiB\) on kv cache allocation"
            r" is less than requested memory for kv \((?P<need>[\d.]+)"
        ),
        "this machine is out of memory: {have} GiB are left, and the KV cache takes {need} GiB",
        "set engine.kv_cache lower, or stop what else uses memory (llmops status)",
    ),
    (
        r"Free memory on device (?P<device>\S+) \((?P<have>[\d.]+)/(?P<all>[\d.]+) GiB\)",
        "the GPU {device} is in use: {have} of {all} GiB are free",
        "end what else runs on it (nvidia-smi names it)",
    ),
    (
        r"No available memory for the cache blocks",
        "no memory is left for the KV cache",
        _LESS,
    ),
    (
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError: (?P<n>[^\n]{1,160})",
        "the GPU is out of memory: {n}",
        "set engine.kv_cache or model.context lower, or raise parallelism.tensor",
    ),
    (
        r"Insufficient space in (?P<n>\S+) for",
        "shared memory is full: {n}",
        "give it more (--shm-size for a container), or lower parallelism.tensor",
    ),
    (
        (
            r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|Cannot allocate memory"
            r"|(?<![A-Za-z])MemoryError\b"
        ),
        "this machine is out of memory",
        "set engine.kv_cache lower, or stop what else uses memory (llmops status)",
    ),
    # The model
    (
        r"Model architectures (?P<n>\[[^\]]{1,200}\]) (?:are not|failed to be)\s",
        "the engine does not know the model's architecture {n}",
        "use a model that this vLLM version supports",
    ),
    (
        (
            r"Model architecture (?P<n>\S{1,80}) (?:was supported in vLLM until"
            r"|is not supported in-tree)"
        ),
        "the engine does not support the model's architecture {n} any more",
        "use a model that this vLLM version supports",
    ),
    (
        r"model type `(?P<n>[^`\n]{1,80})`\s*but Transformers does not recognize",
        "the model's architecture {n} is not known to the installed engine",
        "use a model that the installed versions support (llmops doctor shows them)",
    ),
    (
        r"User-specified max_model_len \(\d+\) is greater.{0,80}?=(?P<n>\d+)",
        "the context is longer than the engine takes for this model: {n} tokens",
        "set model.context to at most {n}",
    ),
    (
        r"attention heads \((?P<h>\d+)\) must be divisible by tensor parallel size \((?P<t>\d+)\)",
        "{t} shards cannot share {h} attention heads",
        "set parallelism.tensor to a divisor of {h}",
    ),
    (
        r"Unsupported CPU attention configuration: head_dim=(?P<n>\d+)",
        "the engine's CPU attention takes no heads of {n}",
        "use another model, or a machine with a GPU",
    ),
    (
        r"(?P<n>\S{1,40}) quantization is currently not supported in (?P<d>\S{1,40})\.",
        "the engine does not load {n} weights on this device ({d})",
        "use the model without quantisation",
    ),
    (
        r"Unknown quantization method: (?P<n>\S{1,40})\.",
        "the engine does not know the weights' quantisation {n}",
        "use the model without quantisation",
    ),
    (
        r"Bfloat16 is only supported on GPUs with compute capability",
        "this GPU is too old for bfloat16",
        "set engine.dtype to float16",
    ),
    (
        r"contains custom code which must be executed|requires you to execute custom code",
        "the model brings code of its own, and code that nobody checked is not run",
        "use a model that the engine knows by itself",
    ),
    # Its files
    (
        (
            r"SafetensorError: (?P<n>[^\n]{1,120})|HeaderTooLarge|InvalidHeaderDeserialization"
            r"|MetadataIncompleteBuffer"
        ),
        "a weight file is damaged ({n})",
        "remove the model from the cache and deploy again: its files are then fetched anew",
    ),
    (
        r"Cannot find any (?:safetensors )?model weights with",
        "the model has no weight files that the engine loads",
        "a model folder needs *.safetensors beside its config.json",
    ),
    (
        r"weights were not initialized from\s+checkpoint: \{?'?(?P<n>[^'\n]{1,100})",
        "the weights do not fit the model's config: {n} and maybe others are missing",
        _FIT,
    ),
    (
        r"There is no module or parameter named '(?P<n>[^'\n]{1,100})'",
        "the weights do not fit the model's config: it has no place for {n}",
        _FIT,
    ),
    (
        (
            r"assert param\S*\.shape == loaded_weight\.shape|loaded_weight\.shape\[output_dim\] =="
            r"|Attempted to load weight \(torch|exceeds dimension size \(\d+\)"
        ),
        "the weights do not fit the model's config: a tensor has another shape",
        _FIT,
    ),
    (
        r"Couldn't instantiate the backend tokenizer|Can't load tokenizer for",
        "the model's tokenizer cannot be loaded",
        "check that the model has a tokenizer.json",
    ),
    # The machine
    (
        r"(?i:address already in use)|EADDRINUSE",
        "a port is taken by another program",
        "llmops doctor names it; choose another target.port",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full",
        "free some space, or set LLMOPS_HOME to a larger disk",
    ),
    (
        r"Too many open files",
        "this user may not open so many files",
        "raise the limit (ulimit -n)",
    ),
    (
        r"can't start new thread|Resource temporarily unavailable",
        "this user may not start so many processes or threads",
        "raise the limit (ulimit -u), or lower scaling.replicas",
    ),
    (
        r"Permission denied: '?(?P<n>[^'\n]{1,160})",
        "a file may not be read or written: {n}",
        "give this user access to it",
    ),
    (
        (
            r"No CUDA GPUs are available|CUDA driver version is insufficient"
            r"|Failed to infer device type"
        ),
        "the engine finds no GPU that it can use",
        "check the driver with nvidia-smi, or install llmops[local] for the CPU",
    ),
    # What it was told
    (
        r"unrecognized arguments: (?P<n>[^\n]{1,160})",
        "the installed engine does not know the arguments {n}",
        "remove them from engine.args",
    ),
    (
        r"error: argument --(?P<a>[a-z0-9-]{1,60}): (?P<n>[^\n]{1,160})",
        "the engine does not take the value of {a}: {n}",
        "change it in engine.args",
    ),
    (
        r"(?:invalid tool call parser: |Tool parser ')(?P<n>[\w-]{1,40})",
        "the engine has no tool call parser {n}",
        "set engine.args.tool_call_parser to one that it has, such as hermes",
    ),
    (
        r"(?:invalid reasoning parser: |Reasoning parser ')(?P<n>[\w-]{1,40})",
        "the engine has no reasoning parser {n}",
        "set engine.args.reasoning_parser to one that it has",
    ),
    (
        r"enable-auto-tool-choice requires --tool-call-parser",
        "enable_auto_tool_choice needs a tool_call_parser",
        "set engine.args.tool_call_parser, such as hermes",
    ),
    # The last that can be told: a process went without a word
    (
        r"\(exit code: -9\)|Failed core proc\(s\): \{[^}]*: -9[,}]|died with exit code -9\b",
        "one of the engine's processes was killed, most likely because memory ran out",
        "set engine.kv_cache lower, or stop what else uses memory (llmops status)",
    ),
    (
        r"\(exit code: -4\)|Failed core proc\(s\): \{[^}]*: -4[,}]|died with exit code -4\b",
        "this processor lacks an instruction that the engine needs",
        "use a machine with AVX2 (x86) or ASIMD (ARM)",
    ),
)

_GENERIC = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|See root cause above"
    r"|See stack trace|EngineDeadError|Executor failed|leaked (?:semaphore|shared_memory)"
    r"|SystemExit"
)
_ERROR = re.compile(
    r"(?:^|[\s\]])(?P<e>(?:[a-z_]+\.)*[A-Z]\w*(?:Error|Exception|Failure)): (?P<m>\S[^\n]*)"
)
_QUIET = re.compile(
    r"^(?:\([^)\n]{1,60}\) )?(?:INFO|WARNING|DEBUG) \d\d-\d\d [^\n]*$", re.MULTILINE
)


def find_cause(log: str, error: BaseException | None = None) -> Cause:
    """The reason in `log` (the end of an engine's log), else in `error`.

    What is logged as a mere warning is no reason. An error of our own says it all by itself.
    """
    if isinstance(error, LlmopsError):
        return Cause(error.message, error.hint)
    tail = f"{error.__class__.__name__}: {error}" if error is not None else ""
    text = f"{_QUIET.sub('', log)}\n{tail}"
    for pattern, what, hint in _KNOWN:
        if match := re.search(pattern, text):
            names = {key: (value or match[0]).strip() for key, value in match.groupdict().items()}
            return Cause(what.format(**names), hint.format(**names))
    for line in text.splitlines():
        found = _ERROR.search(line)
        if found and not _GENERIC.search(line):
            return Cause(f"{found['e'].rsplit('.', 1)[-1]}: {found['m'].strip()[:300]}")
    if assertion := _failed_check(text.splitlines()):
        return Cause(f"the engine's own check failed: {assertion}")
    return Cause(tail[:300] or "the engine ended without a message")


def _failed_check(lines: list[str]) -> str:
    """The first `assert` that failed without a message: a traceback shows it above its error."""
    for number, line in enumerate(lines):
        if not line.rstrip().endswith("AssertionError"):
            continue
        for above in reversed(lines[max(0, number - 2) : number]):
            _, found, check = above.partition("assert ")
            if found:
                return check.strip()[:200]
    return ""
