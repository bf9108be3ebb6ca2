"""Another server of the protocol, as seen by who asks it: Triton, KServe, MLServer, or one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from appliance.questions.tensors import Limits, Tensor
from engines.engine import EngineError

LIMITS = Limits(body_bytes=256 << 20, header_bytes=64 << 20)
"""Of its answers; a server without binary tensors writes every number out."""
PORTS = {"http": 80, "https": 443, "grpc": 8001, "grpcs": 443}


class Client(Protocol):
    """Used on one thread, but for `cancel`. Everything raises EngineError, with the server's words where it has any."""

    def model(self, name: str) -> dict[str, Any]:
        """Its metadata, in the JSON form of the protocol; raises EngineError when there is none, or it is not ready."""

    def infer(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[str]) -> tuple[Tensor, ...]:
        """The outputs of these names; the arrays are read-only."""

    def cancel(self) -> None:
        """Make the call in progress raise EngineError soon. From any thread; does nothing when idle."""

    def close(self) -> None:
        """Give the connection back."""


def connect(url: str, within_s: float) -> Client:
    """A client for `http(s)://host:port` or `grpc(s)://host:port`; it connects when it is used.

    `within_s`: for each call. Raises EngineError when this address cannot be one, or gRPC is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise EngineError(f"{url}: no address of a serving engine: write http://host:8000 or grpc://host:8001")
    try:
        port = parts.port or PORTS[parts.scheme]
    except ValueError as error:
        raise EngineError(f"{url}: {error}") from error
    secure = parts.scheme.endswith("s")
    if parts.scheme.startswith("http"):
        from appliance.oip.rest_client import RestClient

        return RestClient(url, parts.hostname, port, secure=secure, within_s=within_s)
    try:
        from appliance.oip.grpc_client import GrpcClient
    except ImportError as error:
        raise EngineError(
            f'{url}: gRPC needs more packages: pip install "edge-inference-appliance[grpc]", or use http://'
        ) from error
    return GrpcClient(url, parts.hostname, port, secure=secure, within_s=within_s)
