"""Which trace a sample belongs to."""

from __future__ import annotations

import pytest

from appliance.traces.identity import Identity, of_header, of_sample

AT = "2026-11-21T05:33:19.123456Z"


def test_the_same_sample_is_in_the_same_trace_wherever_that_is_asked() -> None:
    assert of_sample("box", "people", "dock", 7, AT) == of_sample("box", "people", "dock", 7, AT)


def test_another_sample_pipeline_source_or_device_is_in_another() -> None:
    cases = [
        ("box", "people", "dock", 7, AT),
        ("box", "people", "dock", 8, AT),
        ("box", "people", "yard", 7, AT),
        ("box", "cars", "dock", 7, AT),
        ("fox", "people", "dock", 7, AT),
        ("box", "people", "dock", 7, AT.replace("6Z", "7Z")),
        ("boxp", "eople", "dock", 7, AT),
    ]
    assert len({of_sample(*case).trace for case in cases}) == len(cases)


def test_a_header_is_read_as_it_was_written() -> None:
    whose = of_sample("box", "people", "dock", 7, AT)
    assert of_header(whose.header) == whose
    assert len(whose.header) == 55


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-00",
        "00-" + "A" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-01-more",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-01\n",
        "\u0661" * 55,
    ],
)
def test_what_is_no_header_of_a_recorded_trace_is_none(text: str) -> None:
    assert of_header(text) is None


def test_a_share_of_the_samples_is_recorded_and_a_larger_share_holds_the_smaller() -> None:
    every = [of_sample("box", "people", "dock", seq, AT) for seq in range(4000)]
    tenth = {each for each in every if each.sampled(0.1)}
    assert 300 < len(tenth) < 500
    assert tenth < {each for each in every if each.sampled(0.5)}
    assert not any(each.sampled(0.0) for each in every)
    assert all(each.sampled(1.0) for each in every)
    assert Identity((1 << 128) - 1, 1).sampled(1.0)
