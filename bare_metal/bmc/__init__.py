"""Management controllers (BMC) by Redfish: what they say of hosts, and power and boot device set.

`open_controllers` is the way to them; `gather` asks, `plan_power` and `plan_boot` decide, and
`set_power` and `set_boot` change.
"""

from bare_metal.bmc.changing import set_boot, set_power
from bare_metal.bmc.faults import faults_of, verdict_of
from bare_metal.bmc.model import Boot, Controller, Firmware, Found, Limits, Processors, Sensor
from bare_metal.bmc.opening import open_controllers, with_controllers
from bare_metal.bmc.planning import BootFrom, BootPlan, Power, PowerPlan, plan_boot, plan_power
from bare_metal.bmc.port import Changing, Controllers, Looking, LookingControllers
from bare_metal.bmc.reading import FIRMWARE, SENSORS, Part, gather
from bare_metal.bmc.telling import (
    HEADS,
    SENSOR_HEADS,
    data,
    fault_lines,
    inventory_data,
    inventory_lines,
    row,
    sensor_row,
)

__all__ = [
    "Boot",
    "BootFrom",
    "BootPlan",
    "Changing",
    "Controller",
    "Controllers",
    "FIRMWARE",
    "Firmware",
    "Found",
    "HEADS",
    "Limits",
    "Looking",
    "LookingControllers",
    "Part",
    "Power",
    "PowerPlan",
    "Processors",
    "SENSORS",
    "SENSOR_HEADS",
    "Sensor",
    "data",
    "fault_lines",
    "faults_of",
    "gather",
    "inventory_data",
    "inventory_lines",
    "open_controllers",
    "plan_boot",
    "plan_power",
    "row",
    "sensor_row",
    "set_boot",
    "set_power",
    "verdict_of",
    "with_controllers",
]
