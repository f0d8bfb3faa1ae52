"""known_hosts lines -> who holds which key (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from orchestrator.connectors import known_hosts as known
from orchestrator.connectors.ssh.hostkeys import pins

ONE, TWO = b"\x00\x00\x00\x0bssh-ed25519one", b"\x00\x00\x00\x0bssh-ed25519two"


def line(names: str, blob: bytes = ONE, marker: str = "") -> str:
    return f"{marker}{names} ssh-ed25519 {base64.b64encode(blob).decode()} comment"


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("names", "name", "meant"),
    [
        ("node7", "node7", True),
        ("node7,10.0.0.7", "10.0.0.7", True),
        ("Node7", "node7", True),
        ("node7", "node70", False),
        ("*.example.org", "node7.example.org", True),
        ("node?", "node7", True),
        ("*.example.org,!bad.example.org", "bad.example.org", False),
        ("[node7]:2222", "[node7]:2222", True),
        ("[node7]:2222", "n:2222", False),
        (hashed("node7"), "node7", True),
        (hashed("node7"), "node8", False),
        ("|1|broken", "node7", False),
        ("|1|%%%|a", "node7", False),
    ],
)
def test_whom_a_line_means(names: str, name: str, *, meant: bool) -> None:
    assert known.stands_for(names, name) is meant


@pytest.mark.parametrize(
    ("host", "port", "alias", "name"),
    [("Node7", 22, "", "node7"), ("Node7", 2222, "", "[node7]:2222"), ("node7", 2222, "Other", "Other"), ("fe80::1", 22, "", "fe80::1")],
)
def test_how_a_server_is_called(host: str, port: int, alias: str, name: str) -> None:
    assert known.name_of(host, port, alias) == name


@pytest.mark.parametrize(
    "text", ["", "# node7 ssh-ed25519 AAAA", "node7 ssh-ed25519", "@unheard-of node7 ssh-ed25519 AAAA", "node7 ssh-ed25519 !!"]
)
def test_what_is_no_entry_is_passed_over(text: str) -> None:
    assert known.entry_of("file", 1, text) is None


def test_what_the_files_hold_of_a_server_by_file_and_line(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(f"# ours\n\n{line('[node7]:2222')}\n{line('node7', TWO)}\n")
    second.write_text("".join(f"{line('*', TWO, marker)}\n" for marker in ("@cert-authority ", "@revoked ")))
    held = known.held(known.read([str(first), str(tmp_path / "missing"), str(second)]), "node7", 2222)
    assert [(entry.path, entry.line, entry.blob) for entry in held.keys] == [(str(first), 3, ONE)]
    assert [(entry.path, entry.line) for entry in held.elsewhere] == [(str(first), 4)]
    assert [entry.line for entry in (*held.authorities, *held.revoked)] == [1, 2]


def test_a_key_that_is_revoked_for_the_host_is_revoked_on_every_port(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"{line('node7')}\n{line('node7', ONE, '@revoked ')}\n{line('node7', TWO, '@cert-authority ')}\n")
    held = known.held(known.read([str(path)]), "node7", 2222)
    assert ([entry.line for entry in held.revoked], [entry.line for entry in held.elsewhere], held.authorities) == ([2], [1], ())
    assert not held.vouches(ONE)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        known.read([str(tmp_path)])


def test_the_fingerprint_of_a_key() -> None:
    assert known.fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


def pin(path: Path, *wanted: tuple[str, bytes], replace: bool = False) -> int:
    return pins.pin(str(path), [pins.Pin(name, "ssh-ed25519", blob) for name, blob in wanted], replace=replace)


def written(name: str, blob: bytes) -> str:
    return line(name, blob).removesuffix(" comment")


def test_lines_of_others_stay_and_nothing_is_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    before = f"# ours\n{line('node1,node2', ONE)}\nwhat nobody understands"
    path.write_text(before)
    assert pin(path, ("node1", ONE), ("node3", TWO), ("node3", TWO)) == 1
    assert path.read_text() == f"{before}\n{written('node3', TWO)}\n"
    assert pin(path, ("node3", TWO)) == 0


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, path = tmp_path / "real", tmp_path / "known_hosts"
    path.symlink_to(real)
    pin(path, ("node1", ONE))
    assert path.is_symlink()
    assert real.read_text() == f"{written('node1', ONE)}\n"


def test_replacing_takes_the_name_from_other_keys_only(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    kept = [line("node1,node2", TWO), line("node1", TWO, "@revoked "), line("*", ONE), "# node1"]
    path.write_text("\n".join([line("node1,node3"), line("node1"), line(hashed("node1")), *kept]) + "\n")
    assert pin(path, ("node1", TWO), replace=True) == 0
    assert path.read_text().splitlines() == [line("node3"), *kept]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("old\n")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pins.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        pin(path, ("node1", ONE))
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("known_hosts", "old\n")]
