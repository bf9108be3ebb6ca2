"""Figures of what keeps strangers out, and of what comes from them all the same."""

from __future__ import annotations

from scripts.torture_figures.figure import Figure, Times, Value

FIGURES = (
    Figure(
        "G20",
        "100 000 payloads, 10 000 configurations, 2 000 bundles, 500 networks and 500 pictures from fuzzers: no "
        "crash, nothing longer than 1 s, at most 50 MiB more memory",
        tests=("tests/appliance/test_hostile.py", "tests/fuzz/test_targets.py", "tests/fuzz/test_amounts.py"),
        values=(Value("crashes", most=0), Value("slowest_s", most=1), Value("grown_mib", most=50)),
        times=Times("inputs"),
        wanted_times=113_000,
        exceptions="Inputs near the project's own messages and files, the same ones every time; those that a fuzzer "
        "led by coverage makes are scripts/fuzz, for as long as it is told. `slowest s` is processor time.",
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
