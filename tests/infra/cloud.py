"""A cloud on loopback: moto's server, which answers the AWS client as AWS does, for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
IMAGES: list[str] = []
"""Ids of images that are there, once somebody has looked."""


@dataclass(frozen=True)
class Cloud:
    """Where it listens; clients of it by service."""

    url: str

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def image(self) -> str:
        """An image that is there: every such cloud has the same ones, and takes seconds to list
        them."""
        if not IMAGES:
            found = self.client("ec2").describe_images(Owners=["amazon"])["Images"]
            IMAGES.append(min(str(image["ImageId"]) for image in found))
        return IMAGES[0]

    def machine(self, tags: dict[str, str], machine: str = "g4dn.xlarge") -> str:
        """An instance that runs."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = self.client("ec2").run_instances(
            ImageId=self.image(), InstanceType=machine, MinCount=1, MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
        )  # fmt: skip
        return str(made["Instances"][0]["InstanceId"])

    def template(self) -> str:
        """A launch template of two versions, of which the first starts machines."""
        ec2, data = self.client("ec2"), {"ImageId": self.image(), "InstanceType": "g4dn.xlarge"}
        made = ec2.create_launch_template(LaunchTemplateName="pool", LaunchTemplateData=data)
        template = str(made["LaunchTemplate"]["LaunchTemplateId"])
        ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
        return template

    def renew(self, template: str) -> None:
        """The second version starts machines; moto tells of each in a group that it did."""
        ec2 = self.client("ec2")
        ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")

    def group(self, name: str, template: str, machines: int, *, protected: bool = False) -> None:
        """An Auto Scaling group that starts machines from the first version of a template."""
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=machines, MaxSize=machines,
            DesiredCapacity=machines, AvailabilityZones=[f"{REGION}a"],
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            NewInstancesProtectedFromScaleIn=protected,
        )  # fmt: skip

    def start_from(self, name: str, template: str, version: str) -> None:
        """From now on the group starts machines from another version."""
        self.client("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateId": template, "Version": version},
        )


def served(patch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A fresh cloud, which the AWS client of this process finds by itself."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"))
        yield Cloud(url)
    finally:
        server.stop()
