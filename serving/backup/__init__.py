"""Backups: a target's state as one file, and where such files are kept."""

from serving.backup.archive import Header, pack, unpack
from serving.backup.places import Place, file_name, place_of
from serving.backup.sealing import BackupKey, make_key_file, read_key_file

__all__ = [
    "BackupKey",
    "Header",
    "Place",
    "file_name",
    "make_key_file",
    "pack",
    "place_of",
    "read_key_file",
    "unpack",
]
