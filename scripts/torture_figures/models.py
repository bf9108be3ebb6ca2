"""Figures of models: how they come, are tried, take over, go back, and what is made of them."""

from __future__ import annotations

from scripts.torture_figures.figure import Figure, Times, Value

SYNC = "tests/appliance/sync"
FAULTS = "tests/faults"

FIGURES = (
    Figure(
        "G14",
        "a new version activated: 500 times kill -9 and 200 power cuts at random points: always the old or the new "
        "version, never mixed, every start usable",
        tests=(f"{FAULTS}/test_model_kill_points.py", f"{FAULTS}/test_model_power_cuts.py"),
        values=(Value("unusable", most=0),),
        times=Times("deaths"),
        wanted_times=700,
        exceptions="`times` are kills and power cuts together. Of a cut the disk is simulated: every call that changes "
        "a file is recorded, and of what was not synced any sector, and the last names of any folder, may be lost.",
    ),
    Figure(
        "G15",
        "a new version under load: at most one picture without an answer, a gap of at most 100 ms, every result "
        "tells the digest of its model",
        tests=(f"{SYNC}/test_live.py::test_a_new_version_takes_over_between_two_pictures_and_rolls_back_on_demand",),
        values=(Value("lost", most=1), Value("gap_ms", most=100), Value("usual_lost"), Value("usual_gap_ms")),
        exceptions="At 30 pictures a second, there and back; `usual` is the worst of the five seconds before each "
        "hand-over, without one.",
    ),
    Figure(
        "G16",
        "12 attacks on the signed registry over each of 2 carriers: all refused, the device stays as it was",
        tests=(f"{SYNC}/test_attacks.py::test_it_is_refused",),
        wanted_times=24,
        exceptions="`times` are attacks; there are 28 over each carrier.",
    ),
    Figure(
        "G17",
        "50 MB over a link cut 20 times: at most 1.10 x its size travels; of a new version at most 1.2 x what changed",
        tests=(f"{FAULTS}/test_model_link.py", f"{SYNC}/test_fetching.py"),
        values=(Value("share", most=1.10), Value("share_of_changed", most=1.2)),
        times=Times("cuts"),
        wanted_times=40,
    ),
    Figure(
        "G18",
        "8 bad models: each goes back within 60 s without a network, is not tried again, the reason is told",
        tests=(f"{FAULTS}/test_bad_models.py", f"{SYNC}/test_inspection.py", f"{SYNC}/test_machine.py"),
        values=(Value("returned_after_s", most=60),),
        times=Times("returned"),
        wanted_times=8,
        exceptions="All but the one that lies about its labels are caught before they answer anybody.",
    ),
    Figure(
        "G19",
        "the cache of plans: a change of any part of the key builds anew; 100 of 100 changed or cut files are "
        "never loaded",
        tests=("tests/engines/tensorrt/test_plan_cache.py",),
        values=(Value("loaded", most=0), Value("alike", most=0), Value("changes", least=10)),
        times=Times("tampered"),
        wanted_times=100,
    ),
    Figure(
        "G31",
        "500 random wishes for models (stale, unknown, half bad, hostile): reported within 2 s, the last good "
        "one kept, over 100 restarts",
        tests=(f"{SYNC}/test_desired.py",),
        values=(Value("restarts", least=100), Value("slowest_report_s", most=2)),
        times=Times("documents"),
        wanted_times=500,
    ),
    Figure(
        "G33",
        "a new model ends the process over and over, the network cable out: within 60 s the old one answers, by itself",
        tests=(f"{FAULTS}/test_crash_loop.py",),
        values=(Value("returned_after_s", most=60), Value("crashes", most=3)),
        times=Times("went_back"),
        wanted_times=2,
        exceptions="On probation and in shadow, by a picture that no trial holds. systemd's part is played as the unit "
        "says.",
    ),
    Figure(
        "G34",
        "a bad model is rolled out to 100 devices: it stops by itself once more than 10 % have returned it",
        tests=(f"{FAULTS}/test_rollout_stops.py",),
        values=(Value("asked", most=25), Value("failed", least=1), Value("never_asked", least=75)),
        times=Times("devices"),
        wanted_times=200,
        exceptions="100 connections, wishes, libraries and trials of the product in one process, without cameras. "
        "`times` are devices: 100 for a model that is bad everywhere, 100 for one that suits only the first.",
    ),
)
