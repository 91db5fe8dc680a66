"""What a new machine does first: cloud-init's text, made from typed parts. Pure, and no SDK."""

from infra.startup.cloud_config import LONGEST, user_data
from infra.startup.model import Packages, Role, StartUp

__all__ = ["LONGEST", "Packages", "Role", "StartUp", "user_data"]
