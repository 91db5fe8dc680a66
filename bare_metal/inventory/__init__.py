"""`cluster.yaml` to a Cluster: hosts, adapters and switches as somebody declared them."""

from bare_metal.inventory.document import CLUSTER, parse_cluster, read_cluster
from bare_metal.inventory.expansion import Placed, hosts_of, rails_of, units_of
from bare_metal.inventory.model import Cluster, Fabric, Hca, Host, Switch, Unit
from bare_metal.inventory.naming import core_name, leaf_name, spine_name
from bare_metal.inventory.shape import Shape, UnwirableError, shape_of

__all__ = [
    "CLUSTER",
    "Cluster",
    "Fabric",
    "Hca",
    "Host",
    "Placed",
    "Shape",
    "Switch",
    "Unit",
    "UnwirableError",
    "core_name",
    "hosts_of",
    "leaf_name",
    "parse_cluster",
    "rails_of",
    "read_cluster",
    "shape_of",
    "spine_name",
    "units_of",
]
