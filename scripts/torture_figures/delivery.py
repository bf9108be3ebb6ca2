"""Figures of the way of an event: from the outbox over the link to whoever listens."""

from __future__ import annotations

from scripts.torture_figures.figure import NOTHING_LOST, Figure, Times, Value, none

FAULTS = "tests/faults"

FIGURES = (
    Figure(
        "G1",
        "200 times kill -9 of the daemon during 100 000 events: nothing lost, order kept per stream, at most 10 "
        "% twice",
        tests=(f"{FAULTS}/test_killed_daemon.py",),
        values=(*NOTHING_LOST, Value("duplicate_share", most=0.10)),
        times=Times("kills"),
        wanted_times=200,
    ),
    Figure(
        "G2",
        "10 minutes without a broker at 100 events a second: nothing lost, in order, 5 000 a second afterwards, "
        "at most 20 MiB more memory, connected again within 5 s",
        tests=(
            f"{FAULTS}/test_outage.py",
            f"{FAULTS}/test_link_faults.py::test_a_broker_that_returns_is_found_within_five_seconds",
        ),
        values=(
            *NOTHING_LOST,
            Value("drain_per_s_of_its_share", least=5000),
            Value("drain_per_s", least=0),
            Value("growth_mib", most=20),
            Value("reconnected_s", most=5),
        ),
        times=Times("outages"),
        wanted_times=1,
        exceptions="The 60 000 events are handed over in seconds, not in ten minutes. `drain per s of its share` "
        "leaves out the time of the processors that went to programs which are not of the test.",
    ),
    Figure(
        "G3",
        "confirmed end to end, a broker that keeps nothing: 10 kills of the broker and 10 of the daemon, 30 000 "
        "events, nothing lost",
        tests=(
            f"{FAULTS}/test_killed_broker.py::test_end_to_end_nothing_is_lost_when_broker_and_daemon_are_killed_in_turn",
        ),
        values=none("lost", "conflicts", "unidentified"),
        times=Times("daemon_kills"),
        wanted_times=10,
    ),
    Figure(
        "G4",
        "nobody subscribes for 60 s: nothing lost in the default mode",
        tests=(f"{FAULTS}/test_killed_broker.py::test_events_wait_on_disk_while_nobody_subscribes_and_come_in_order",),
        values=(Value("lost", most=0), Value("delivered_s")),
        times=Times("seconds"),
        wanted_times=60,
        exceptions="`times` are seconds without a subscriber.",
    ),
    Figure(
        "G5",
        "100 power cuts: nothing accepted is lost, every start succeeds, no file is damaged",
        tests=(f"{FAULTS}/test_power_cut.py",),
        values=none("lost", "reused", "begun_anew"),
        times=Times("cuts"),
        wanted_times=100,
        exceptions="The disk is simulated at SQLite's own interface: of what was not synced, any sector may be lost.",
    ),
    Figure(
        "G6",
        "a disk filled by others: of 10 000 appends none is refused, what is dropped is the oldest of the lowest "
        "priority, the books balance, every gap is announced",
        tests=(f"{FAULTS}/test_full_disk.py",),
        values=(Value("unannounced", most=0), Value("kept", least=200)),
        times=Times("appends"),
        wanted_times=10_000,
    ),
    Figure(
        "G7",
        "an outbox damaged in 200 ways: ready within 10 s each time, no identity used twice",
        tests=(f"{FAULTS}/test_damaged_outbox.py",),
        values=(Value("slowest_s", most=10), Value("reused", most=0), Value("begun_anew")),
        times=Times("damages"),
        wanted_times=200,
    ),
    Figure(
        "G8",
        "100 resets, 20 slow closes, 20 half-open lines, up to 500 ms of latency, 50 kB/s: nothing lost, order kept",
        tests=(
            f"{FAULTS}/test_bad_network.py::test_a_bad_network_costs_time_but_no_event_and_no_order",
            f"{FAULTS}/test_link_faults.py::test_a_connection_that_ends_on_one_side_only_is_given_up_and_made_again",
        ),
        values=(*NOTHING_LOST, Value("delivered_after_s", most=10)),
        times=Times("faults"),
        wanted_times=140,
    ),
    Figure(
        "G9",
        "a dead line is noticed within 6 s while publishing and 12 s while idle; connected within 5 s of its repair",
        tests=(f"{FAULTS}/test_bad_network.py::test_a_dead_line_is_noticed_in_seconds",),
        values=(Value("noticed_s", most=12), Value("reconnected_s", most=5)),
        times=Times("lines"),
        wanted_times=2,
        exceptions="Needs root and iptables.",
    ),
    Figure(
        "G10",
        "a round trip of 200 ms: 2 000 events of a backlog a second",
        tests=(
            f"{FAULTS}/test_link_faults.py::test_a_round_trip_of_200_ms_costs_no_more_than_the_window_says",
            f"{FAULTS}/test_link_faults.py::test_a_broker_that_allows_a_thousand_on_their_way_gets_2000_a_second_at_a_round_trip_of_200_ms",
        ),
        values=(
            Value("per_s", least=2000, of="G10 wide window"),
            Value("paced_per_s", least=500),
            Value("default_per_s", least=80),
        ),
        times=Times("lines"),
        wanted_times=1,
        exceptions="On a broker that takes 1 000 messages on their way, as appliance broker setup makes one, and with "
        "drain_per_s raised; as installed it holds a backlog back to 1 000 a second (`paced`). Mosquitto as it "
        "comes takes 20: 100 a second on such a line (`default`), whatever the appliance does.",
    ),
    Figure(
        "G11",
        "a message too large, or refused: put aside within 5 s, the next 50 delivered, no loop of connections; a "
        "forbidden topic raises an alarm and loses nothing",
        tests=(f"{FAULTS}/test_refused_messages.py",),
        values=(
            Value("dead_s", most=5),
            Value("delivered_s", most=10),
            Value("connects", most=6),
            Value("lost", most=0),
        ),
    ),
    Figure(
        "G12",
        "an error in any callback, the death of the MQTT thread: over within 10 s, nothing lost; 10 minutes of four "
        "producers without a deadlock",
        tests=(
            f"{FAULTS}/test_link_faults.py::test_an_error_in_a_callback_of_ours_costs_no_event_and_seconds_at_most",
            f"{FAULTS}/test_link_faults.py::test_an_error_while_the_end_is_noted_is_no_end_for_ever",
            f"{FAULTS}/test_link_faults.py::test_a_network_thread_that_dies_is_missed_and_replaced",
            f"{FAULTS}/test_many_producers.py",
        ),
        values=(Value("lost", most=0), Value("seconds", most=10), Value("replaced_s", most=10)),
        times=Times("producing_s"),
        wanted_times=600,
        exceptions="`times` are seconds of four producers.",
    ),
    Figure(
        "G30",
        "the n-th thing that the outbox asks of the disk fails, for every n, with EIO, ENOSPC or a file that "
        "does not open: nothing accepted is lost, no crash",
        tests=(f"{FAULTS}/test_fault_sweep.py",),
        values=none("lost", "changed", "reused", "twice"),
        times=Times("runs"),
        wanted_times=1000,
        exceptions="A life of 40 actions instead of 1 000 events, with every step of it; failing publications are G11.",
    ),
)
