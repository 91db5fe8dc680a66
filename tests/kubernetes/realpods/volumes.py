"""A pod's volumes as directories of the test's own: emptyDir and Secret, as a kubelet makes them.

A Secret is a folder of links into a dated folder, and a change moves one link, so that a reader
finds the old files or the new ones. Left out: every other kind of volume (refused), size limits of
an emptyDir on disk, and a change's delay (a kubelet takes a minute or more).
"""

from __future__ import annotations

import base64
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clusters.quantities import whole

Object = dict[str, Any]
Finds = Callable[[str], Object | None]
"""A Secret of the pod's namespace by its name; None when there is none."""
MODE = 0o644
"""Of a Secret's file, where the volume says nothing else."""
DATA = "..data"


class Volumes:
    """The volumes of one pod.

    Args:
        folder: An empty directory for them.
        pod: The pod.
        find: Finds Secrets.
    """

    def __init__(self, folder: Path, pod: Object, find: Finds) -> None:
        self._folder = folder
        self._find = find
        self._secrets: dict[str, Object] = {}
        self._numbers = itertools.count(1)
        self._volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        self._mounts = pod["spec"]["containers"][0].get("volumeMounts", [])

    def missing(self) -> str:
        """Name of a Secret that a volume needs and that is not there; empty when all are."""
        needed = (v["secret"]["secretName"] for v in self._volumes.values() if "secret" in v)
        return next((name for name in needed if self._find(name) is None), "")

    def make(self) -> list[Object]:
        """Make all that the container mounts; how `inside` is to mount them.

        Raises ValueError for a volume of a kind that is left out.
        """
        used = {mount["name"] for mount in self._mounts}
        for name in used:
            (self._folder / name).mkdir(parents=True)
        self.follow()
        mounts = sorted(self._mounts, key=lambda mount: str(mount["mountPath"]))
        return [self._mounted(mount) for mount in mounts]

    def follow(self) -> None:
        """Bring the files of each Secret to what it holds now."""
        for name, volume in self._volumes.items():
            if "secret" not in volume:
                continue
            found = self._find(volume["secret"]["secretName"])
            if found is not None and self._secrets.get(name) != found.get("data"):
                self._write(self._folder / name, volume["secret"], found.get("data") or {})
                self._secrets[name] = found.get("data") or {}

    def _mounted(self, mount: Mapping[str, Any]) -> Object:
        volume, target = self._volumes[mount["name"]], mount["mountPath"]
        memory = volume.get("emptyDir", {}).get("medium") == "Memory"
        if memory:
            return {"target": target, "size": whole(volume["emptyDir"]["sizeLimit"])}
        if "secret" not in volume and "emptyDir" not in volume:
            raise ValueError(f"volume {mount['name']} is neither emptyDir nor secret: {volume}")
        read_only = mount.get("readOnly", False) or "secret" in volume
        source = str(self._folder / mount["name"])
        return {"source": source, "target": target, "read_only": read_only}

    def _write(self, folder: Path, wanted: Object, data: Mapping[str, str]) -> None:
        made = folder / f"..{next(self._numbers)}"
        made.mkdir()
        before = (folder / DATA).resolve() if (folder / DATA).is_symlink() else None
        paths = {item["key"]: item["path"] for item in wanted.get("items", [])}
        for key, name in _chosen(paths, data):
            file = made / name
            file.write_bytes(base64.b64decode(data[key]))
            file.chmod(wanted.get("defaultMode", MODE))
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"{DATA}/{name}")
        (folder / f"{DATA}.new").symlink_to(made.name)
        (folder / f"{DATA}.new").replace(folder / DATA)
        if before is not None:
            shutil.rmtree(before)


def _chosen(paths: Mapping[str, str], data: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Keys of a Secret and the names of their files: those that are listed, or all."""
    yield from paths.items() if paths else ((key, key) for key in data)
