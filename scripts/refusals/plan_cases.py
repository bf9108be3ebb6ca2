"""The plan is cut off, changed, of something else, or cannot be read."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from engines.gpu import probe
from engines.tensorrt.options import Target
from engines.tensorrt.plan_cache import Description, Plan, PlanCache
from scripts.refusals.case import FAKE, Case, Stage

_MAGIC, _SEAL, _LENGTH = 17, 32, 4
"""Bytes of a plan's file, in this order; then its description and what TensorRT made."""
_KEPT = (0, 1, 8, 16, 17, 18, 33, 48, 49, 50, 52, 53, 54, 80, 160, 400, -400, -200, -64, -33, -32, -8, -2, -1)
_EVERY = 61


def cases() -> Iterator[Case]:
    for kept in _KEPT:
        name = f"its first {kept} bytes" if kept >= 0 else f"all but its last {-kept} bytes"
        yield Case("plan cut off", name, prepare=_cut(kept))
    begin = 0
    for part, size in (("mark", _MAGIC), ("seal", _SEAL), ("length", _LENGTH)):
        for at in range(begin, begin + size):
            yield Case("plan changed", f"byte {at} ({part})", prepare=_flipped(at))
        begin += size
    for number in range(24):
        yield Case(
            "plan changed", f"byte {begin + number * _EVERY} (content)", prepare=_flipped(begin + number * _EVERY)
        )
    for name, prepare in _FOREIGN.items():
        yield Case("plan of another", name, prepare=prepare)
    for name, prepare in _UNREADABLE.items():
        yield Case("plan unreadable", name, prepare=prepare)
    yield Case("plan of another", "TensorRT, updated since", {"STAND_IN_TENSORRT": "10.3.0"}, prepare=_updated)


def _cut(kept: int) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        stage.plan.write_bytes(stage.plan.read_bytes()[:kept])

    return prepare


def _flipped(at: int) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        content = bytearray(stage.plan.read_bytes())
        content[at % len(content)] ^= 1 << at % 8
        stage.plan.write_bytes(content)

    return prepare


def _model(stage: Stage) -> None:
    stage.cache.path(stage.other_key).replace(stage.plan)


def _machine(stage: Stage) -> None:
    elsewhere = PlanCache(stage.folder / "elsewhere")
    elsewhere.store(stage.key, stage.cache.load(stage.key))
    elsewhere.path(stage.key).replace(stage.plan)


def _built_for(target: Target) -> Callable[[Stage], None]:
    """Its plan, under our name."""

    def prepare(stage: Stage) -> None:
        other = stage.recipe.key(target)
        assert other != stage.key
        stage.cache.store(other, stage.cache.load(stage.key))
        stage.cache.path(other).replace(stage.plan)

    return prepare


def _sealed(content: bytes) -> Callable[[Stage], None]:
    """Sealed here, so that TensorRT itself is asked."""

    def prepare(stage: Stage) -> None:
        stage.cache.store(stage.key, Plan(content, Description("fp32", "", 1.0, "", "")))

    return prepare


def _new_gpu(stage: Stage) -> None:
    """The card was changed: this name is not found any more."""
    stage.cache.path(stage.key).replace(stage.cache.path(stage.recipe.key(Target("tensorrt 10.3.0", "RTX", (8, 9)))))


def _updated(stage: Stage) -> None:
    import tensorrt

    assert probe() == FAKE
    tensorrt.__version__ = "10.13.3.9"


_FOREIGN = {
    "model, under this name": _model,
    "machine, under this name": _machine,
    "TensorRT, under this name": _built_for(Target("tensorrt 10.13.3.9", FAKE.name, FAKE.compute_capability)),
    "GPU, under this name": _built_for(Target("tensorrt 10.3.0", "Orin", (8, 7))),
    "TensorRT, sealed here": _sealed(b'{"tensorrt": "8.6.2"}'),
    "program: rubbish, sealed here": _sealed(b"rubbish"),
    "program: empty, sealed here": _sealed(b""),
    "GPU, which is here now": _new_gpu,
}


def _another_key(stage: Stage) -> None:
    (stage.cache.folder / "seal.key").write_bytes(secrets.token_bytes(32))


def _cut_key(stage: Stage) -> None:
    (stage.cache.folder / "seal.key").write_bytes(b"short")


def _no_key(stage: Stage) -> None:
    (stage.cache.folder / "seal.key").unlink()


def _folder(stage: Stage) -> None:
    stage.plan.unlink()
    stage.plan.mkdir()


def _loop(stage: Stage) -> None:
    stage.plan.unlink()
    stage.plan.symlink_to(stage.plan)


def _gone(stage: Stage) -> None:
    stage.plan.unlink()


_UNREADABLE = {
    "the key of the seal was changed": _another_key,
    "the key of the seal was cut off": _cut_key,
    "the key of the seal is gone": _no_key,
    "a folder in its place": _folder,
    "a link to itself in its place": _loop,
    "never built": _gone,
}
