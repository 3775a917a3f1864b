"""A machine: a real systemd with sshd and cloud-init in a container, on an address of its own.

It starts from the root directory that `setup` made and keeps what it writes for as long as this program runs. It boots in
a second or two; what cloud-init is given, and a reboot from inside, work as on any machine.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from relay import Relay

BOOT_SECONDS = 20
HALT_SECONDS = 20
# What systemd as the first process understands as orders.
POWER_OFF = signal.SIGRTMIN + 4
REBOOT = signal.SIGRTMIN + 5
# How systemd-nspawn ends when the machine asked for a reboot.
REBOOT_STATUS = 133

MACHINES = pathlib.Path("/run/machines")
# The hierarchies that a systemd wants a part of: one on most systems, two where the old kind is mounted as well.
CGROUPS = [
    path
    for path in map(pathlib.Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"))
    if (path / "cgroup.procs").exists()
]
CGROUP_PREFIX = "chat-pretend-cloud"

_all = []


class Machine:
    """A machine that is off at first. `allows` tells whether a port may be reached from outside."""

    def __init__(self, root, name, public_key, user_data, allows=lambda port: True):
        self._name = name
        self._allows = allows
        self._directory = MACHINES / name
        self._cgroups = [path / f"{CGROUP_PREFIX}.{os.stat('/proc/self/ns/pid').st_ino}.{name}" for path in CGROUPS]
        self._on = False
        self._container = None
        self._supervisor = None
        self._boots = 0
        # Guards whether it was told to shut down, and that nobody from outside is in it then.
        self._entrance = threading.Lock()
        self._is_halting = False
        _all.append(self)
        for part in ("root", "written", "work"):
            (self._directory / part).mkdir(parents=True)
        self._seed(public_key, user_data)
        options = f"lowerdir={root},upperdir={self._directory}/written,workdir={self._directory}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", self._directory / "root"], check=True)

    def boot(self, address):
        """Switches it on, with this public address; returns when its first process runs."""
        self._on = True
        started = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, args=(address, started), daemon=True)
        self._supervisor.start()
        if not started.wait(BOOT_SECONDS):
            raise RuntimeError(f"{self._name} does not boot:\n{self.console()}")

    def halt(self):
        """Shuts it down in good order; its disk stays."""
        self._on = False
        self._order(POWER_OFF)
        self._await_end()

    def crash(self):
        """Takes the power away."""
        self._on = False
        self._kill()
        self._await_end()

    def reboot(self):
        """Has it reboot in good order; returns at once."""
        self._order(REBOOT)

    def boots(self):
        """Returns how often it booted so far."""
        return self._boots

    def remove(self):
        """Takes it away with its disk."""
        _all.remove(self)
        self.crash()
        subprocess.run(["umount", "--lazy", self._directory / "root"], check=False)
        shutil.rmtree(self._directory, ignore_errors=True)
        for cgroup in self._cgroups:
            _remove_cgroup(cgroup)

    def console(self):
        """Returns what it wrote to its console so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self._directory / "console.log").read_text(errors="replace")
        return ""

    def run(self, command, seconds):
        """Runs a command in it as root, and returns its exit status and what it wrote.

        It may not be shutting down. What ends all processes then stops them first, and nsenter, which sees its child stop,
        stops as well. As it is none of the machine's processes nothing lets it go on, nor does it collect its dead child,
        which the machine waits for.
        """
        with self._entrance:
            leader = self._leader()
            if leader is None:
                raise RuntimeError(f"{self._name} is off")
            if self._is_halting:
                first = pathlib.Path(f"/proc/{leader}/comm").read_text().strip()
                raise RuntimeError(f"{self._name} shuts down, and is at its {first}")
            return self._run(leader, command, seconds)

    def _run(self, leader, command, seconds):
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        enter = ["nsenter", "--target", str(leader), *namespaces]
        environment = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        ended = subprocess.run(
            [*enter, *environment, *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
        return ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")

    def _seed(self, public_key, user_data):
        written = self._directory / "written"
        seed = written / "var/lib/cloud/seed/nocloud"
        seed.mkdir(parents=True)
        (seed / "user-data").write_bytes(user_data)
        keys = f"public-keys: ['{public_key}']\n" if public_key else ""
        (seed / "meta-data").write_text(f"instance-id: {self._name}\nlocal-hostname: {self._name}\n{keys}")
        (written / "etc").mkdir()
        (written / "etc/hostname").write_text(f"{self._name}\n")
        (written / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self._name}\n")

    def _supervise(self, address, started):
        while self._on:
            self._container = self._start_container()
            while (leader := self._leader()) is None and self._container.poll() is None:
                time.sleep(0.01)
            self._is_halting = False
            self._boots += leader is not None
            relay = Relay(address, leader, self._allows) if leader and address else None
            started.set()
            status = self._container.wait()
            if relay:
                relay.close()
            if status != REBOOT_STATUS:
                break
        self._on = False

    def _start_container(self):
        # Every machine has a cgroup of its own to take for its root.
        for cgroup in self._cgroups:
            cgroup.mkdir(exist_ok=True)
        enter = 'for cgroup in $1; do echo $$ >"$cgroup/cgroup.procs"; done; shift; exec "$@"'
        nspawn = [
            "systemd-nspawn", "--quiet", "--boot", f"--directory={self._directory}/root", f"--machine={self._name}",
            "--register=no", "--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off",
            "--link-journal=no", "--console=read-only",
        ]  # fmt: skip
        with open(self._directory / "console.log", "ab") as console:
            return subprocess.Popen(
                ["sh", "-c", enter, "sh", " ".join(map(str, self._cgroups)), *nspawn],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip

    def _leader(self):
        """Returns the process id of the machine's first process, if it is on."""
        if self._container is None:
            return None
        # Whatever ends meanwhile is not the one.
        with contextlib.suppress(OSError):
            pid = self._container.pid
            for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                for line in pathlib.Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("NSpid:") and len(line.split()) > 2 and line.split()[-1] == "1":
                        return int(child)
        return None

    def _order(self, order):
        with self._entrance, contextlib.suppress(ProcessLookupError):
            if leader := self._leader():
                self._is_halting = True
                os.kill(leader, order)

    def _kill(self):
        with contextlib.suppress(ProcessLookupError):
            if leader := self._leader():
                os.kill(leader, signal.SIGKILL)

    def _await_end(self):
        if self._container is None:
            return
        try:
            self._container.wait(HALT_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._supervisor.join(HALT_SECONDS)


def remove_all():
    """Takes all machines away."""
    for machine in list(_all):
        machine.remove()


def remove_leftovers():
    """Removes the cgroups of a run that was killed. Those of one that still runs are not empty, and stay."""
    for cgroup in CGROUPS:
        for path in cgroup.glob(f"{CGROUP_PREFIX}.*"):
            _remove_cgroup(path)


def _remove_cgroup(path):
    """Removes a cgroup and those below it, if nothing lives in them."""
    below = [found for found in path.rglob("*") if found.is_dir()]
    for directory in [*sorted(below, reverse=True), path]:
        with contextlib.suppress(OSError):
            directory.rmdir()
