"""The public interface of a machine: an address of this host, on which the machine's open ports are reached.

The machine has a network of its own with nothing but `lo` in it. A port that something listens on in there, on all
addresses, and that the machine's security group allows, is listened on out here; every other port refuses, as on a machine
where nothing listens.
"""

import asyncio
import contextlib
import ctypes
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

LOOK_AGAIN_SECONDS = 0.03
PIECE_BYTES = 256 * 1024

CLONE_NEWNET = 0x40000000
LISTENING = "0A"
ALL_ADDRESSES = ("0" * 8, "0" * 32)

_libc = ctypes.CDLL(None, use_errno=True)


def _start_loop():
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


_loop = _start_loop()


class Relay:
    """Stands for a machine on `address` until it is closed.

    `leader` is the process id of the machine's first process, `allows` tells whether a port may be reached.
    """

    def __init__(self, address, leader, allows):
        self._address = address
        self._leader = leader
        self._allows = allows
        self._servers = {}
        self._connections = set()
        # A thread cannot come back from another network, so this one stays there and makes all the connections.
        self._inside = ThreadPoolExecutor(1, initializer=_enter_network, initargs=(leader,))
        self._running = asyncio.run_coroutine_threadsafe(self._run(), _loop)

    def close(self):
        """Listens no more, and breaks what is connected."""
        self._running.cancel()

    async def _run(self):
        try:
            while True:
                await self._follow()
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        finally:
            for server in self._servers.values():
                server.close()
            for writer in self._connections:
                writer.transport.abort()
            self._inside.shutdown(wait=False)

    async def _follow(self):
        wanted = {port for port in _listening(self._leader) if self._allows(port)}
        for port in self._servers.keys() - wanted:
            self._servers.pop(port).close()
        for port in wanted - self._servers.keys():
            # The address may still be that of a relay that is just being closed.
            with contextlib.suppress(OSError):
                self._servers[port] = await asyncio.start_server(
                    lambda reader, writer, port=port: self._serve(port, reader, writer), self._address, port
                )

    async def _serve(self, port, reader, writer):
        self._connections.add(writer)
        try:
            inner_socket = await _loop.run_in_executor(self._inside, socket.create_connection, ("127.0.0.1", port), 5)
            inner_socket.setblocking(False)
            inner_reader, inner_writer = await asyncio.open_connection(sock=inner_socket)
        except OSError:
            writer.transport.abort()
            self._connections.discard(writer)
            return
        self._connections.add(inner_writer)
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        for end in (writer, inner_writer):
            end.close()
            self._connections.discard(end)


async def _pass_on(reader, writer):
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


def _enter_network(leader):
    with open(f"/proc/{leader}/ns/net") as network:
        if _libc.setns(network.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the machine's network")


def _listening(leader):
    """Returns the ports that something in the machine listens on, on all addresses."""
    ports = set()
    for family in ("tcp", "tcp6"):
        # The machine may have ended.
        with contextlib.suppress(OSError), open(f"/proc/{leader}/net/{family}") as table:
            for line in table.readlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, port = local.partition(":")
                if state == LISTENING and address in ALL_ADDRESSES:
                    ports.add(int(port, 16))
    return ports
