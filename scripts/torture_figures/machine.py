"""Figures of the machine around it: time, sensors, a GPU, the supervisor, hours of work."""

from __future__ import annotations

from scripts.torture_figures.figure import NOTHING_LOST, Figure, Program, Times, Value, none

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
        "G24",
        "a clock that starts in 1970 and jumps by 2 years, an hour, a day, 100 times by 5 s: nothing lost, order "
        "kept, the watchdog content, times right within 50 ms once it is set; signatures older than the floor "
        "refused",
        tests=(
            f"{FAULTS}/test_clock_steps.py",
            "tests/appliance/sync/test_clock_and_ledger.py",
            "tests/appliance/sync/test_attacks.py::test_it_is_refused",
        ),
        values=(*none("lost", "out_of_order", "watchdog_hits"), Value("put_right_ms", most=50)),
        times=Times("steps"),
        wanted_times=109,
        exceptions="The clock of one process is stepped, by a library loaded before C's; a wait that began "
        "before a step is not cut short or drawn out by it. What was captured before the clock was "
        "set keeps its time and says `unsynced`: nothing is put right afterwards.",
    ),
    Figure(
        "G25",
        "a stage that stands still (capture, inference, commit): the supervisor acts within twice WatchdogSec; "
        "it does not in 10 minutes without a broker, nor with a full disk",
        tests=(f"{FAULTS}/test_stalls.py", "tests/appliance/pipeline/test_feed.py"),
        values=(
            Value("fires_after_s", most=30, told_by="test_an_inference_that_never_ends"),
            Value("commit_fires_after_s", most=30, long_only=True, told_by="test_a_disk_that_never_answers"),
            Value("longest_silence_s", most=15, told_by="test_an_outage_of_the_broker"),
        ),
        times=Times("outage_s"),
        wanted_times=600,
        exceptions="While an outbox is opened, which reads it from end to end, its disk has a second more for every "
        "10 MB it may hold. A capture that hangs is replaced within the process; the supervisor is asked for only when "
        "three of one camera hang. `times` are seconds without a broker.",
    ),
    Figure(
        "G26",
        "a camera that hangs, is unplugged, freezes or sends garbage, 50 times: noticed within 3 s, back within "
        "5 s, no process dies",
        tests=(f"{FAULTS}/test_camera_faults.py", f"{FAULTS}/test_rtsp_source.py", f"{FAULTS}/test_v4l2_vm.py"),
        values=(
            Value("noticed_s", most=3, told_by="test_camera_faults"),
            Value("back_s", most=5, told_by="test_camera_faults"),
        ),
        times=Times("outages"),
        wanted_times=50,
        exceptions="A network camera, killed, frozen, its bytes spoiled on their way; one of the kernel (vivid) is "
        "unplugged in a virtual machine, in the long form, once.",
    ),
    Figure(
        "G27",
        "a microphone that is lost, silent or overrun, 50 times: noticed within 3 s, back within 5 s",
        tests=(
            f"{FAULTS}/test_microphone_faults.py",
            f"{FAULTS}/test_microphone_at_work.py",
            "tests/capture/test_sample_clock.py",
        ),
        values=(
            Value("noticed_s", most=3, told_by="test_a_lost_microphone"),
            Value("back_s", most=5, told_by="test_a_lost_microphone"),
        ),
        times=Times("outages"),
        wanted_times=50,
        exceptions="Unplugged, crashed or frozen. An overrun is no outage: it is shown of the clock that counts the "
        "samples, with blocks made by hand.",
    ),
    Figure(
        "G28",
        "a GPU that is killed, lost or hangs, 50 times: back within 5 s, answers from the processor meanwhile, "
        "no event lost",
        tests=(f"{FAULTS}/test_gpu_faults.py", "tests/appliance/test_handover.py"),
        values=(Value("back_s", most=5), Value("from_processor", least=1), Value("lost", most=0)),
        times=Times("ends"),
        wanted_times=50,
        exceptions="On a fake GPU, in the environment that scripts/check_tensorrt makes; on a real one: "
        "scripts/gpu_check. The model runs within the process: a GPU that is lost ends it, the supervisor starts a "
        "new one after a second, and after three such ends within an hour the processor answers. A GPU that hangs "
        "is an inference that stands still: G25.",
        environment="LD_LIBRARY_PATH=$PWD/.cache/tensorrt/driver FAKECUDA_KERNELS=$PWD/.cache/tensorrt/kernels.so "
        "PYTHONPATH=$PWD/tests/engines/tensorrt/fake_gpu/bindings PYTHON=.venv-tensorrt/bin/python",
    ),
    Figure(
        "G29",
        "an hour with a harm every 20 s (broker killed or paused, appliance paused, line reset, cut, silent or "
        "slow, disk full): nothing lost, memory, handles and threads as they were",
        tests=(f"{FAULTS}/test_torment.py",),
        values=(
            *NOTHING_LOST,
            Value("grown_mib", most=20),
            Value("more_handles", most=2),
            Value("more_threads", most=1),
        ),
        times=Times("deeds"),
        wanted_times=180,
        exceptions="The outbox and its link, without cameras and models. How long an event takes is not compared "
        "with the calm phase. Kills of the appliance are G1 and G3.",
    ),
    Figure(
        "G32",
        "from a restart to the first published event at most 3 s; from kill -9 to READY at most 5 s",
        tests=(f"{FAULTS}/test_restart.py", "tests/package/test_package.py"),
        values=(
            Value("kill_to_ready_s", most=5, told_by="test_restart"),
            Value("start_to_event_s", most=3, told_by="test_restart"),
        ),
        times=Times("kills"),
        wanted_times=1,
        exceptions="`kill to ready` holds the second that systemd waits before it starts anew. On a real "
        "systemd, with the package: tests/package, in the long form and where a Debian can be made.",
    ),
)
