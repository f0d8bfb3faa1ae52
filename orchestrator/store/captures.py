"""The captures of a run: bytes as hosts send them -> files that grow, and back.

Knows nothing of frames. What hosts call things never becomes a path: names come from the plan, and are checked even so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from orchestrator.model.record import RunRecord
from orchestrator.store.directory import failed

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\Z")


class CaptureFiles:
    """The captures of a run as they come, and again when they are read. Called as in the lab: ``romeo-tcp-connection-refused.pcap``."""

    def __init__(self, folder: Path, scenario: str, hosts: tuple[str, ...]) -> None:
        stem = scenario if scenario.startswith(("tcp-", "udp-")) else f"tcp-{scenario}"
        self._paths = {host: folder / f"{host}-{stem}.pcap" for host in hosts if _PLAIN.match(host)}
        self._open: dict[str, IO[bytes]] = {}
        self.kept_bytes = 0

    def name(self, host: str) -> str:
        """The plain name of a host's capture."""
        return self._paths[host].name

    def write(self, host: str, data: bytes) -> None:
        """Append to the capture of ``host``, one of those named before the run; unbuffered, so that a full disk is told here.

        :raises StoreError: the disk is full, or not ours to write.
        """
        left = memoryview(data)
        self.kept_bytes += len(data)
        try:
            if host not in self._open:
                self._open[host] = self._paths[host].open("wb", buffering=0)
            while left:
                left = left[self._open[host].write(left) :]
        except OSError as error:
            raise failed("write", self._paths[host], error) from error

    def close(self) -> None:
        """All that was captured is in its file."""
        for host, file in self._open.items():
            try:
                file.close()
            except OSError as error:
                raise failed("write", self._paths[host], error) from error
        self._open = {}


def read_captures(folder: Path, record: RunRecord) -> Mapping[str, bytes]:
    """The bytes of each capture of a run, by host; a file that cannot be read counts as missing."""
    found: dict[str, bytes] = {}
    for capture in record.captures:
        if _PLAIN.match(capture.file):
            with suppress(OSError):
                found[capture.host] = (folder / capture.file).read_bytes()
    return found
