"""One cable plan in the forms of those who need it: people, simulators, checkers, schedulers."""

from bare_metal.fabric.rendering.forms import FORMS

__all__ = ["FORMS"]
