"""`engine.args`: which of the engine's own arguments a spec may set, and with what values.

The engine is started from a command line, so a name or value of the wrong shape could become an
argument of its own. What is refused by name is what llmops decides itself, and what would undo a
promise: code and weights that nobody checked, a way in past the gateway, a socket, a log of what
people ask. Names are vLLM 0.32's. Whether the installed engine knows a name is not asked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmops.spec.nodes import Trail

_INSTEAD = {
    "model": "model.source",
    "revision": "model.revision",
    "max_model_len": "model.context",
    "dtype": "engine.dtype",
    "tensor_parallel_size": "parallelism.tensor",
    "pipeline_parallel_size": "parallelism.pipeline",
    "kv_cache_memory_bytes": "engine.kv_cache",
    "gpu_memory_utilization": "engine.kv_cache",
    "device_memory_utilization": "engine.kv_cache",
    "num_gpu_blocks_override": "engine.kv_cache",
    "enable_lora": "engine.adapter_rank",
    "max_lora_rank": "engine.adapter_rank",
    "max_loras": "engine.adapter_count",
    "max_cpu_loras": "engine.adapter_count",
    "device": "hardware.device",
    "device_ids": "hardware.device",
    "served_model_name": "name",
    "host": "target.host",
    "port": "target.port",
    "api_key": "security.keys",
}
"""What a field of the spec says, and which."""

_REASONS: dict[str, str] = {
    "it would run code that nobody checked": """
        trust_remote_code code_revision worker_cls worker_extension_cls scheduler_cls
        logits_processors middleware tool_parser_plugin reasoning_parser_plugin tool_server
        io_processor_plugin model_class_overrides logging_config log_config_file inductor_passes
    """,
    "it would read a model's files from elsewhere than model.source, past their digests": """
        tokenizer tokenizer_revision hf_config_path hf_overrides hf_token config_format download_dir
        load_format model_loader_extra_config ignore_patterns pt_load_map_location lora_modules
        default_mm_loras skip_tokenizer_init spec_model mm_encoder_fp8_scale_path
        mm_encoder_fp8_scale_save_path
    """,
    "it would open a port or a connection that nobody guards": """
        uds grpc_port nnodes node_rank master_addr master_port headless api_server_count
        kv_transfer_config kv_events_config ec_transfer_config ec_manager_config
        weight_transfer_config otlp_traces_endpoint enable_elastic_ep elastic_ep_max_dp_size
        enable_fault_tolerance fault_tolerance_config data_parallel dp_supervisor
    """,
    "how shards are laid out and started is the plan's": """
        distributed_executor_backend decode_context_parallel_size prefill_context_parallel_size
        numa_bind ray_workers_use_nsight disable_frontend_multiprocessing
    """,
    "only the gateway can be reached, and it decides about this": """
        ssl_keyfile ssl_certfile ssl_ca_certs ssl_cert_reqs ssl_ciphers enable_ssl_refresh root_path
        allow_credentials allowed_origins allowed_methods allowed_headers h11_max
        enable_request_id_headers disable_fastapi_docs enable_offline_docs
    """,
    "it would let a request do more than the gateway allows": """
        trust_request_chat_template trust_request_mm_kwargs allowed_local_media_path
        allowed_media_domains enable_prompt_embeds enable_mm_embeds enable_tokenizer_info_endpoint
        tokens_only enable_scale_out enable_sleep_mode
    """,
    "what people ask and what is answered is not logged": """
        enable_log_requests enable_log_outputs enable_log_deltas max_log_len log_error_stack
        profiler_config collect_detailed_traces enable_trace_replay
    """,
    "how the engine logs is llmops' to say": """
        disable_log_stats disable_uvicorn_access_log disable_access_log_for_endpoints
        uvicorn_log_level
    """,
    "it takes memory that the plan does not reckon with": """
        cpu_offload_gb cpu_offload_params kv_offloading_size kv_offloading_backend offload_backend
        offload_group_size offload_num_in_group offload_prefetch_step offload_params
    """,
    "it would read arguments from a file, or none at all": "config help version",
}
_WHY = {name: why for why, names in _REASONS.items() for name in names.split()}

_FAMILIES = ("data_parallel", "dp_supervisor", "h11_max", "numa_bind")
"""Names that stand for all that begin with them."""

_WHOLE = ("reasoning_parser",)
"""Arguments of their own that are the beginning of a refused one."""

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)

MOST_ITEMS = 256
"""Elements of a list or mapping, and most arguments."""

MOST_TEXT = 64 * 1024
"""Characters of one text: Linux refuses a program an argument above 128 KiB."""

MOST_LEVELS = 4
"""Levels of mappings and lists within one argument."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with an argument; `key` when its name is to blame."""

    trail: Trail
    message: str
    hint: str
    key: bool = False


def check(args: dict[str, Any]) -> Iterator[Wrong]:
    """What is wrong with `engine.args`, in their order."""
    if len(args) > MOST_ITEMS:
        yield Wrong((), f"expected at most {MOST_ITEMS} arguments, found {len(args)}", "use fewer")
        return
    seen: dict[str, str] = {}
    for name, value in args.items():
        plain = name.replace("-", "_")
        if plain in seen:
            message = f"expected each argument once, found '{name}' and '{seen[plain]}'"
            yield Wrong((name,), message, "remove one of them", key=True)
            continue
        seen[plain] = name
        refusal = _name((name,), plain, value)
        if refusal:
            yield refusal
        else:
            yield from _special(plain, (name,), value) or _value((name,), value, MOST_LEVELS)


def _name(trail: Trail, name: str, value: Any) -> Wrong | None:
    found = str(trail[-1])
    if not _NAME.fullmatch(found) or len(found) > 80:
        return Wrong(
            trail, "expected the name of an argument, found something else",
            "lower-case letters, digits and '_', as in enable_prefix_caching", key=True,
        )  # fmt: skip
    if name.startswith("no_"):
        opposite = "false" if value is True else "true"
        hint = f"write {name[3:]}: {opposite}"
        return Wrong(trail, "expected an argument without 'no_', found a negated one", hint, True)
    if field := _INSTEAD.get(name):
        message = f"expected an argument that is the engine's own, found '{found}'"
        return Wrong(trail, f"{message}, which llmops sets itself", f"set {field} instead", True)
    if why := _why(name):
        message = f"expected an argument that may be set, found '{found}': {why}"
        return Wrong(trail, message, "remove it", True)
    return _shortened(trail, name)


def _why(name: str) -> str | None:
    family = next((family for family in _FAMILIES if name.startswith(f"{family}_")), name)
    return _WHY.get(family)


def _shortened(trail: Trail, name: str) -> Wrong | None:
    """Refuse a beginning of a refused name: the engine takes unambiguous ones for the whole."""
    for whole in () if name in _WHOLE else (*_INSTEAD, *_WHY):
        if whole.startswith(name):
            return Wrong(
                trail, f"expected the whole name of an argument, found the beginning of '{whole}'",
                "write names out; this one may not be set", key=True,
            )  # fmt: skip
    return None


def _special(name: str, trail: Trail, value: Any) -> Iterator[Wrong] | None:
    """Arguments that may be set to some values only."""
    if name == "chat_template" and not (isinstance(value, str) and "{" in value):
        message = "expected the template itself, found something else"
        hint = "write the template's text here (chat_template: |): a file is not part of a release"
        return iter([Wrong(trail, message, hint)])
    if name == "generation_config" and value not in ("auto", "vllm"):
        message = "expected 'auto' or 'vllm', found something else"
        hint = (
            "a folder elsewhere is not part of a release; override_generation_config takes values"
        )
        return iter([Wrong(trail, message, hint)])
    return None


def _value(trail: Trail, value: Any, levels: int) -> Iterator[Wrong]:
    if value is None:
        yield Wrong(trail, "expected a value, found nothing", "write a value, or remove the key")
    elif isinstance(value, str):
        yield from _text(trail, value)
    elif isinstance(value, (dict, list)):
        yield from _collection(trail, value, levels)


def _text(trail: Trail, value: str) -> Iterator[Wrong]:
    if value.startswith("-") and not _NUMBER.fullmatch(value):
        message = "expected a value, found text that begins with '-' like an argument of its own"
        yield Wrong(trail, message, "give each argument a key of its own")
    elif not value:
        yield Wrong(trail, "expected a value, found an empty text", "remove the key")
    elif len(value) > MOST_TEXT:
        message = f"expected at most {MOST_TEXT} characters, found {len(value)}"
        yield Wrong(trail, message, "an argument is short")


def _collection(trail: Trail, value: dict[str, Any] | list[Any], levels: int) -> Iterator[Wrong]:
    kind = "list" if isinstance(value, list) else "mapping"
    if not value:
        yield Wrong(trail, f"expected a value, found an empty {kind}", "remove the key")
    elif len(value) > MOST_ITEMS:
        message = f"expected at most {MOST_ITEMS} elements, found {len(value)}"
        yield Wrong(trail, message, "an argument is short")
    elif levels == 0:
        message = f"expected at most {MOST_LEVELS} levels in an argument, found more"
        yield Wrong(trail, message, "an argument is a value, a list or a small mapping")
    elif isinstance(value, list):
        yield from _list(trail, value)
    else:
        for key, inner in value.items():
            refusal = _inside((*trail, key), key.replace("-", "_"))
            if refusal:
                yield refusal
            else:
                yield from _value((*trail, key), inner, levels - 1)


def _list(trail: Trail, value: list[Any]) -> Iterator[Wrong]:
    for index, item in enumerate(value):
        if isinstance(item, (dict, list)):
            message = "expected a text or a number, found a list or mapping inside a list"
            yield Wrong((*trail, index), message, "write single values into the list")
        else:
            yield from _value((*trail, index), item, 0)


def _inside(trail: Trail, name: str) -> Wrong | None:
    """Refuse inside a mapping, such as a draft model's, what is refused outside."""
    why = _WHY["tokenizer"] if name in ("model", "revision") else _WHY.get(name)
    if why is None:
        return None
    message = f"expected a key that may be set, found '{trail[-1]}': {why}"
    return Wrong(trail, message, "remove it", True)
