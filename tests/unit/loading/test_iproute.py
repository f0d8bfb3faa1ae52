"""Words of ip(8): which are taken, and what is said of those whose change nobody could take back."""

import pytest

from orchestrator.loading.notation.iproute import ip_words, route_words
from orchestrator.loading.notation.misread import Misread


@pytest.mark.parametrize(
    "text",
    [
        "add 10.9.0.0/16 via 10.10.0.101",
        "a 10.9.0.1 dev eth1 metric 5",
        "append 10.9.0.0/16 via ${juliet}",
        "replace default via inet6 fd00::1",
        "change to 2001:db8::/32 dev eth1",
        "del default",
        "delete blackhole 10.9.0.0/16",
        "add unreachable ${juliet}/32 table 77",
    ],
)
def test_routes(text):
    assert route_words(text) == ("route", *text.split())
    assert ip_words(f"-6 r {text}") == ("-6", "r", *text.split())


@pytest.mark.parametrize(
    "text",
    [
        "link set eth1 down",
        "l s dev eth1 up",
        "link set eth1 mtu 1280",
        "link set eth1 mtu ${mtu}",
        "address add 10.10.0.7/24 dev eth1",
        "addr del 10.10.0.7 dev eth1",
        "-6 a a local fd00::7/64 dev eth1 nodad",
    ],
)
def test_addresses_and_links(text):
    assert ip_words(text) == tuple(text.split())


CAN = "only what can be taken back is done: route add, append"


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        (route_words, "ip route add default", "leave out 'ip': these are the words behind 'ip route'"),
        (route_words, "-6 add default via fd00::1", "leave out '-6'"),
        (route_words, "flush table main", f"'route flush' cannot stand here: {CAN}"),
        (route_words, "add", "a route says where to"),
        (route_words, "add blackhole", "a route says where to"),
        (route_words, "add to", "a route says where to"),
        (route_words, "add 10.9.0.0/33 dev eth1", "'10.9.0.0/33' is no prefix: behind the '/' stands its length, at most 32"),
        (route_words, "add fd00::/129 dev eth1", "at most 128"),
        (route_words, "add 10.9.0.0/x dev eth1", "is no prefix"),
        (route_words, "add juliet via 10.0.0.1", "'juliet' is no address: write one, or ${juliet} for a host's"),
        (route_words, "add default via juliet", "'juliet' is no address"),
        (route_words, "add default via", "'via' at the end: a gateway is missing"),
        (route_words, "add default nexthop via 10.0.0.1", "'nexthop' cannot stand here"),
        (ip_words, "ip link set eth1 down", "leave out 'ip': these are the words behind ip"),
        (ip_words, "-6", "'' cannot stand here"),
        (ip_words, "rule add from 10.0.0.1 table 7", f"'rule' cannot stand here: {CAN}"),
        (ip_words, "route", f"'route' alone cannot stand here: {CAN}"),
        (ip_words, "link del eth1", f"'link del' cannot stand here: {CAN}"),
        (ip_words, "link set eth1 name eth9", "of a link one thing is set"),
        (ip_words, "link set eth1 mtu 1300 up", "of a link one thing is set"),
        (ip_words, "link set eth1 mtu 576", "an MTU is between 1280, below which IPv6 leaves the link for good, and 65535, not '576'"),
        (ip_words, "link set eth1 mtu 65536", "not '65536'"),
        (ip_words, "address flush dev eth1", f"'address flush' cannot stand here: {CAN}"),
        (ip_words, "address add 10.10.0.7/24", "an address has a prefix and an interface"),
        (ip_words, "address add 10.10.0.7/24 dev", "an address has a prefix and an interface"),
        (ip_words, "address add dev eth1", "an address has a prefix and an interface"),
        (ip_words, "address add 10.0.0/24 dev eth1", "'10.0.0' is no address"),
        (ip_words, "address add 10.0.0.1 peer 10.0.0.2 dev eth1", "'peer' cannot stand here"),
    ],
)
def test_what_is_refused(read, text, why):
    with pytest.raises(Misread) as caught:
        read(text)
    assert why in str(caught.value)
