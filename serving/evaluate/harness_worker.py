"""The process that runs lm-evaluation-harness: a job on standard input, its results on output.

It is the only module that imports the harness. The key comes by the environment, and is in nothing
that it writes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from serving.evaluate.worker import end_with_parent


def main() -> int:
    """Run a job's tasks; 0 when they were scored, 2 when something that they need is missing."""
    end_with_parent()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    try:
        document = _evaluate(job)
    except ModuleNotFoundError as error:
        hint = "pip install 'llmops[finetune]'"
        document = {"refused": f"the harness needs the package {error.name}: {hint}"}
    out.write(json.dumps(document))
    out.flush()
    return 2 if "refused" in document else 0


def _evaluate(job: dict[str, Any]) -> dict[str, Any]:
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=job["folders"], include_defaults=False)
    if unknown := [name for name in job["tasks"] if name not in manager.all_tasks]:
        return {"refused": f"the harness finds no task {unknown[0]} in {job['folders']}"}
    loaded = manager.load(job["tasks"])["tasks"].values()
    kinds = {str(task.OUTPUT_TYPE) for task in loaded}
    if not job["tokenizer"] and kinds - {"generate_until"}:
        return {
            "refused": "the tasks weigh texts by log-likelihood, for which the harness needs the"
            " model's tokenizer: name its folder with --tokenizer"
        }
    arguments: dict[str, Any] = {
        "base_url": job["url"],
        "model": job["model"],
        "num_concurrent": job["concurrency"],
        "max_retries": 3,
        "tokenizer_backend": "huggingface" if job["tokenizer"] and not job["chat"] else None,
        "tokenized_requests": bool(job["tokenizer"]) and not job["chat"],
    }
    if job["tokenizer"]:
        arguments["tokenizer"] = job["tokenizer"]
    found = lm_eval.simple_evaluate(
        model="local-chat-completions" if job["chat"] else "local-completions",
        model_args=arguments,
        tasks=job["tasks"],
        task_manager=manager,
        limit=job["limit"],
        apply_chat_template=job["chat"],
        random_seed=job["seed"],
        numpy_random_seed=job["seed"],
        torch_random_seed=job["seed"],
        fewshot_random_seed=job["seed"],
        bootstrap_iters=1000,
        log_samples=False,
    )
    items = {name: entry["effective"] for name, entry in found["n-samples"].items()}
    return {"results": found["results"], "items": items}


if __name__ == "__main__":
    sys.exit(main())
