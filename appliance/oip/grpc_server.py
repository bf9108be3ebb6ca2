"""The protocol over gRPC: the service of inference.proto in front of a desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # it ships no types

from appliance.config_errors import ConfigError
from appliance.oip import grpc_tensors
from appliance.oip.desk import Asked, Desk
from appliance.oip.guard import is_bearer
from appliance.oip.proto import messages
from appliance.oip.rest_infer import refuse_sequences, within_s
from appliance.questions.question import Code, Refused
from appliance.questions.tensors import BadTensor, Limits, TooLarge

THREADS = 16
WAITING = 32
"""Calls in all, whose messages may be in memory; what is more is refused at once."""
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
    desk: Desk, host: str, port: int, most_bytes: int, pair: tuple[Path, Path] | None, token: str | None
) -> tuple[grpc.Server, int]:
    """A started server and its port (of use when 0 was asked for); raises ConfigError when it cannot listen there.

    `pair`: certificate and key. The caller stops it.
    """
    options = [
        ("grpc.max_receive_message_length", most_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_connection_idle_ms", 300_000),
    ]
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="oip grpc")
    server = grpc.server(pool, options=options, maximum_concurrent_rpcs=WAITING)
    server.add_generic_rpc_handlers((_handlers(_Calls(desk, Limits(body_bytes=most_bytes)), token),))
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


def _handlers(calls: _Calls, token: str | None) -> Any:
    def handler(name: str, request: Any, response: Any) -> Any:
        def answer(message: Any, context: Any) -> Any:
            if token is not None and name not in _OPEN:
                given = dict(context.invocation_metadata()).get("authorization")
                if not is_bearer(given, token):
                    context.abort(
                        grpc.StatusCode.UNAUTHENTICATED, "send this server's token as `authorization: Bearer …`"
                    )
            try:
                return calls.by_name[name](message, context)
            except Refused as refused:
                context.abort(STATUS[refused.code], refused.words or refused.code)
            except BadTensor as error:
                code: Code = "too-large" if isinstance(error, TooLarge) else "malformed"
                context.abort(STATUS[code], str(error))

        return grpc.unary_unary_rpc_method_handler(answer, request.FromString, response.SerializeToString)

    table = {name: handler(name, *kinds) for name, kinds in messages.methods().items()}
    return grpc.method_handlers_generic_handler(messages.SERVICE, table)


class _Calls:
    """One function for each method: from its message to the one that answers it."""

    def __init__(self, desk: Desk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits
        self.by_name: Mapping[str, Callable[[Any, Any], Any]] = {
            "ServerLive": lambda _message, _context: messages.ServerLiveResponse(live=True),
            "ServerReady": lambda _message, _context: messages.ServerReadyResponse(ready=desk.ready()),
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _message, _context: messages.ServerMetadataResponse(**desk.server()),
            "ModelMetadata": self._model,
            "ModelInfer": self._infer,
            "ModelConfig": self._config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    def _model_ready(self, message: Any, _context: Any) -> Any:
        return messages.ModelReadyResponse(ready=self._desk.model_ready(message.name, message.version))

    def _model(self, message: Any, _context: Any) -> Any:
        return messages.ModelMetadataResponse(**self._desk.model(message.name, message.version))

    def _config(self, message: Any, _context: Any) -> Any:
        return messages.ModelConfigResponse(config=self._desk.config(message.name, message.version))

    def _statistics(self, message: Any, _context: Any) -> Any:
        return messages.ModelStatisticsResponse(**self._desk.statistics(message.name, message.version))

    def _index(self, message: Any, _context: Any) -> Any:
        return messages.RepositoryIndexResponse(models=self._desk.index(message.ready))

    def _load(self, message: Any, _context: Any) -> Any:
        if message.parameters:
            raise Refused("malformed", "a model is loaded as it is here; leave the parameters out")
        self._desk.load(message.model_name)
        return messages.RepositoryModelLoadResponse()

    def _unload(self, message: Any, _context: Any) -> Any:
        self._desk.unload(message.model_name)
        return messages.RepositoryModelUnloadResponse()

    def _infer(self, message: Any, context: Any) -> Any:
        parameters = {
            name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param")
            for name, value in message.parameters.items()
        }
        refuse_sequences(parameters)
        deadlines = [each for each in (context.time_remaining(), within_s(parameters)) if each is not None]
        answer = self._desk.infer(
            Asked(
                model=message.model_name,
                version=message.model_version,
                id=message.id,
                inputs=grpc_tensors.read(message.inputs, message.raw_input_contents, self._limits),
                outputs=tuple(output.name for output in message.outputs),
                within_s=min(deadlines, default=None),
            )
        )
        response = messages.ModelInferResponse(model_name=answer.model, model_version=answer.version, id=answer.id)
        grpc_tensors.write(answer.outputs, response.outputs, response.raw_output_contents)
        return response
