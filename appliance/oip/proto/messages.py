"""Classes for the messages of inference.proto, by name: `messages.ModelInferRequest(...)`.

They live in a pool of their own, so that another library in the same process may bring the same protocol along.
"""

from __future__ import annotations

from typing import Any

# protobuf ships no types.
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

from appliance.oip.proto.descriptor import FILE

SERVICE = "inference.GRPCInferenceService"


def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(FILE).file:
        pool.Add(file)
    return pool


_POOL = _pool()


def __getattr__(name: str) -> Any:
    """The class of a message; AttributeError when the protocol has none of that name."""
    try:
        return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"inference.{name}"))
    except KeyError:
        raise AttributeError(f"inference.proto has no message {name}") from None


def methods() -> dict[str, tuple[Any, Any]]:
    """Every method of the service: the classes of what it takes and what it gives."""
    service = _POOL.FindServiceByName(SERVICE)
    make = message_factory.GetMessageClass
    return {method.name: (make(method.input_type), make(method.output_type)) for method in service.methods}
