"""A deployment as somebody might script it: ten API calls and OpenSSH. It is what chat-deploy is compared with.

It does the least that brings a server up: no tags, no check of the host key, no user of its own, no sandbox, no way back.
usage: by_hand.py create|again|change|remove NAME DIRECTORY PROGRAM; the state of its deployments is in DIRECTORY.
"""

import pathlib
import socket
import subprocess
import sys
import time

import boto3

PORT = 12345
LOGIN = "ec2-user"
UNIT = f"""[Service]
ExecStart=/opt/chat/chat-server --host 0.0.0.0 --port {PORT} --data /opt/chat/data
[Install]
WantedBy=multi-user.target
"""
RECEIVE = "mkdir -p /opt/chat; gzip -d >/opt/chat/new; chmod 755 /opt/chat/new; mv /opt/chat/new /opt/chat/chat-server"

ec2 = boto3.client("ec2")


class Deployment:
    """One machine with a server on it."""

    def __init__(self, name, directory, program):
        self._name, self._program = name, program
        self._directory = pathlib.Path(directory)
        self._key = self._directory / name

    def create(self):
        self._directory.mkdir(exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key], check=True)
        ec2.import_key_pair(KeyName=self._name, PublicKeyMaterial=self._key.with_suffix(".pub").read_bytes())
        group = ec2.create_security_group(GroupName=self._name, Description="by hand")["GroupId"]
        for port in (22, PORT):
            ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
            )
        images = ec2.describe_images(
            Owners=["amazon"], Filters=[{"Name": "name", "Values": ["al2023-ami-2023.*-x86_64"]}]
        )["Images"]
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": self._name}]}]
        launched = ec2.run_instances(
            ImageId=max(images, key=lambda image: image["CreationDate"])["ImageId"],
            InstanceType="t2.micro",
            MinCount=1,
            MaxCount=1,
            KeyName=self._name,
            SecurityGroupIds=[group],
            TagSpecifications=tags,
        )["Instances"][0]["InstanceId"]
        while (found := _describe(InstanceIds=[launched]))["State"]["Name"] != "running":
            time.sleep(0.25)
        address = found["PublicIpAddress"]
        while self._ssh(address, "true").returncode != 0:
            time.sleep(0.1)
        self._upload(address)
        unit = "cat >/etc/systemd/system/chat.service; systemctl daemon-reload; systemctl enable --now chat"
        self._ssh(address, f"sudo sh -ec '{unit}'", input=UNIT.encode()).check_returncode()
        _await_server(address)

    def again(self):
        address = self._find()["PublicIpAddress"]
        self._ssh(address, "sha256sum /opt/chat/chat-server; systemctl is-active chat").check_returncode()
        _await_server(address)

    def change(self):
        address = self._find()["PublicIpAddress"]
        self._ssh(address, "sha256sum /opt/chat/chat-server").check_returncode()
        self._upload(address)
        self._ssh(address, "sudo systemctl restart chat").check_returncode()
        _await_server(address)

    def remove(self):
        instance = self._find()["InstanceId"]
        ec2.terminate_instances(InstanceIds=[instance])
        while _describe(InstanceIds=[instance])["State"]["Name"] != "terminated":
            time.sleep(0.25)
        ec2.delete_security_group(GroupName=self._name)
        ec2.delete_key_pair(KeyName=self._name)

    def _find(self):
        return _describe(
            Filters=[
                {"Name": "tag:Name", "Values": [self._name]},
                {"Name": "instance-state-name", "Values": ["running"]},
            ]
        )

    def _upload(self, address):
        with subprocess.Popen(["gzip", "-1c", self._program], stdout=subprocess.PIPE) as packed:
            self._ssh(address, f"sudo sh -ec '{RECEIVE}'", stdin=packed.stdout).check_returncode()

    def _ssh(self, address, command, **streams):
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": 2,
            # One connection for all of it.
            "ControlMaster": "auto",
            "ControlPath": self._directory / f"{self._name}.socket",
            "ControlPersist": 5,
        }
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            ["ssh", "-i", self._key, *flags, f"{LOGIN}@{address}", command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **streams,
        )


def _describe(**query):
    return ec2.describe_instances(**query)["Reservations"][0]["Instances"][0]


def _await_server(address):
    for _ in range(200):
        try:
            with socket.create_connection((address, PORT), 1):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("the server does not answer")


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    getattr(Deployment(*arguments), verb)()
