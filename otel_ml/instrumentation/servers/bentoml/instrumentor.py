"""Which of BentoML's classes are patched; each part works on without the others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.patch import ModulePatch, Patch
from otel_ml.instrumentation.requests import asgi
from otel_ml.instrumentation.servers.bentoml import api_calls, batching, hops, tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_SERVER = "_bentoml_impl.server.app"
_DISPATCHER = "bentoml._internal.marshal.dispatcher"
_PARSERS = ("_parse_response", "_parse_stream_response", "_parse_file_response")


class BentoMLInstrumentor(MLInstrumentor):
    """Gives model calls their request or batch, spans a provider, and records what no model hook sees."""

    requires = ("bentoml >= 1.4",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """All of it is private, so all of it may be missing in another version: that part is then skipped."""
        return (
            # The innermost middleware: timeouts, which cancel what is inside, are outside.
            Patch(_SERVER, "ContextMiddleware.__call__", _serving),
            Patch(_SERVER, "ServiceAppFactory.api_endpoint", api_calls.serving_api),
            Patch(_SERVER, "ServiceAppFactory.batch_infer", api_calls.remembering_batched),
            Patch("_bentoml_sdk.method", "APIMethod._local_call", api_calls.remembering),
            Patch(_DISPATCHER, "Job", batching.with_member),
            Patch(_DISPATCHER, "CorkDispatcher.split_job", batching.splitting_rows),
            Patch(_DISPATCHER, "CorkDispatcher.outbound_call", batching.in_own_context),
            ModulePatch(
                "bentoml._internal.configuration.containers",
                "BentoMLContainer.tracer_provider",
                functools.partial(tracing.follow_global_provider, is_active=lambda: BentoMLInstrumentor.active),
            ),
            # The client of `bentoml.depends`: aiohttp since 1.4.2x, before that httpx, which remains for users.
            Patch("_bentoml_impl.client.proxy2", "AsyncClient._build_payload", hops.telling_id_in_place),
            *(Patch("_bentoml_impl.client.proxy2", f"AsyncClient.{name}", hops.noticing) for name in _PARSERS),
            Patch("_bentoml_impl.client.http", "HTTPClient._build_request", hops.telling_id),
            *(
                Patch("_bentoml_impl.client.http", f"{client}.{name}", hops.noticing)
                for client in ("SyncHTTPClient", "AsyncHTTPClient")
                for name in _PARSERS
            ),
        )


def _serving(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    counting = hops.counting_calls(original)
    return asgi.serving(counting, switch=BentoMLInstrumentor)
