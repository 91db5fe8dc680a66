"""Texts of systemd's units. Pure: nothing here asks systemd for anything."""

from __future__ import annotations

from collections.abc import Mapping


def unit(**sections: Mapping[str, str | list[str]]) -> str:
    """A unit's text: its sections in order, a line for each value of a setting."""
    parts = []
    for name, values in sections.items():
        lines = [f"[{name}]"]
        for key, value in values.items():
            lines += [f"{key}={one}" for one in ([value] if isinstance(value, str) else value)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def quoted(text: str) -> str:
    """A word of a command, or an assignment: systemd would part it at blanks, and expand what
    follows a `%` (systemd.syntax(7), systemd.unit(5))."""
    kept = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{kept.replace("%", "%%")}"'


__all__ = ["quoted", "unit"]
