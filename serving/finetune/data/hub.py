"""`hf://owner/name`: the files of a data set, by the hub's own client.

Only data files are fetched, never a script of a data set: code of others is not run here. What is
fetched stays in the client's cache, and its rows are read like any other file's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from llmops.errors import InputError
from llmops.finetuning import Rows
from serving.finetune.data.endings import ENDINGS, ending_of

ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)$")


def fetch(rows: Rows, field: str, tell: Callable[[str], None]) -> tuple[Sequence[Path], str]:
    """Have the files of a split; their paths and the commit that they are of.

    Raises:
        InputError: When the data set or the split is not there, or the hub cannot be asked.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    name = _name(rows.source, field)
    try:
        info = HfApi().dataset_info(name, revision=rows.revision)
        commit = str(info.sha)
        names = _of_part([one.rfilename for one in info.siblings or ()], rows.part)
        if not names:
            raise InputError(
                f"{rows.source} has no file of the split '{rows.part}' that can be read",
                hint=f"files are told by their names and end in {', '.join(ENDINGS)}",
                path=f"{field}.part",
            )
        paths = []
        for one in names:
            tell(f"fetching {rows.source}/{one}")
            paths.append(Path(hf_hub_download(name, one, repo_type="dataset", revision=commit)))
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{rows.source} is not there, or may not be read",
            hint="check the name; a private one needs HF_TOKEN",
            path=f"{field}.source",
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"{rows.source} has no revision '{rows.revision}'",
            hint="name a commit of the data set",
            path=f"{field}.revision",
        ) from error
    except (HTTPError, OSError, ValueError) as error:
        raise InputError(
            f"{rows.source} cannot be had: {type(error).__name__}",
            hint="check the network and HF_ENDPOINT; what was fetched is kept",
            path=f"{field}.source",
        ) from error
    return paths, commit


def _name(source: str, field: str) -> str:
    found = ADDRESS.match(source)
    if found is None:
        raise InputError(
            f"expected hf://owner/name, found '{source}'",
            hint="name a data set of the hub, or a file",
            path=f"{field}.source",
        )
    return found[1]


def _of_part(names: Sequence[str], part: str) -> list[str]:
    """The data files of a split: those with its name as a word in theirs; all, when there is only
    one and it names no split."""
    data = sorted(name for name in names if ending_of(name) in ENDINGS)
    words = {name: re.split(r"[^A-Za-z0-9]+", str(PurePosixPath(name))) for name in data}
    of_part = [name for name in data if part in words[name]]
    if of_part or len(data) != 1:
        return of_part
    known = {"train", "test", "validation", "valid", "dev", "eval"}
    return [] if known & set(words[data[0]]) else data
