"""What several captures saw of the same connection becomes one :class:`Connection`.

Knows four-tuples, ISNs and times, no states. The surprising fact: a four-tuple may be used again, so two sightings are one
connection only if they share an ISN, or know none in common (a server may choose a second one for the same SYN).
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.analysis.wire.flows import Flow, Track
from orchestrator.model.evidence import Connection


def connections(tracks: Iterable[Track]) -> tuple[Connection, ...]:
    """Every connection (and UDP flow) that some capture saw, in order of its first segment."""
    found: dict[tuple[str, frozenset[str]], list[_Sighting]] = {}
    ordered: list[_Sighting] = []
    for track in sorted(tracks, key=_first_seen):
        ends = frozenset((track.client.end, track.client.back.end))
        same = found.setdefault((track.protocol, ends), [])
        known = next((sighting for sighting in reversed(same) if sighting.fits(track)), None)
        if known is None:
            known = _Sighting(track)
            same.append(known)
            ordered.append(known)
        known.add(track)
    return tuple(sighting.connection() for sighting in ordered)


def _first_seen(track: Track) -> tuple[bool, int]:
    """Sort those whose SYN was seen first: they say who the client is."""
    return not track.begins_with_syn and track.protocol == "tcp", track.first_ns


class _Sighting:
    """One connection as far as it is known yet: its opener and the ISN of each end."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.isns: dict[str, int] = {}

    def fits(self, track: Track) -> bool:
        """Whether ``track`` may be the same connection: an ISN that both know is the same, or its capture began too late to know any."""
        shared = [self.isns[end] == isn for end, isn in _isns(track) if end in self.isns]
        return any(shared) if shared else not track.begins_with_syn

    def add(self, track: Track) -> None:
        """Take in what ``track`` knows."""
        for end, isn in _isns(track):
            self.isns.setdefault(end, isn)

    def connection(self) -> Connection:
        """All that is known of it."""
        client: Flow = self.track.client
        return Connection(
            protocol=self.track.protocol,
            client=client.end,
            server=client.back.end,
            client_host=client.source_host,
            server_host=client.destination_host,
            client_isn=self.isns.get(client.end),
            server_isn=self.isns.get(client.back.end),
        )


def _isns(track: Track) -> list[tuple[str, int]]:
    """The ends of ``track`` whose ISN is known, the opener first."""
    sides = ((track.client.end, track.client_isn), (track.client.back.end, track.server_isn))
    return [(end, isn) for end, isn in sides if isn is not None]
