"""Which segments belong together: four-tuples used again, both sides opening, strays, and sightings by several captures."""


def texts(run, talk, host="romeo"):
    return [one.text.partition(" ")[2].partition(" win")[0][2:] for one in run.evidence(talk.captures(host)).segments]


def connections(run, captures):
    return [(one.client_host, one.client_isn, one.server_isn) for one in run.evidence(captures).connections]


def test_a_new_syn_on_an_old_four_tuple_begins_a_new_connection(run, talk):
    talk.open().say(2, "romeo", "F.", 1, 1).say(2.1, "juliet", "F.", 1, 2).say(2.2, "romeo", ".", 2, 2)
    talk.isn = {"romeo": 70_000, "juliet": 90_000}
    talk.open(5)
    assert connections(run, talk.captures()) == [("romeo", 1000, 5000), ("romeo", 70_000, 90_000)]
    assert texts(run, talk)[-3:] == ["juliet.4000 S 0:0(0)", "romeo.40000 S. 0:0(0) ack 1", "juliet.4000 . 1:1(0) ack 1"]


def test_a_retransmitted_syn_is_the_same_connection(run, talk):
    talk.say(1, "romeo", "S").say(1001, "romeo", "S").say(1001.1, "juliet", "S.", 0, 1)
    assert connections(run, talk.captures()) == [("romeo", 1000, 5000)]


def test_after_a_reset_any_syn_begins_a_new_connection(run, talk):
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    talk.isn["romeo"] = 2000
    talk.say(2, "romeo", "S").say(2.1, "juliet", "R.", -5000, 1).say(3, "juliet", "S")
    assert connections(run, talk.captures()) == [("romeo", 1000, None), ("romeo", 2000, None), ("juliet", 5000, None)]


def test_both_sides_open_one_connection(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(1, "juliet", "S", seen=["juliet"])
    talk.say(1.1, "juliet", "S", seen=["romeo"]).say(1.1, "romeo", "S", seen=["juliet"])
    talk.say(1.2, "romeo", "S.", 0, 1).say(1.2, "juliet", "S.", 0, 1)
    assert len(connections(run, talk.captures())) == 1


def test_a_stray_syn_that_is_challenged_changes_no_numbers(run, talk):
    talk.open()
    talk.isn["romeo"] = 900_000
    talk.say(2, "romeo", "S")
    talk.isn["romeo"] = 1000
    talk.say(2.1, "juliet", ".", 1, 1).say(3, "romeo", "P.", 1, 1, b"abc").say(3.1, "juliet", ".", 1, 4)
    assert texts(run, talk)[-4:] == [
        "juliet.4000 S 0:0(0)",
        "romeo.40000 . 1:1(0) ack 1",
        "juliet.4000 P. 1:4(3) ack 1",
        "romeo.40000 . 1:1(0) ack 4",
    ]


def test_a_half_open_connection_is_found_out_and_opened_anew(run, talk):
    talk.open()
    talk.isn["romeo"] = 900_000  # romeo has forgotten
    talk.say(2, "romeo", "S")
    talk.isn["romeo"] = 1000
    talk.say(2.1, "juliet", ".", 1, 1).say(2.2, "romeo", "R", 1)
    talk.isn = {"romeo": 900_000, "juliet": 7000}
    talk.say(3, "romeo", "S").say(3.1, "juliet", "S.", 0, 1).say(3.2, "romeo", ".", 1, 1)
    assert texts(run, talk)[4:] == [
        "romeo.40000 . 1:1(0) ack 1",
        "juliet.4000 R 1:1(0)",
        "juliet.4000 S 0:0(0)",
        "romeo.40000 S. 0:0(0) ack 1",
        "juliet.4000 . 1:1(0) ack 1",
    ]
    assert connections(run, talk.captures("romeo")) == [("romeo", 1000, 5000), ("romeo", 900_000, 7000)]
    assert len(run.evidence(talk.captures("romeo")).histories) == 2  # the SYN that was sent twice is one connection's


def test_a_refusal_in_mid_connection_belongs_to_the_new_one(run, talk):
    talk.open()
    talk.isn["romeo"] = 900_000
    talk.say(2, "romeo", "S").say(2.1, "juliet", "R.", -5000, 1)
    assert texts(run, talk)[-1] == "romeo.40000 R. 0:0(0) ack 1"


def test_captures_that_began_late_join_what_others_saw_begin(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(1.1, "juliet", "S.", 0, 1, seen=["romeo"]).say(2, "romeo", "P.", 1, 1, b"x")
    found = run.evidence(talk.captures()).connections
    assert [(one.client, one.server, one.client_isn) for one in found] == [("10.10.0.100:40000", "10.10.0.101:4000", 1000)]


def test_who_sent_the_syn_opened_it_though_another_clock_is_behind(run, talk):
    talk.say(2, "juliet", "P.", 1, 1, b"x", seen=["juliet"])
    talk.say(5, "romeo", "S", seen=["romeo"]).say(5.1, "juliet", "S.", 0, 1, seen=["romeo"])
    assert connections(run, talk.captures()) == [("romeo", 1000, 5000)]


def test_udp_is_one_flow(run, wire):
    there = wire.ethernet(wire.ipv4(wire.udp(b"x"), protocol=17))
    back = wire.ethernet(wire.ipv4(wire.udp(b"y", (4000, 40000)), wire.JULIET, wire.ROMEO, protocol=17))
    data = wire.pcap((0, there), (1, back), (2, there))
    (flow,) = run.evidence({"romeo": data, "juliet": data}).connections
    assert (flow.protocol, flow.client_host, flow.client_isn) == ("udp", "romeo", None)
