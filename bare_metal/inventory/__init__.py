"""`cluster.yaml` to a Cluster: hosts, adapters and switches as somebody declared them."""

from bare_metal.inventory.document import CLUSTER, parse_cluster, read_cluster
from bare_metal.inventory.expansion import Placed, hosts_of, rails_of, switches_of, units_of
from bare_metal.inventory.model import (
    Access,
    Bmc,
    Cluster,
    Fabric,
    Gpus,
    Hca,
    Host,
    Nic,
    Switch,
    Unit,
)
from bare_metal.inventory.naming import core_name, leaf_name, spine_name
from bare_metal.inventory.ports import port_names, ports_of
from bare_metal.inventory.references import resolved
from bare_metal.inventory.roce import Roce, SwitchPorts
from bare_metal.inventory.shape import Shape, UnwirableError, shape_of
from bare_metal.inventory.system import Cache, Firewall, Module, Program, System, User

__all__ = [
    "Access",
    "Bmc",
    "CLUSTER",
    "Cache",
    "Cluster",
    "Fabric",
    "Firewall",
    "Gpus",
    "Hca",
    "Host",
    "Module",
    "Nic",
    "Placed",
    "Program",
    "Roce",
    "Shape",
    "Switch",
    "SwitchPorts",
    "System",
    "Unit",
    "UnwirableError",
    "User",
    "core_name",
    "hosts_of",
    "leaf_name",
    "parse_cluster",
    "port_names",
    "ports_of",
    "rails_of",
    "read_cluster",
    "resolved",
    "shape_of",
    "spine_name",
    "switches_of",
    "units_of",
]
