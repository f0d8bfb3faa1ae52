"""The SSH lab does what it says, seen with real ssh(1); whoever tests SSH hosts on it can rely on that."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.integration import leftovers
from tests.sshlab import lab as labs
from tests.sshlab.lab import SSHLab
from tests.sshlab.machine import PYTHONS

pytestmark = pytest.mark.namespaces
PATIENCE_S = 20.0


def ssh(lab, host, *words, user="ubuntu", **options):
    argv = ["ssh", "-F", str(lab.ssh_config), "-l", user, host, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False, **options)


def namespaces(lab):
    found = set()
    for machine in lab.machines.values():
        found |= {os.readlink(f"/proc/{machine.pid}/ns/{kind}") for kind in ("net", "pid", "mnt", "uts", "ipc")}
    return found


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def words_of_every_process():
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            yield Path(f"/proc/{entry}/cmdline").read_bytes().replace(bytes(1), b" ").decode(errors="replace")


def assert_nothing_left(folder, number, spaces, mounts):
    wait_until(lambda: not folder.exists(), f"{folder} is left")
    wait_until(lambda: not spaces & leftovers.namespaces(), "namespaces are left")
    wait_until(lambda: f"lab-{number}" not in {name for _index, name in socket.if_nameindex()}, "an interface is left")
    assert [words for words in words_of_every_process() if str(folder) in words] == []
    assert Path("/proc/self/mounts").read_text() == mounts


def test_ssh_gets_through_the_bastion(sshlab):
    lab = sshlab("line")
    told = ssh(lab, "romeo", "id -un; hostname; ping -c 1 -W 5 10.10.2.100; ping -c 1 -W 5 fd00:10:10:2::100")
    assert told.stdout.splitlines()[:2] == ["ubuntu", "romeo"]
    assert told.stdout.count(" 0% packet loss") == 2, told.stdout + told.stderr


def test_the_inventory_leads_to_the_same_machines(sshlab):
    lab = sshlab("line")
    inventory = yaml.safe_load(lab.inventory.read_text())["all"]
    assert list(inventory["hosts"]) == ["romeo", "router", "juliet"]
    common = inventory["vars"]["ansible_ssh_common_args"].split()
    for name, host in inventory["hosts"].items():
        argv = ["ssh", *common, "-i", inventory["vars"]["ansible_ssh_private_key_file"], f"ubuntu@{host['ansible_host']}", "hostname"]
        assert subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout == f"{name}\n"


def test_its_files_are_for_nobody_else(sshlab):
    assert sshlab("line").folder.stat().st_mode & 0o777 == 0o700


def test_only_the_bastion_leads_to_them(tmp_path):
    """In a network namespace of the test's own: it may have routes there, and even then the bastion does not forward."""
    folder = tmp_path / "lab"
    script = f"""
        cd {ROOT}; {sys.executable} -m tests.sshlab up --topology two-hosts --gateway --at {folder} >/dev/null || exit
        address=$(grep -o '198.18.*' {folder}/inventory.yaml | head -1); bastion=$(grep -o '198.19[.0-9]*' {folder}/ssh_config | head -1)
        ssh -F {folder}/ssh_config romeo echo through
        exec 3<>/dev/tcp/$address/22 && echo direct
        ip route add $address via $bastion
        timeout 1 bash -c "exec 3<>/dev/tcp/$address/22" && echo routed
        {sys.executable} -m tests.sshlab down --at {folder}
    """
    done = subprocess.run(["unshare", "--net", "bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "through\n", done.stderr
    assert "Network is unreachable" in done.stderr
    assert not folder.exists()


def test_machines_have_no_way_out(sshlab):
    lab = sshlab("two-hosts")
    assert "unreachable" in lab.machines["romeo"].run(["ping", "-c", "1", "-W", "1", "192.0.2.1"]).stderr


@pytest.mark.parametrize(
    ("user", "status", "word"),
    [("ubuntu", 0, "uid=0(root)"), ("admin", 1, "a password is required"), ("guest", 1, "a password is required")],
)
def test_who_may_do_what_without_a_password(sshlab, user, status, word):
    done = ssh(sshlab("line"), "romeo", "sudo -n id", user=user)
    assert (done.returncode, word in done.stdout + done.stderr) == (status, True)


def test_the_administrator_has_a_password_and_the_guest_no_rights(sshlab):
    lab = sshlab("line")
    for user, status in (("admin", 0), ("guest", 1)):
        argv = ["ssh", "-F", str(lab.ssh_config), "-l", user, "romeo", "sudo -S id -u"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, input=lab.admin_password + "\n", check=False)
        assert (done.returncode, done.stdout == "0\n") == (status, status == 0), done.stderr


def test_interfaces_have_other_names_than_the_topology_says(sshlab):
    lab = sshlab("two-hosts-mtu-1300")
    seen = [
        {link["ifname"]: link for link in json.loads(lab.machines[name].run(["ip", "-j", "link"]).stdout)} for name in ("romeo", "juliet")
    ]
    for links, name in zip(seen, ("romeo", "juliet"), strict=True):
        (nic,) = lab.machines[name].plan.nics
        assert (links[nic.name]["address"], links[nic.name]["mtu"]) == (nic.mac, 1300)
        assert not [link for link in links if link.startswith("eth")]
    assert set(seen[0]) != set(seen[1])


def test_offloads_are_those_of_a_new_interface(sshlab):
    machine = sshlab("line").machines["romeo"]
    assert "tcp-segmentation-offload: on" in machine.run(["ethtool", "-k", machine.plan.nics[0].name]).stdout


def test_nothing_done_leaves_nothing_changed(sshlab):
    lab = sshlab("line", admin_rules=True)
    before = {name: machine.state() for name, machine in lab.machines.items()}
    assert ssh(lab, "romeo", "sudo -n iptables -A OUTPUT -j ACCEPT && sudo -n iptables -D OUTPUT -j ACCEPT").returncode == 0
    assert [difference for name, machine in lab.machines.items() if (difference := before[name].difference(machine.state()))] == []


@pytest.mark.parametrize(
    ("part", "change", "back"),
    [
        ("iptables", "iptables -A OUTPUT -p tcp --dport 9 -j DROP", "iptables -D OUTPUT -p tcp --dport 9 -j DROP"),
        ("ip6tables", "ip6tables -N OURS", "ip6tables -X OURS"),
        ("nftables", "nft add table inet ours; nft add chain inet ours here", "nft delete table inet ours"),
        ("sysctls", "sysctl -qw net.ipv4.tcp_sack=0", "sysctl -qw net.ipv4.tcp_sack=1"),
        ("addresses", "ip address add 10.9.9.9/32 dev lo", "ip address del 10.9.9.9/32 dev lo"),
        ("routes", "ip route add unreachable 10.9.9.0/24", "ip route del unreachable 10.9.9.0/24"),
        ("rules", "ip rule add from 10.9.9.9 table 9", "ip rule del from 10.9.9.9 table 9"),
        ("qdiscs", "tc qdisc add dev lo root pfifo limit 9", "tc qdisc del dev lo root"),
        ("links", "ip link set lo mtu 1300", "ip link set lo mtu 65536"),
        ("offloads", "ethtool -K lo tso off", "ethtool -K lo tso on"),
        ("files", "touch /usr/share/ours", "rm /usr/share/ours"),
        ("files", "touch /run/ours", "rm /run/ours"),
        ("files", "chmod 600 /etc/services", "chmod 644 /etc/services"),
        ("processes", "sleep 1234 >/dev/null 2>&1 &", "pkill -x sleep"),
        ("mounts", "mount -t tmpfs ours /mnt", "umount /mnt"),
        ("name", "hostname other", "hostname juliet"),
    ],
)
def test_a_change_is_seen_and_its_undoing_too(sshlab, part, change, back):
    machine = sshlab("two-hosts").machines["juliet"]
    before = machine.state()
    done = machine.run(["bash", "-c", change])
    assert (done.returncode, done.stderr) == (0, "")
    changed = before.difference(machine.state())
    assert machine.run(["bash", "-c", back]).returncode == 0
    assert f"juliet: {part}\n" in changed
    machine.wait_for_state(before)


def test_a_full_disk_is_one_machines_alone(sshlab):
    romeo, juliet = (sshlab("two-hosts").machines[name] for name in ("romeo", "juliet"))
    for path in ("/tmp", "/run", "/home/ubuntu", "/var/tmp", "/root", "/"):
        assert romeo.fill_disk(path) > 1 << 20
        assert "No space left" in romeo.run(["bash", "-c", f"echo more > {path}/more"]).stderr
        assert juliet.run(["bash", "-c", f"echo more > {path}/more && rm {path}/more"]).returncode == 0
        romeo.free_disk(path)
        assert romeo.run(["bash", "-c", f"echo more > {path}/more && rm {path}/more"]).returncode == 0


def test_a_process_is_frozen_thawed_and_killed(sshlab):
    machine, other = (sshlab("two-hosts").machines[name] for name in ("romeo", "juliet"))
    for each in (machine, other):
        each.run(["bash", "-c", "sleep 4321 >/dev/null 2>&1 &"])
    (frozen,) = machine.freeze("sleep 4321")
    wait_until(lambda: machine.processes("sleep 4321")[0].state == "T", "it is not stopped")
    assert [one.state for one in other.processes("sleep 4321")] == ["S"]
    machine.thaw("sleep 4321")
    wait_until(lambda: machine.processes("sleep 4321")[0].state == "S", "it is still stopped")
    machine.kill(frozen.pid)
    machine.wait_for_processes("sleep 4321", gone=True)
    (alive,) = other.processes("sleep 4321")
    other.kill(alive.pid)
    other.wait_for_processes("sleep 4321", gone=True)


def test_a_cut_connection_is_silent_and_lives_on_when_it_is_mended(sshlab):
    lab = sshlab("two-hosts")
    argv = ["ssh", "-F", str(lab.ssh_config), "romeo", "while read -r line; do echo $line; done"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        session.stdin.write("one\n")
        session.stdin.flush()
        assert session.stdout.readline() == "one\n"
        lab.cut("romeo")
        session.stdin.write("two\n")
        session.stdin.flush()
        fresh = ssh(lab, "romeo", "-o", "ConnectTimeout=1", "true")
        assert fresh.returncode == 255
        assert ssh(lab, "juliet", "true").returncode == 0
        assert session.poll() is None
        lab.mend("romeo")
        assert session.stdout.readline() == "two\n"
        session.stdin.close()
    assert ssh(lab, "romeo", "true").returncode == 0


def test_the_bastion_dies_and_comes_back(sshlab):
    lab = sshlab("two-hosts")
    argv = ["ssh", "-F", str(lab.ssh_config), "romeo", "echo here; cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as session:
        assert session.stdout.readline() == "here\n"
        lab.kill_bastion()
        assert session.wait(timeout=PATIENCE_S) == 255
    assert ssh(lab, "romeo", "true").returncode == 255
    lab.restart_bastion()
    assert ssh(lab, "romeo", "true").returncode == 0


def test_nothing_of_a_lab_is_left(tmp_path):
    mounts = Path("/proc/self/mounts").read_text()
    lab = SSHLab("line", at=tmp_path / "lab")
    lab.up()
    folder, number, spaces = lab.folder, lab.blueprints.number, namespaces(lab)
    assert {f"lab-{number}"} <= {name for _index, name in socket.if_nameindex()}
    lab.down()
    lab.down()
    assert_nothing_left(folder, number, spaces, mounts)


@pytest.mark.parametrize("whom", ["keeper", "hub"])
def test_nothing_is_left_when_its_keeper_is_killed(tmp_path, whom):
    mounts = Path("/proc/self/mounts").read_text()
    lab = SSHLab("two-hosts", at=tmp_path / "lab", detached=True)
    lab.up()
    folder, number, spaces = lab.folder, lab.blueprints.number, namespaces(lab)
    os.kill(json.loads((folder / "lab.json").read_text())[whom], signal.SIGKILL)
    lab._keeper.wait(PATIENCE_S)
    assert_nothing_left(folder, number, spaces, mounts)


def test_a_lab_goes_with_the_test_that_began_it(tmp_path):
    text = f"from tests.sshlab.lab import SSHLab; import os, signal; lab = SSHLab('two-hosts', at={str(tmp_path / 'lab')!r}); lab.up()\n"
    text += "print(lab.blueprints.number, *(m.pid for m in lab.machines.values()), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    mounts = Path("/proc/self/mounts").read_text()
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    number, *_pids = map(int, done.stdout.split())
    assert_nothing_left(tmp_path / "lab", number, set(), mounts)


def test_two_labs_side_by_side(tmp_path):
    with SSHLab("two-hosts", at=tmp_path / "one") as one, SSHLab("two-hosts", at=tmp_path / "two") as two:
        assert one.blueprints.number != two.blueprints.number
        one.machines["romeo"].run(["touch", "/tmp/of-one"])
        assert [ssh(lab, "romeo", "ls /tmp").stdout for lab in (one, two)] == ["of-one\n", ""]


def test_bare_machines_have_interfaces_and_nothing_on_them(sshlab):
    lab = sshlab("line", bare=True)
    inventory = yaml.safe_load(lab.inventory.read_text())["all"]["hosts"]
    for host in lab.blueprints.machines:
        machine = lab.machines[host.name]
        links = {link["ifname"]: link for link in json.loads(machine.run(["ip", "-j", "address"]).stdout)}
        for nic in host.nics:
            assert (links[nic.name]["address"], links[nic.name]["operstate"], links[nic.name]["addr_info"]) == (nic.mac, "DOWN", [])
            assert inventory[host.name]["macs"][nic.network] == nic.mac
        assert machine.run(["sysctl", "-n", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]).stdout.split() == ["0", "0"]
        assert "10.10." not in machine.run(["ip", "route"]).stdout


def test_a_gateway_takes_the_default_route(sshlab):
    lab = sshlab("line", gateway=True)
    routes = lab.machines["romeo"].run(["ip", "route"]).stdout
    assert re.findall(r"^default via 198\.18\.\d+\.1 dev ens3 proto dhcp metric 100", routes, flags=re.MULTILINE)
    assert "10.10.2.0/24 via 10.10.1.1" in routes
    assert ssh(lab, "romeo", "ping -c 1 -W 5 10.10.2.100").returncode == 0


def test_a_number_that_somebody_took_in_the_same_moment(tmp_path, monkeypatch):
    with SSHLab("two-hosts", at=tmp_path / "one") as one:
        numbers = iter([one.blueprints.number, labs._free_number()])
        monkeypatch.setattr(labs, "_free_number", lambda: next(numbers))
        with SSHLab("two-hosts", at=tmp_path / "two") as two:
            assert ssh(two, "romeo", "true").returncode == 0
        assert ssh(one, "romeo", "true").returncode == 0


def test_monotonic_time_is_each_machines_own(sshlab):
    lab = sshlab("two-hosts", clocks=True)
    ask = "python3 -c 'import time; print(int(time.monotonic()), int(time.time()))'"
    for name in ("romeo", "juliet"):
        monotonic, wall = map(int, ssh(lab, name, ask).stdout.split())
        assert abs(monotonic - time.monotonic() - lab.machines[name].plan.ahead_s) < 60
        assert abs(wall - time.time()) < 60
        assert abs(int(lab.machines[name].run(["bash", "-c", ask]).stdout.split()[0]) - monotonic) < 60


def test_rules_of_an_administrator_are_there_from_the_beginning(sshlab):
    assert (
        "-A OUTPUT -d 169.254.0.0/16 -j InstanceServices"
        in sshlab("line", admin_rules=True).machines["juliet"].run(["iptables-save"]).stdout
    )


def test_a_machine_sees_nothing_of_ours(sshlab):
    lab = sshlab("line")
    seen = lab.machines["romeo"].run(["bash", "-c", "ls -A /tmp /opt /mnt; ls -d /work; cat /etc/passwd; ps -A -o pid="]).stdout
    assert "/work" not in seen
    assert "student" not in seen
    assert lab.machines["romeo"].processes("python") == []
    assert {int(number) for number in re.findall(r"^ *(\d+)$", seen, flags=re.MULTILINE)} & {os.getpid()} == set()
    lab.machines["romeo"].run(["bash", "-c", "echo mine > /etc/motd; echo mine > /usr/bin/mine"])
    assert "mine" not in Path("/etc/motd").read_text()
    assert not Path("/usr/bin/mine").exists()


def test_other_pythons_are_there_for_everybody(sshlab):
    if not Path("/root/.pyenv/versions").is_dir():
        pytest.skip("this machine has no pyenv")
    done = ssh(sshlab("line"), "romeo", f"{PYTHONS}/3.8.*/bin/python3 -c 'import ssl, json, sys; print(sys.version_info[:2])'")
    assert done.stdout == "(3, 8)\n"


def test_many_machines(tmp_path):
    with SSHLab(hosts=30, at=tmp_path / "lab") as lab:
        assert ssh(lab, "h30", "ping -c 1 -W 5 10.10.0.1 >/dev/null && hostname").stdout == "h30\n"


def test_a_person_brings_it_up_looks_and_takes_it_down(tmp_path):
    def said(*words):
        argv = [sys.executable, "-m", "tests.sshlab", *words]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    at = ["--at", str(tmp_path / "lab")]
    assert f"ssh -F {tmp_path}/lab/ssh_config romeo" in said("up", "--topology", "two-hosts", *at).stdout
    assert f"{tmp_path}/lab  two-hosts  keeper" in said("list").stdout
    assert said("run", *at, "juliet", "--", "hostname").stdout == "juliet\n"
    assert said("run", *at, "mercutio", "--", "hostname").stderr == "the lab has no machine mercutio, only bastion, romeo, juliet\n"
    assert [said("down", *at).returncode, said("down", *at).returncode] == [0, 0]
    assert not (tmp_path / "lab").exists()


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    text = "import os; from tests.sshlab import lab; os.seteuid(65534); print(lab.why_not())"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "needs root: sudo python -m tests.sshlab" in done.stdout
    monkeypatch.setattr(labs, "_PATH", str(tmp_path))
    assert "apt-get install iproute2 openssh-client openssh-server sudo" in labs.why_not()


def test_a_topology_that_is_not_there(tmp_path):
    with pytest.raises(labs.LabError, match="there is no topology nowhere"):
        SSHLab("nowhere", at=tmp_path / "lab").up()
    assert not (tmp_path / "lab").exists()
