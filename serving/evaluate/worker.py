"""The process that measures weights: `python -m serving.evaluate.worker`, a job on standard input.

It answers greedily and weighs references by their exact log-likelihoods. On a CPU it computes in
float32 whatever the checkpoint's format is: there a batch gives what its items give alone, which
bfloat16's rounding would not. On a GPU the checkpoint's own format is used.

Standard output carries one JSON line per item, and nothing else: what libraries print goes to
standard error. It writes no file.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import IO, Any

WEIGHED_TOKENS = 1024
"""Tokens of one forward pass when references are weighed: their logits are what memory goes to, a
vocabulary of 150,000 in float32 takes 600 MB for as many."""


PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


class Refused(Exception):
    """What the user can change."""


def main() -> int:
    """Measure a job's items; 0 when all were tried, 2 when the model cannot be had."""
    end_with_parent()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    try:
        model = _Model(job, out)
        for task in job["tasks"]:
            model.answer(task, job["batch"])
            model.weigh(task)
    except Refused as error:
        _send(out, {"refused": str(error)})
        return 2
    return 0


def end_with_parent() -> None:
    """Have the kernel end this process when the one that asked ends, however that is: its pipe
    would break at the next item only, and a batch may take minutes. Linux only."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _send(out: IO[str], document: dict[str, Any]) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()


class _Model:
    """The loaded model."""

    def __init__(self, job: dict[str, Any], out: IO[str]) -> None:
        self._out = out
        _send(out, {"phase": "loading the model"})
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ModuleNotFoundError as error:
            hint = "pip install 'llmops[finetune]'"
            raise Refused(f"weights need the package {error.name}: {hint}") from error
        torch.manual_seed(job["seed"])
        self._torch = torch
        cuda = torch.cuda.is_available()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(job["base"])
            model = AutoModelForCausalLM.from_pretrained(
                job["base"], dtype="auto" if cuda else torch.float32
            )
            if job["adapter"]:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, job["adapter"])
        except (OSError, ValueError, RuntimeError) as error:
            raise Refused(f"the model in {job['base']} cannot be loaded: {error}"[:600]) from error
        self._model = model.to("cuda" if cuda else "cpu").eval()
        self._context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
        end = self._model.generation_config.eos_token_id
        self._ends = [end] if isinstance(end, int) else list(end or ())
        self._pad = self.tokenizer.pad_token_id
        if self._pad is None:
            self._pad = self._ends[0] if self._ends else 0

    def answer(self, task: dict[str, Any], batch: int) -> None:
        """Generate an answer for each item, in batches of items of like length."""
        asked = [(item, self._prompt(item)) for item in task["answers"]]
        fitting = []
        for item, ids in asked:
            if len(ids) + task["max_tokens"] > self._context:
                text = f"{len(ids)} tokens of a prompt and {task['max_tokens']} of an answer"
                self._fail(task, item, "answer", f"{text} exceed the context of {self._context}")
            else:
                fitting.append((item, ids))
        fitting.sort(key=lambda pair: len(pair[1]), reverse=True)
        for at in range(0, len(fitting), batch):
            some = fitting[at : at + batch]
            made = self.generate([ids for _, ids in some], task["max_tokens"])
            for (item, ids), new in zip(some, made, strict=True):
                ended = bool(new) and new[-1] in self._ends
                self._record(
                    task, item, "answer",
                    text=self.tokenizer.decode(new, skip_special_tokens=True),
                    finish="stop" if ended else "length",
                    prompt_tokens=len(ids),
                    output_tokens=len(new),
                )  # fmt: skip

    def generate(self, prompts: list[list[int]], most: int) -> list[list[int]]:
        """Greedy continuations of token ids, padded on the left; each up to its own end."""
        torch = self._torch
        longest = max(len(ids) for ids in prompts)
        padded = [[self._pad] * (longest - len(ids)) + ids for ids in prompts]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
        device = self._model.device
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=most,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._pad,
            )
        return [self._own(row) for row in made[:, longest:].tolist()]

    def _own(self, ids: list[int]) -> list[int]:
        """A continuation up to its first end, which is kept: behind it there is padding."""
        for at, token in enumerate(ids):
            if token in self._ends:
                return ids[: at + 1]
        return ids

    def weigh(self, task: dict[str, Any]) -> None:
        """The log-likelihood of each item's reference."""
        fitting = []
        for item in task["likelihoods"]:
            ids, learnt = self._text(item)
            if len(ids) > self._context:
                self._fail(
                    task, item, "likelihood",
                    f"its {len(ids)} tokens exceed the context of {self._context}",
                )  # fmt: skip
            else:
                fitting.append((item, ids, learnt))
        fitting.sort(key=lambda entry: len(entry[1]), reverse=True)
        for some in _packs(fitting):
            losses = self._losses([ids for _, ids, _ in some], [learnt for *_, learnt in some])
            for (item, *_), (nll, tokens) in zip(some, losses, strict=True):
                self._record(task, item, "likelihood", nll=nll, tokens=tokens)

    def _losses(self, rows: list[list[int]], learnt: list[list[bool]]) -> list[tuple[float, int]]:
        """Negative log-likelihood in nats, and tokens, of what is learnt in each row."""
        torch = self._torch
        longest = max(len(ids) for ids in rows)
        device = self._model.device
        padded = torch.tensor([ids + [self._pad] * (longest - len(ids)) for ids in rows])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in rows])
        wanted = torch.tensor([on + [False] * (longest - len(on)) for on in learnt])[:, 1:]
        with torch.inference_mode():
            logits = self._model(
                input_ids=padded.to(device), attention_mask=mask.to(device)
            ).logits[:, :-1]
            found = []
            for row in range(len(rows)):
                own = wanted[row].to(device)
                loss = torch.nn.functional.cross_entropy(
                    logits[row][own].float(), padded[row, 1:].to(device)[own], reduction="none"
                )
                found.append((float(loss.double().sum()), int(own.sum())))
        return found

    def _prompt(self, item: dict[str, Any]) -> list[int]:
        if "messages" in item:
            if not self.tokenizer.chat_template:
                raise Refused("the model has no chat template, so chats cannot be asked of it")
            text = self.tokenizer.apply_chat_template(
                item["messages"], tokenize=False, add_generation_prompt=True
            )
            return list(self.tokenizer(text, add_special_tokens=False).input_ids)
        return list(self.tokenizer(item["prompt"]).input_ids)

    def _text(self, item: dict[str, Any]) -> tuple[list[int], list[bool]]:
        """The whole of a prompt and its first reference, and which tokens are the reference's."""
        if "tokens" in item:
            return item["tokens"], item["learnt"]
        if "messages" in item:
            prompt = self._prompt(item)
            rest = self.tokenizer(item["references"][0], add_special_tokens=False).input_ids
            return prompt + list(rest), [False] * len(prompt) + [True] * len(rest)
        from llmops.evaluating import split_prompt

        prompt_text, reference = split_prompt(item["prompt"], item["references"][0])
        whole = self.tokenizer(prompt_text + reference, return_offsets_mapping=True)
        border = len(prompt_text)
        return list(whole.input_ids), [end > border for _, end in whole.offset_mapping]

    def _record(self, task: dict[str, Any], item: dict[str, Any], kind: str, **found: Any) -> None:
        _send(self._out, {"set": task["set"], "item": item["id"], "kind": kind, **found})

    def _fail(self, task: dict[str, Any], item: dict[str, Any], kind: str, error: str) -> None:
        self._record(task, item, kind, error=error)


def _packs(rows: list[Any]) -> Iterator[list[Any]]:
    """Rows, longest first, in groups whose padded size stays within `WEIGHED_TOKENS`."""
    at = 0
    while at < len(rows):
        count = max(1, WEIGHED_TOKENS // max(1, len(rows[at][1])))
        yield rows[at : at + count]
        at += count


if __name__ == "__main__":
    sys.exit(main())
