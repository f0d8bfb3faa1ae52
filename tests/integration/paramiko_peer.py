"""An SSH server that misbehaves as it is told: Paramiko's, on loopback, one thread for each connection. It counts who came."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path

import paramiko

from orchestrator.model.inventory import Machine
from tests.integration.sshd import LOOPBACK, make_key

WAIT_S = 30.0


class Peer:
    """``fault`` names what it does wrong; see :class:`_Policy` and :meth:`_serve`."""

    def __init__(self, folder: Path, fault: str) -> None:
        folder.mkdir(parents=True)
        self.fault = fault
        self.key = make_key(folder / "user_key")
        self.host_key = paramiko.Ed25519Key.from_private_key_file(str(make_key(folder / "host_key")))
        self.other_key = paramiko.Ed25519Key.from_private_key_file(str(make_key(folder / "other_key")))
        self.connections = 0
        self.pushed = 0
        self.commands: list[str] = []
        self.over = threading.Event()
        self._transports: list[paramiko.Transport] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[{LOOPBACK}]:{self.port} {self.host_key.get_name()} {self.host_key.get_base64()}\n")
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def machine(self, name: str = "node7", **fields: object) -> Machine:
        usual = {"address": LOOPBACK, "port": self.port, "user": "root", "keys": (str(self.key),), "known_hosts": (str(self.known_hosts),)}
        return Machine(name=name, **{**usual, "python": sys.executable, **fields})  # type: ignore[arg-type]

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for transport in self._transports:
            transport.close()
        for sock in self._sockets:
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        if self.fault == "hangs in the banner":
            self.over.wait(WAIT_S)
            return
        if self.fault == "drops before the banner":
            sock.close()
            return
        transport = paramiko.Transport(sock)
        self._transports.append(transport)
        transport.add_server_key(self.other_key if self.fault == "changes its host key" else self.host_key)
        try:
            transport.start_server(server=_Policy(self))
        except (paramiko.SSHException, EOFError, OSError):
            return
        while transport.is_active() and not self.over.is_set():
            channel = transport.accept(0.1)
            if channel is not None:
                self._run(channel, transport)

    def _run(self, channel: paramiko.Channel, transport: paramiko.Transport) -> None:
        """Run the command for real, and pass its bytes both ways."""
        while not self.commands:
            if self.over.wait(0.005):
                return
        process = subprocess.Popen(
            ["/bin/sh", "-c", self.commands[-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        pumps = [
            threading.Thread(target=_pump, args=(process.stdout, channel.sendall), daemon=True),
            threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        self._feed(channel, process.stdin, transport)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        status = process.wait()
        for pump in pumps:
            pump.join(10)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.send_exit_status(status)
            channel.close()

    def _feed(self, channel: paramiko.Channel, sink: object, transport: paramiko.Transport) -> None:
        limit = {"truncates the bundle": 20_000, "cuts the line": 20_000}.get(self.fault, 1 << 40)
        while data := channel.recv(16_384):
            self.pushed += len(data)
            sink.write(data[: max(0, limit - self.pushed + len(data))])  # type: ignore[attr-defined]
            sink.flush()  # type: ignore[attr-defined]
            if self.pushed >= limit:
                if self.fault == "cuts the line":
                    transport.sock.close()
                return
            if self.fault == "drops in mid-run" and b'"ask":"beat"' in data:
                transport.sock.close()
                return


class _Policy(paramiko.ServerInterface):
    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_FAILED if self.peer.fault == "refuses the key" else paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.peer.fault == "refuses a channel":
            return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        if self.peer.fault == "has no channel left":
            return paramiko.OPEN_FAILED_RESOURCE_SHORTAGE
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.peer.fault == "refuses a command":
            return False
        self.peer.commands.append(command.decode())
        return True


def _pump(source: object, sink: object) -> None:
    try:
        while data := source.read1(16_384):  # type: ignore[attr-defined]
            sink(data)  # type: ignore[operator]
    except (OSError, EOFError, paramiko.SSHException):
        return
