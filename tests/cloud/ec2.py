"""EC2 as moto plays it, with a machine behind every instance, and strict where deployers err.

What is added to moto: instances take their time between states and have no public address before they run; a new one
after every stop; client tokens mean what EC2 means by them; a group in use is not deleted.
Everything is kept by region, so that every test that has a region of its own has a cloud of its own.
"""

import base64
import ipaddress
import itertools
import os
import random
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

os.environ.update(
    MOTO_EC2_LOAD_DEFAULT_AMIS="true",
    MOTO_ENABLE_AMI_VALIDATION="true",
    MOTO_ENABLE_KEYPAIR_VALIDATION="true",
    MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="true",
)

import moto.ec2.models.instances as moto_instances  # noqa: E402
import moto.ec2.responses.general as general  # noqa: E402
import moto.ec2.utils as moto_utils  # noqa: E402
from moto.core.responses import ActionResult  # noqa: E402
from moto.ec2.exceptions import EC2ClientError  # noqa: E402
from moto.ec2.models import EC2Backend, ec2_backends  # noqa: E402
from moto.moto_server.werkzeug_app import create_backend_app  # noqa: E402

from machine import Machine  # noqa: E402

# Long enough to be seen, and for a deployer to have to wait.
TRANSITION_SECONDS = 0.5
USER_DATA_BYTES = 16 * 1024
# The one that moto takes callers to be of.
ACCOUNT = "123456789012"
# Where the deployer is, as a security group sees it.
CLIENT = ipaddress.ip_address("127.0.0.1")

_prefix = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}"
_addresses = map(lambda last: f"{_prefix}.{last}", itertools.count(1))


def next_address():
    """Returns a loopback address that nothing of this cloud had before."""
    return next(_addresses)


def make_application(root):
    """Returns EC2 as a WSGI application; its machines start from the directory `root`."""
    Instance.root = root
    moto_instances.Instance = Instance
    moto_utils.filter_dict_attribute_mapping["client-token"] = "client_token"
    general.General.get_console_output = _get_console_output
    ec2_backends.backend = Backend
    return create_backend_app("ec2")


def instances(region):
    """Returns the instances that ever were in a region."""
    return ec2_backends[ACCOUNT][region].all_instances()


def instance(region, instance_id):
    """Returns the instance with this id."""
    return ec2_backends[ACCOUNT][region].get_instance(instance_id)


class Instance(moto_instances.Instance):
    """An instance and its machine. The machine follows the calls; the state that is shown follows the machine."""

    # moto files its classes by service, which it reads off the module.
    __module__ = moto_instances.__name__
    root = None

    def __init__(self, backend, image_id, user_data, security_groups, **kwargs):
        super().__init__(backend, image_id, user_data, security_groups, **kwargs)
        key_pair = backend.key_pairs.get(self.key_name)
        self.machine = Machine(
            self.root,
            self.id,
            key_pair.public_key.strip() if key_pair else None,
            base64.b64decode(str(user_data or "")),
            self._allows,
        )
        self._orders = ThreadPoolExecutor(1)
        self._boot()

    def start(self):
        self._require("stopped", "pending", "running")
        previous = self._state
        if previous.name == "stopped":
            super().start()
            self._boot()
        return previous

    def stop(self):
        self._require("running", "stopping", "stopped")
        previous = self._state
        if previous.name == "running":
            super().stop()
            self._pass(("stopping", 64), ("stopped", 80), self.machine.halt)
        return previous

    def terminate(self):
        previous = self._state
        if previous.name not in ("shutting-down", "terminated"):
            super().terminate()
            self._pass(("shutting-down", 32), ("terminated", 48), self.machine.remove)
        return previous

    def reboot(self):
        self._require("running")
        self.machine.reboot()

    def has_group(self, group_id):
        """Tells whether it is in this security group."""
        return any(group.id == group_id for nic in self.nics.values() for group in nic.group_set)

    def _boot(self):
        nic = self.nics[0]
        address = next_address() if nic.public_ip else None
        nic.public_ip = None

        def boot():
            self.machine.boot(address)
            nic.public_ip = address

        self._pass(("pending", 0), ("running", 16), boot)

    def _pass(self, passing, final, order):
        """Shows one state while an order is carried out, and then the other, unless something came in between."""
        state = self._state = moto_instances.InstanceState(*passing)

        def carry_out():
            try:
                time.sleep(TRANSITION_SECONDS)
                if self._state is state or final[0] != "running":
                    order()
                if self._state is state:
                    self._state = moto_instances.InstanceState(*final)
            except Exception:
                traceback.print_exc()

        self._orders.submit(carry_out)

    def _require(self, *states):
        if self._state.name not in states:
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{self.id}' is not in a state from which it can be started, stopped or rebooted.",
            )

    def _allows(self, port):
        """Tells whether its security groups let the deployer reach a port."""
        rules = [rule for nic in self.nics.values() for group in nic.group_set for rule in group.ingress_rules]
        return any(_rule_allows(rule, port) for rule in rules)


def _rule_allows(rule, port):
    if not rule.cidr_ipv4 or CLIENT not in ipaddress.ip_network(rule.cidr_ipv4, strict=False):
        return False
    if str(rule.ip_protocol) == "-1":
        return True
    return str(rule.ip_protocol) in ("tcp", "6") and int(rule.from_port) <= port <= int(rule.to_port)


class Backend(EC2Backend):
    """A region of an account."""

    # moto finds the URLs of a service by the module of its backend.
    __module__ = EC2Backend.__module__

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._tokens = {}
        # Every default network leads to the internet.
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, self.default_vpc.id)
        for table in self.describe_route_tables(filters={"vpc-id": [self.default_vpc.id]}):
            self.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)

    def run_instances(self, image_id, count, user_data, security_group_names, **kwargs):
        if len(base64.b64decode(str(user_data or ""))) > USER_DATA_BYTES:
            raise EC2ClientError("InvalidParameterValue", "User data is limited to 16384 bytes")
        token = kwargs.get("client_token")
        request = repr((image_id, count, str(user_data), security_group_names, sorted(kwargs.items(), key=str)))
        if token not in self._tokens:
            reservation = super().run_instances(image_id, count, user_data, security_group_names, **kwargs)
            self._tokens[token] = (request, reservation, list(reservation.instances))
            return reservation
        known_request, reservation, instances = self._tokens[token]
        if known_request != request:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        if any(instance.state in ("shutting-down", "terminated") for instance in instances):
            raise EC2ClientError(
                "IdempotentInstanceTerminated",
                "The client token you have provided is associated with a resource that is already terminated.",
            )
        return reservation

    def delete_security_group(self, name=None, group_id=None):
        group = self.get_security_group_by_name_or_id(group_id or name)
        if group and any(
            instance.state != "terminated" and instance.has_group(group.id) for instance in self.all_instances()
        ):
            raise EC2ClientError("DependencyViolation", f"resource {group.id} has a dependent object")
        super().delete_security_group(name=name, group_id=group_id)


def _get_console_output(response):
    found = response.ec2_backend.get_instance(response._get_param("InstanceId"))
    output = base64.b64encode(found.machine.console().encode()[-64 * 1024 :]).decode()
    return ActionResult({"InstanceId": found.id, "Timestamp": moto_instances.utcnow(), "Output": output})
