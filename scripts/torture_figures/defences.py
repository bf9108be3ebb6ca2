"""Figures of what keeps strangers out, and of what comes from them all the same."""

from __future__ import annotations

from scripts.torture_figures.figure import Figure, Times, Value

FIGURES = (
    Figure(
        "G20",
        "100 000 payloads, 10 000 configurations, 2 000 bundles, 500 networks and 500 pictures from fuzzers: no "
        "crash, nothing longer than 1 s, at most 50 MiB more memory",
        tests=("tests/appliance/test_hostile.py", "tests/fuzz/test_targets.py"),
        exceptions="Payloads that are known to be hostile, and seeds, mutations and findings of every target of "
        "scripts/fuzz, which runs for as long as it is told; executions are not counted here.",
    ),
    Figure(
        "G21",
        "bombs: a picture or a network that would take gigabytes is refused within 50 ms and 20 MiB",
        tests=("tests/capture/test_pictures.py", "tests/appliance/sync/test_inspection.py"),
        values=(Value("refused_ms", most=50),),
        exceptions="Memory is not measured; a network is tried in a process of its own, whose memory is bounded.",
    ),
    Figure(
        "G22",
        "exposure by systemd-analyze at most 1.5, and no complaint by its verify",
        tests=("tests/test_systemd.py",),
        values=(Value("exposure", most=1.5),),
        exceptions="One unit for the appliance, not two: see docs/security.md.",
    ),
    Figure(
        "G23",
        "every topic, every role, publishing and receiving: exactly what the table of rights allows; nobody "
        "without a certificate; who is removed is cut off within 2 s",
        tests=tuple(f"tests/appliance/broker_folder/test_{about}.py" for about in ("deeds", "entry", "renewal")),
        values=(Value("otherwise", most=0), Value("cut_after_s", most=2)),
        times=Times("tried"),
        wanted_times=72,
        exceptions="`times` are pairs of a name and a topic.",
    ),
)
