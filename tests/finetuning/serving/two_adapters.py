"""One engine in this process, asked in the order that it is told: `python -m … MODEL HOME ORDER`.

ORDER is digests with commas between them, `base` for the bare weights. Prints what it answered as
JSON: a list of `[text, tokens that came from the cache]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from serving.engines import Adapters, EngineRun, call, vllm
from serving.finetune.artefacts import locate

PROMPT = "the one and the other are in the house of the " * 12


def run_of(model: Path) -> EngineRun:
    """A run of the tiny model with room for adapters, and its prefix cache on."""
    return EngineRun(
        service="tiny",
        release=1,
        engine="vllm",
        source=f"file://{model}",
        revision="0" * 40,
        dtype="bfloat16",
        context=512,
        device="cpu",
        tensor=1,
        threads=1,
        kv_cache_bytes=2**30,
        args={
            "enable_prefix_caching": True,
            "enable_prompt_tokens_details": True,
            "block_size": 32,
        },
        adapter_rank=8,
    )


async def ask(model: Path, home: Path, order: list[str]) -> list[tuple[str, int]]:
    """Answers to one prompt, each by another adapter."""
    run = run_of(model)
    vllm.prepare(run)
    releases = {name: number for number, name in enumerate(dict.fromkeys(order), 1)}

    def find(source: str, digest: str) -> Path:
        return locate(home, source, expected=digest).directory

    def failed(_release: int, why: str) -> None:
        assert not why, why

    async with vllm.start(run, model) as (client, app):
        adapters = Adapters(client, app, "tiny", find, failed, vllm.adapter)
        await adapters.follow(
            {
                str(number): None
                if name == "base"
                else {"source": f"run://style/{name[0]}", "digest": name[2:]}
                for name, number in releases.items()
            },
            {},
        )
        return [await _one(adapters, app, releases[name]) for name in order]


async def _one(adapters: Adapters, app: object, release: int) -> tuple[str, int]:
    request = {"model": "tiny", "prompt": PROMPT, "max_tokens": 24, "temperature": 0}
    body, _ = await adapters.body(release, json.dumps(request).encode())
    headers = [("content-type", "application/json")]
    pieces = [p async for p in call(app, "POST", "/v1/completions", headers, body)]  # type: ignore[arg-type]
    document = json.loads(b"".join(p[2] if isinstance(p, tuple) else p for p in pieces))
    cached = (document["usage"].get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return document["choices"][0]["text"], cached


if __name__ == "__main__":
    found = asyncio.run(ask(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(",")))
    print(f"\n{json.dumps(found)}")
