"""The protocol over gRPC: the service of inference.proto in front of a desk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # it ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

from appliance.config_errors import ConfigError
from appliance.oip import grpc_tensors
from appliance.oip.callers import caller_of_peer
from appliance.oip.desk import Desk
from appliance.oip.grpc_attention import UNDER_WAY, GrpcAttention, GrpcPlace
from appliance.oip.guard import is_bearer
from appliance.oip.inquiry import Asked
from appliance.oip.proto import messages
from appliance.oip.rest_infer import refuse_sequences, within_s
from appliance.oip.wire import written_out_bytes
from appliance.questions.question import Code, Refused
from appliance.questions.tensors import BadTensor, Limits, TooLarge

THREADS = UNDER_WAY + 16
"""More than there are calls under way: some are always there to turn away what is too much."""
CONNECTIONS = 256
"""From everybody together: a device has only so many handles, and its cameras want some. What is more is closed."""
STREAMS = 32
"""Calls on one connection; a client keeps further ones to itself."""
ARRIVED = 1024
"""Calls in all, of which nothing has been read; what is more is refused by the library."""
TOGETHER = 4
"""Messages of the largest size that all callers may have here at once."""
NUMBERS_BYTES = 4 << 20
"""Of a message, but for its raw contents: numbers written out take many times as much while they are read."""
_OPEN = ("ServerLive", "ServerReady")
"""What a supervisor may ask without a token."""

STATUS: Mapping[Code, grpc.StatusCode] = {
    "unknown-model": grpc.StatusCode.NOT_FOUND,
    "malformed": grpc.StatusCode.INVALID_ARGUMENT,
    "too-large": grpc.StatusCode.INVALID_ARGUMENT,
    "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "expired": grpc.StatusCode.DEADLINE_EXCEEDED,
    "failed": grpc.StatusCode.INTERNAL,
    "draining": grpc.StatusCode.UNAVAILABLE,
}


def start_server(
    desk: Desk,
    host: str,
    port: int,
    most_bytes: int,
    pair: tuple[Path, Path] | None,
    token: str | None,
    attention: GrpcAttention,
) -> tuple[grpc.Server, int]:
    """A started server and its port (of use when 0 was asked for); raises ConfigError when it cannot listen there.

    `pair`: certificate and key. The caller stops it.
    """
    options = [
        ("grpc.max_receive_message_length", most_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.max_concurrent_streams", STREAMS),
    ]
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="oip grpc")
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=ARRIVED)
    calls = _Calls(desk, Limits(body_bytes=most_bytes))
    server.add_generic_rpc_handlers((_handlers(calls, attention, token),))
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_secure_port(where, _credentials(pair)) if pair else server.add_insecure_port(where)
    except RuntimeError as error:
        raise ConfigError(f'[oip]: grpc = "{where}": cannot listen there; give another address or port') from error
    server.start()
    return server, int(bound)


def _credentials(pair: tuple[Path, Path]) -> Any:
    certificate, key = pair
    try:
        return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    except OSError as error:
        raise ConfigError(f"[oip]: {error.filename}: cannot be read: {error.strerror}") from error


def _handlers(calls: _Calls, attention: GrpcAttention, token: str | None) -> Any:
    """For the library each method takes a stream, of which one message is read: so whoever has too much here is turned
    away before his message is. On the wire it is the same."""

    def handler(name: str, request: Any, response: Any) -> Any:
        def answer(messages_: Iterator[bytes], context: Any) -> Any:
            if name in _OPEN:
                return calls.by_name[name](request(), None)
            try:
                with attention.place(caller_of_peer(context.peer())) as place:
                    try:
                        _check_token(context, token)
                        with place.attended():
                            try:
                                return calls.answered(
                                    name, request, messages_, _Call(place, context.time_remaining(), context.cancel)
                                )
                            except (Refused, BadTensor):
                                place.rest()
                                raise
                    except (Refused, BadTensor, _Stranger):
                        attention.pause(place)
                        raise
            except _Stranger:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "send this server's token as `authorization: Bearer …`")
            except Refused as refused:
                context.abort(STATUS[refused.code], refused.words or refused.code)
            except BadTensor as error:
                code: Code = "too-large" if isinstance(error, TooLarge) else "malformed"
                context.abort(STATUS[code], str(error))

        return grpc.stream_unary_rpc_method_handler(answer, None, response.SerializeToString)

    table = {name: handler(name, *kinds) for name, kinds in messages.methods().items()}
    return grpc.method_handlers_generic_handler(messages.SERVICE, table)


class _Stranger(Exception):
    """Who does not know the token."""


def _check_token(context: Any, token: str | None) -> None:
    if token is not None and not is_bearer(dict(context.invocation_metadata()).get("authorization"), token):
        raise _Stranger


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    place: GrpcPlace
    left_s: float | None
    """Until the caller gives up."""
    call_off: Callable[[], None]


class _Calls:
    """One function for each method: from its message to the one that answers it."""

    def __init__(self, desk: Desk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits
        self.by_name: Mapping[str, Callable[[Any, Any], Any]] = {
            "ServerLive": lambda _message, _call: messages.ServerLiveResponse(live=True),
            "ServerReady": lambda _message, _call: messages.ServerReadyResponse(ready=desk.ready()),
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _message, _call: messages.ServerMetadataResponse(**desk.server()),
            "ModelMetadata": self._model,
            "ModelInfer": self._infer,
            "ModelConfig": self._config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    def answered(self, name: str, request: Any, incoming: Iterator[bytes], call: _Call) -> Any:
        """What this method says to the message that comes; raises Refused or BadTensor."""
        data = call.place.received(incoming, call.call_off)
        if data is None:
            raise Refused("malformed", "a call without a message")
        with call.place.working():
            if len(data) > NUMBERS_BYTES and written_out_bytes(data, NUMBERS_BYTES) > NUMBERS_BYTES:
                raise TooLarge(f"more than {NUMBERS_BYTES} bytes beside the raw contents: send tensors raw")
            try:
                message = request.FromString(data)
            except DecodeError as error:
                raise Refused("malformed", f"not a {request.DESCRIPTOR.name}: {error}") from error
        return self.by_name[name](message, call)

    def _model_ready(self, message: Any, _call: Any) -> Any:
        return messages.ModelReadyResponse(ready=self._desk.model_ready(message.name, message.version))

    def _model(self, message: Any, _call: Any) -> Any:
        return messages.ModelMetadataResponse(**self._desk.model(message.name, message.version))

    def _config(self, message: Any, _call: Any) -> Any:
        return messages.ModelConfigResponse(config=self._desk.config(message.name, message.version))

    def _statistics(self, message: Any, _call: Any) -> Any:
        return messages.ModelStatisticsResponse(**self._desk.statistics(message.name, message.version))

    def _index(self, message: Any, _call: Any) -> Any:
        return messages.RepositoryIndexResponse(models=self._desk.index(message.ready))

    def _load(self, message: Any, _call: Any) -> Any:
        if message.parameters:
            raise Refused("malformed", "a model is loaded as it is here; leave the parameters out")
        self._desk.load(message.model_name)
        return messages.RepositoryModelLoadResponse()

    def _unload(self, message: Any, _call: Any) -> Any:
        self._desk.unload(message.model_name)
        return messages.RepositoryModelUnloadResponse()

    def _infer(self, message: Any, call: _Call) -> Any:
        place = call.place
        with contextlib.ExitStack() as held:
            with place.working():
                inquiry = held.enter_context(self._desk.begin(self._asked(message, call), place.caller))
            with place.away():
                inquiry.wait()
            with place.working():
                answer = inquiry.answered()
                response = messages.ModelInferResponse(
                    model_name=answer.model, model_version=answer.version, id=answer.id
                )
                grpc_tensors.write(answer.outputs, response.outputs, response.raw_output_contents)
                return response

    def _asked(self, message: Any, call: _Call) -> Asked:
        parameters = {
            name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param")
            for name, value in message.parameters.items()
        }
        refuse_sequences(parameters)
        deadlines = [each for each in (call.left_s, within_s(parameters)) if each is not None]
        return Asked(
            model=message.model_name,
            version=message.model_version,
            id=message.id,
            inputs=grpc_tensors.read(message.inputs, message.raw_input_contents, self._limits),
            outputs=tuple(output.name for output in message.outputs),
            within_s=min(deadlines, default=None),
        )
