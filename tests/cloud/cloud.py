"""A pretend cloud on one machine: EC2 of the cloud's own making (`ec2.py`, `faults.py`) and real machines (`machine.py`).

`start` runs it in namespaces of its own. It writes one line, the address of its API, and lives until its standard input
ends. Beside EC2's API there is one for tests: a POST of JSON to /test/COMMAND, for each command a function below.
"""

import json
import os
import subprocess
import sys
import threading
import traceback

from werkzeug.serving import WSGIRequestHandler, make_server

import ec2
import machine
from faults import TEST_AGENT, Faults
from machine import Machine

COMMAND_SECONDS = 60


class Cloud:
    """The WSGI application: the tests' API here, everything else is EC2."""

    def __init__(self, root):
        self._root = root
        self._ec2 = Faults(ec2.make_application(root))
        self._bare = {}
        self._clients = {}
        self._clients_lock = threading.Lock()
        self.endpoint = None

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if not path.startswith("/test/"):
            return self._ec2(environ, start_response)
        try:
            request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            answer = getattr(self, "do_" + path.removeprefix("/test/"))(**request)
            status = "200 OK"
        except Exception:
            answer, status = traceback.format_exc(), "500 Failed"
        body = json.dumps(answer, default=str).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def do_aws(self, region, operation, arguments):
        """Makes an API call that is neither written down nor broken, as somebody with a console would."""
        with self._clients_lock:
            if region not in self._clients:
                self._clients[region] = self._make_client(region)
        answer = getattr(self._clients[region], operation)(**arguments)
        answer.pop("ResponseMetadata")
        return answer

    def do_calls(self, region):
        """Returns the actions called so far."""
        return self._ec2.calls(region)

    def do_faults(self, region, rules):
        """Replaces the rules by which calls are broken."""
        self._ec2.set_rules(region, rules)

    def do_machines(self, region):
        """Returns the ids of the instances that are not terminated."""
        return [found.id for found in ec2.instances(region) if found.state != "terminated"]

    def do_make_machine(self, name, public_key):
        """Makes a machine that no cloud knows, and returns its address."""
        address = ec2.next_address()
        self._bare[name] = Machine(self._root, name, public_key, b"")
        self._bare[name].boot(address)
        return address

    def do_remove_machine(self, name):
        """Takes a machine that no cloud knows away."""
        self._bare.pop(name).remove()

    def do_run(self, command, region=None, name=None):
        """Runs a command as root in a machine."""
        code, out, err = self._machine(region, name).run(command, COMMAND_SECONDS)
        return {"code": code, "out": out, "err": err}

    def do_console(self, region=None, name=None):
        """Returns what a machine wrote to its console."""
        return self._machine(region, name).console()

    def do_boots(self, region=None, name=None):
        """Returns how often a machine booted, which can be asked while it shuts down."""
        return self._machine(region, name).boots()

    def do_cut_power(self, region=None, name=None):
        """Takes a machine's power away, and gives it back."""
        found = self._machine(region, name)
        address = ec2.instance(region, name).public_ip
        found.crash()
        found.boot(address)

    def _machine(self, region, name):
        return ec2.instance(region, name).machine if region else self._bare[name]

    def _make_client(self, region):
        import boto3
        from botocore.config import Config

        return boto3.client(
            "ec2",
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(user_agent_extra=TEST_AGENT),
        )


class Quiet(WSGIRequestHandler):
    """Does not write every request down, and takes a client that hangs up for what it is."""

    def log_request(self, *_):
        pass


def main(root):
    if os.getpid() != 1:
        sys.exit("cloud.py wants namespaces of its own: run tests/cloud/start")
    # Nothing that the machines leave here, files and locks, outlives this program.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    machine.remove_leftovers()
    cloud = Cloud(root)
    server = make_server("127.0.0.1", 0, cloud, threaded=True, request_handler=Quiet)
    cloud.endpoint = f"http://127.0.0.1:{server.server_port}"
    print(cloud.endpoint, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        sys.stdin.read()
    finally:
        machine.remove_all()
        # Calls that are still under way have nobody left to answer to.
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
