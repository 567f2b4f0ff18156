"""BentoML: the request around model calls, exact batches, spans that arrive, and a record where no model hook fired.

What happens to spans. BentoML wraps each service in contrib's ASGI middleware, and gives it a private TracerProvider
that samples nothing unless `tracing:` says so. Everything below its SERVER span would inherit "not sampled" and be
lost. So:

- no global provider is set: BentoML's own one makes the spans, as without us;
- a global provider is set, by `opentelemetry-instrument` or in the service's code, before or after it has started, and
  `tracing:` gives neither `sample_rate` nor `exporter_type`: BentoML's SERVER spans go to the global provider, its
  sampler decides, and the spans of inferences are their children. `tracing.excluded_urls` goes on to be respected;
- `tracing:` is configured (in the file that BENTOML_CONFIG names, in BENTOML_CONFIG_OPTIONS, or in
  `@bentoml.service(tracing=…)`): BentoML's provider is left alone. Spans of inferences go to the global provider and
  are sampled when BentoML's SERVER span is; `sample_rate: 0` means none of either;
- contrib's Starlette (or ASGI) instrumentation is on as well: its SERVER span is the only one, and BentoML's
  middleware, which would add an INTERNAL span for the same request and for each message, adds none;
- a FastAPI application (>= 0.142) is mounted in the service: it makes a SERVER span of its own for its requests, beside
  BentoML's, and continues the caller's trace. `FastAPI(telemetry={"tracing": False})` leaves BentoML's alone.

Sketches, metrics and events depend on none of this. The header X-BentoML-Request-ID is BentoML's and stays: it is the
id of the span that stands for the request.

What is recorded. Model hooks see models wherever they are called. Where none fires, an API's validated arguments and
its answer are recorded as `<service>.<api>` with the bento's version: arrays and tables always, JSON if the API's name,
route or answer says that it predicts (see `exchange.py`). Answers that stream are never read.

Services that depend on others tell them the request's id in `x-request-id`, and learn from their responses whether the
inference was recorded there: one call of a model is one inference, through however many services a request goes.
"""

from __future__ import annotations

from otel_ml.instrumentation.servers.bentoml.instrumentor import BentoMLInstrumentor

__all__ = ["BentoMLInstrumentor"]
