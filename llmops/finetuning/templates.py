"""What is no template of columns such as `"{question}\\n\\n{context}"`. Pure."""

from __future__ import annotations

from string import Formatter


def wrong_template(template: str) -> tuple[str, str] | None:
    """What is wrong with a template, and what to do; None when nothing is."""
    twice = "a brace that belongs to the text is written twice: {{ or }}"
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return "expected a brace for each brace, found one alone", twice
    if any(name == "" for _, name, _, _ in parts):
        return "expected the name of a column in braces, found {}", twice
    for _, name, form, conversion in parts:
        if form or conversion:
            return f"expected the name of a column in braces, found more after '{name}'", twice
        if name and set(name) & set(".[]"):
            return (
                f"expected the name of a column in braces, found '{{{name}}}'",
                "a column is taken whole: nothing is looked up in it",
            )
        if name and name != name.strip():
            return f"expected the name of a column in braces, found spaces in '{{{name}}}'", (
                f"write {{{name.strip()}}}"
            )
    if not any(name for _, name, _, _ in parts):
        return "expected at least one {column}, found none", "every row would be the same text"
    return None


__all__ = ["wrong_template"]
