"""Machines of a cloud for a service: which, how many, at what price, and what would come next."""

from llmops.planning.machines.image import HEAD_IMAGE, images_of
from llmops.planning.machines.next_offer import with_offer
from llmops.planning.machines.place import place_on_machines

__all__ = ["HEAD_IMAGE", "images_of", "place_on_machines", "with_offer"]
