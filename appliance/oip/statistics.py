"""The statistics extension: how often, and how long it took, since the server started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appliance.service.figures import NOTHING, Sum

if TYPE_CHECKING:
    from appliance.service.room import Standing


def of_model(standing: Standing) -> dict[str, Any]:
    """One entry of `model_stats`."""
    figures = standing.figures
    return {
        "name": standing.name,
        "version": standing.version,
        "last_inference": figures.last_unix_ms,
        "inference_count": figures.inferences,
        "execution_count": figures.executions,
        "inference_stats": {
            "success": _duration(figures.answered),
            "fail": _duration(figures.failed),
            "queue": _duration(figures.queue),
            "compute_input": _duration(figures.prepare),
            "compute_infer": _duration(figures.infer),
            "compute_output": _duration(figures.decode),
        },
        "batch_stats": [_batch(size, runs) for size, runs in sorted(figures.runs.items())],
    }


def _batch(size: int, runs: Sum) -> dict[str, Any]:
    """Runs of so many questions; preparing and decoding are not told apart from the run."""
    return {
        "batch_size": size,
        "compute_input": _duration(NOTHING),
        "compute_infer": _duration(runs),
        "compute_output": _duration(NOTHING),
    }


def _duration(spent: Sum) -> dict[str, int]:
    return {"count": spent.count, "ns": spent.ns}
