"""One machine of a lab, from inside: process 1 makes its file systems, users and network, starts sshd, reaps, and ends all at SIGTERM.

Its root is this machine's, seen through an overlay whose upper layer is in memory: it can write anywhere, and nothing of ours changes. What
is not of an operating system (``/work``, ``/opt``, homes) is not seen. The surprising fact: everything that must differ (users, host keys,
sudo's rules) is written into the upper layer *before* the overlay is mounted, which is how nothing has to be copied or bound.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings.idna  # noqa: F401  sockets ask for it at their first address, when Python's own files are out of sight
import os
import signal
import socket
import stat
import subprocess
import time
from typing import Any, NoReturn

from orchestrator.testbeds import namespaces as kernel

MS_REC, MS_PRIVATE, MS_BIND, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RDONLY, MS_REMOUNT = 0x4000, 0x40000, 0x1000, 2, 4, 8, 1, 0x20
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USERS = {"ubuntu": 1000, "admin": 1001, "guest": 1002}
TMPFS = {"run": "mode=755", "tmp": "mode=1777", "var/tmp": "mode=1777", "home": "mode=755", "root": "mode=700"}
PYTHONS = "/root/.pyenv/versions"
"""A machine has the interpreters of this one's pyenv, if there are any: where they are here, because they look for their library there."""
_SYSTEM = {"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc", "root", "run", "sbin"}
_SYSTEM |= {"srv", "sys", "tmp", "usr", "var"}
_EMPTY = ("opt", "mnt", "media", "srv", "var/spool/cron", "var/mail", "etc/ssh", "etc/sudoers.d", "etc/update-motd.d")
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_BANNERS_S = 30.0
_SSHD_CONFIG = """\
# As Debian ships it, with what a cloud image adds.
HostKey /etc/ssh/ssh_host_ed25519_key
KbdInteractiveAuthentication no
PasswordAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
"""
_PAM_SSHD = """\
@include common-auth
account required pam_nologin.so
@include common-account
session required pam_loginuid.so
session optional pam_keyinit.so force revoke
session required pam_permit.so
session required pam_unix.so
session required pam_limits.so
session required pam_env.so
@include common-password
"""
_SUDOERS = """\
Defaults env_reset
Defaults mail_badpass
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults use_pty
root ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
"""
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def be(folder: str, one: dict[str, Any], wanted: dict[str, Any], line: socket.socket) -> NoReturn:
    """Become the machine, and never return; the hub hears ``ready``, says ``go`` and hears ``up`` (or ``!`` and why not)."""
    try:
        signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        os.setsid()
        _call_itself("init", b"/sbin/init")
        _separate(one)
        log = os.open(f"{folder}/log/{one['name']}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _mount_all(f"{folder}/disks/{one['name']}", f"{folder}/keys", one, wanted)
        line.sendall(b"ready\n")
        if line.recv(3) != b"go\n":
            os._exit(1)
        sshd = _begin(one, log)
        line.sendall(b"up\n")
        line.close()
        _reap(signals, sshd, log)
    except Exception as error:  # noqa: BLE001  whatever it was, the starter is told
        with contextlib.suppress(OSError):
            line.sendall(b"!" + f"{one['name']}: {type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
            line.recv(1)
    finally:
        os._exit(1)


def _call_itself(name: str, words: bytes) -> None:
    """What ps(1) shows of this process, so that nobody who looks for python finds it: our own arguments, overwritten where they lie."""
    with open("/proc/self/stat", encoding="ascii") as file:
        begin, end = map(int, file.read().rpartition(")")[2].split()[45:47])  # arg_start and arg_end of proc(5)
    if end - begin > len(words):
        ctypes.memmove(begin, words.ljust(end - begin, bytes(1)), end - begin)
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def _separate(one: dict[str, Any]) -> None:
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC, "a machine's namespaces")
    kernel.mount("none", "/", "", MS_REC | MS_PRIVATE)
    socket.sethostname(one["name"])
    for key, value in one["sysctls"].items():
        with contextlib.suppress(FileNotFoundError), open("/proc/sys/" + key.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(value)


def _mount_all(disk: str, keys: str, one: dict[str, Any], wanted: dict[str, Any]) -> None:
    upper, work, root = (f"{disk}/{name}" for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        os.mkdir(path, 0o755)
    _write_upper(upper, keys, one, wanted)
    kernel.mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}")
    for name, mode in TMPFS.items():
        kernel.mount("tmpfs", f"{root}/{name}", "tmpfs", MS_NOSUID | MS_NODEV, f"{mode},size={wanted['disk_mb']}m")
    if os.path.isdir(PYTHONS):
        os.chmod(f"{root}/root", 0o711)
        os.makedirs(root + PYTHONS)
        kernel.mount(PYTHONS, root + PYTHONS, "", MS_BIND)
        kernel.mount("", root + PYTHONS, "", MS_BIND | MS_REMOUNT | MS_RDONLY)
    kernel.mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    kernel.mount("sysfs", f"{root}/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _make_devices(f"{root}/dev")
    _make_homes(root, keys)
    _move_into(root)


def _write_upper(upper: str, keys: str, one: dict[str, Any], wanted: dict[str, Any]) -> None:
    for path in ("etc", "etc/pam.d", "var", "var/spool"):
        os.mkdir(f"{upper}/{path}", 0o755)
    for path in _EMPTY:
        os.mkdir(f"{upper}/{path}", 0o755)
        os.setxattr(f"{upper}/{path}", "trusted.overlay.opaque", b"y")
    for name in set(os.listdir("/")) - _SYSTEM:
        os.mknod(f"{upper}/{name}", stat.S_IFCHR, 0)  # a whiteout: not there
    etc = f"{upper}/etc"
    _write_users(etc, wanted["hash"])
    with open(f"{keys}/{one['name']}", encoding="ascii") as file:
        _write(f"{etc}/ssh/ssh_host_ed25519_key", file.read(), 0o600)
    with open(f"{keys}/{one['name']}.pub", encoding="ascii") as file:
        _write(f"{etc}/ssh/ssh_host_ed25519_key.pub", file.read(), 0o644)
    _write(f"{etc}/ssh/sshd_config", _SSHD_CONFIG, 0o644)
    _write(f"{etc}/pam.d/sshd", _PAM_SSHD, 0o644)
    _write(f"{etc}/sudoers", _SUDOERS, 0o440)
    _write(f"{etc}/sudoers.d/90-cloud-init-users", "ubuntu ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    _write(f"{etc}/sudoers.d/50-administrators", "admin ALL=(ALL:ALL) ALL\n", 0o440)
    _write(f"{etc}/hosts", one["hosts"], 0o644)
    _write(f"{etc}/hostname", one["name"] + "\n", 0o644)
    _write(f"{etc}/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n", 0o644)
    _write(f"{etc}/environment", "", 0o644)
    _write(f"{etc}/resolv.conf", "", 0o644)


def _write_users(etc: str, hashed: str) -> None:
    """The system's own users, and ours instead of its people."""
    passwd = [line for line in _lines("/etc/passwd") if not 1000 <= int(line.split(":")[2]) < 60000]
    group = [line for line in _lines("/etc/group") if not 1000 <= int(line.split(":")[2]) < 60000]
    names = [line.split(":")[0] for line in passwd]
    passwd += [f"{name}:x:{number}:{number}::/home/{name}:/bin/bash" for name, number in USERS.items()]
    group += [f"{name}:x:{number}:" for name, number in USERS.items()]
    secrets = dict.fromkeys([*names, *USERS], "*") | {"admin": hashed}
    _write(f"{etc}/passwd", "\n".join(passwd) + "\n", 0o644)
    _write(f"{etc}/group", "\n".join(group) + "\n", 0o644)
    _write(f"{etc}/shadow", "".join(f"{name}:{secret}:19000:0:99999:7:::\n" for name, secret in secrets.items()), 0o640)


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line.count(":") > 2]


def _write(path: str, text: str, mode: int) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def _make_devices(dev: str) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        os.symlink(f"/proc/self/{target}", f"{dev}/{name}")
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    os.mkdir(f"{dev}/pts")
    kernel.mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,mode=620,ptmxmode=666,gid=5")
    os.mkdir(f"{dev}/shm")
    kernel.mount("tmpfs", f"{dev}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=16m")


def _make_homes(root: str, keys: str) -> None:
    with open(f"{keys}/user.pub", encoding="ascii") as file:
        key = file.read()
    for name, number in USERS.items():
        home = f"{root}/home/{name}"
        os.makedirs(f"{home}/.ssh", 0o700)
        _write(f"{home}/.ssh/authorized_keys", key, 0o600)
        for path in (home, f"{home}/.ssh", f"{home}/.ssh/authorized_keys"):
            os.chown(path, number, number)
    os.mkdir(f"{root}/run/sshd", 0o755)
    os.mkdir(f"{root}/run/mount", 0o755)  # mount(8) would make it
    os.mkdir(f"{root}/run/lock")
    os.chmod(f"{root}/run/lock", 0o1777)


def _move_into(root: str) -> None:
    """The way of pivot_root(2) that needs no folder for the old root: both are stacked at ``/``, then the old one is detached."""
    os.chdir(root)
    if _libc.pivot_root(b".", b".") != 0 or _libc.umount2(b".", 2) != 0:
        raise OSError(ctypes.get_errno(), f"pivot_root: {os.strerror(ctypes.get_errno())}")
    os.chdir("/")


def _begin(one: dict[str, Any], log: int) -> int:
    os.environ.clear()
    os.environ.update(PATH=PATH, LANG="C.UTF-8")
    _feed(["ip", "-batch", "-"], "\n".join(one["lines"]))
    if one["rules"]:
        _feed(["iptables-restore"], one["rules"])
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)
    sshd = _start_sshd(log)
    end = time.monotonic() + _BANNERS_S
    for address in ["127.0.0.1", *one["awaits"]]:
        _wait_for_banner(address, end)
    return sshd


def _feed(argv: list[str], text: str) -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _start_sshd(log: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, log, 2)]
    argv = ["/usr/sbin/sshd", "-D", "-e"]
    return os.posix_spawn(argv[0], argv, {"PATH": PATH, "LANG": "C.UTF-8"}, file_actions=actions, setsigmask=())


def _wait_for_banner(address: str, end: float) -> None:
    """Until an SSH server says what RFC 4253, 4.2, makes it say first."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=max(0.05, end - time.monotonic())) as sock:
            if sock.recv(8).startswith(b"SSH-"):
                return
        if time.monotonic() > end:
            raise OSError(f"no SSH server answers at {address}")
        time.sleep(0.003)


def _reap(signals: set[signal.Signals], sshd: int, log: int) -> None:
    """SIGHUP starts sshd again where it has ended; SIGTERM ends this machine, and with process 1 the kernel kills the others."""
    running = True
    while True:
        number = signal.sigwait(signals)
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                running = running and pid != sshd
        if number == signal.SIGHUP and not running:
            sshd, running = _start_sshd(log), True
        elif number == signal.SIGTERM:
            os._exit(0)
