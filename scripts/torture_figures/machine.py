"""Figures of the machine around it: time, sensors, a GPU, the supervisor, hours of work."""

from __future__ import annotations

from scripts.torture_figures.figure import Figure, Program, Times, Value

FAULTS = "tests/faults"

FIGURES = (
    Figure(
        "G13",
        "asking a service adds at most 5 ms (p95) at QoS 1 with 20 kB; with the service dead 1 000 of 1 000 "
        "decisions fall within their deadline and 10 ms",
        tests=(f"{FAULTS}/test_decisions.py",),
        programs=(
            Program(
                "G13 asking",
                short=("scripts.benchmarks.asking", "--questions", "100"),
                long=("scripts.benchmarks.asking", "--questions", "500"),
            ),
        ),
        values=(
            Value("added.p95", most=5),
            Value("refused", most=0),
            Value("over_slack_ms", most=0),
            Value("latest_ms"),
        ),
        times=Times("samples", of="G13 healthy"),
        wanted_times=1000,
    ),
    Figure(
        "G26",
        "a camera that hangs, is unplugged, freezes or sends garbage, 50 times: noticed within 3 s, back within "
        "5 s, no process dies",
        tests=(f"{FAULTS}/test_camera_faults.py", f"{FAULTS}/test_rtsp_source.py", f"{FAULTS}/test_v4l2_vm.py"),
        values=(Value("noticed_s", most=3), Value("back_s", most=5)),
        times=Times("outages"),
        wanted_times=50,
    ),
    Figure(
        "G27",
        "a microphone that is lost, silent or overrun, 50 times: noticed within 3 s, back within 5 s",
        tests=(f"{FAULTS}/test_microphone_faults.py", f"{FAULTS}/test_microphone_at_work.py"),
        values=(Value("noticed_s", most=3), Value("back_s", most=5)),
        times=Times("outages"),
        wanted_times=50,
    ),
    Figure(
        "G28",
        "a GPU that is killed, lost or hangs, 50 times: back within 5 s, answers from the processor meanwhile, "
        "no event lost",
        tests=("tests/appliance/test_handover.py",),
    ),
    Figure(
        "G32",
        "from a restart to the first published event at most 3 s; from kill -9 to READY at most 5 s",
        tests=("tests/package/test_package.py",),
    ),
)
