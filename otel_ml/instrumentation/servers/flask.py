"""Flask: the request around model calls, and a record of request and response where no model hook saw the model.

No HTTP spans: contrib's instrumentation makes them. A request ends when the server closes the response, so that a
generator's model calls belong to it. GET routes have a scope and are never recorded themselves; neither are forms,
uploads, streams, errors, and bodies the view did not read: only the view may.

Requests to OTEL_PYTHON_ML_EXCLUDED_URLS are not recorded by any layer.
"""

from __future__ import annotations

import functools
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.exchange import inference_in, looks_like_inference, says_prediction
from otel_ml.instrumentation.requests.fallback import offer
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.requests.serving import ServedRequest, prediction_header
from otel_ml.recording.guard import failed
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence

    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.exchange import Exchange
    from otel_ml.instrumentation.requests.scope import InferenceScope

_WHERE: Final = "flask hook"
_TAKEN: Final = "otel_ml.taken"
"""In the WSGI environment: this request is being taken care of already, by the application this one is mounted in."""
_ID_VARIABLES: Final = (("x-request-id", "HTTP_X_REQUEST_ID"), ("ce-id", "HTTP_CE_ID"))
_RECORDED_METHODS: Final = ("POST", "PUT", "PATCH")
_MAX_RESPONSE_BYTES: Final = 64 * 1024
"""A ready-made response beyond this is not parsed once more for the sake of its predictions."""


class FlaskInstrumentor(MLInstrumentor):
    """Gives model calls their request, and records requests and responses where no model call was seen."""

    requires = ("flask >= 3.0",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where a request enters, and where the view's return value is seen."""
        return (
            Patch("flask.app", "Flask.wsgi_app", _serving),
            Patch("flask.app", "Flask.dispatch_request", _dispatching),
        )


def _serving(original: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    @functools.wraps(original)
    def wsgi_app(self: Any, environ: MutableMapping[str, Any], start_response: Any) -> Iterable[bytes]:
        if _TAKEN in environ or not FlaskInstrumentor.active:
            return original(self, environ, start_response)
        environ[_TAKEN] = True
        request = ServedRequest(
            _WHERE,
            method=environ.get("REQUEST_METHOD", ""),
            path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            headers=[(name, environ[variable]) for name, variable in _ID_VARIABLES if variable in environ],
        )
        with request as scope:
            if scope is not None:
                start_response = _telling_id(start_response, scope)
            body = original(self, environ, start_response)
            # The request of a file that the server itself sends, which it knows by its class, ends here.
            if type(body).__name__ != "ClosingIterator":
                return body
            if scope is None:
                return _Body(body, inside, True, request.left_open())
            return _Body(body, request_scope, scope, request.left_open())

    return wsgi_app


class _Body:
    """A response's body, whose pieces are made with the request's context variable set, and which ends the request."""

    __slots__ = ("_body", "_end", "_pieces", "_value", "_variable")

    def __init__(self, body: Iterable[bytes], variable: Any, value: Any, end: Callable[[], None]) -> None:
        self._body = body
        self._pieces = iter(body)
        self._variable = variable
        self._value = value
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        # Set for each piece anew: nothing may stay set in the server's thread across them.
        token = self._variable.set(self._value)
        try:
            return next(self._pieces)
        except StopIteration:
            self._end()
            raise
        finally:
            self._variable.reset(token)

    def close(self) -> None:
        token = self._variable.set(self._value)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._variable.reset(token)
            self._end()


def _telling_id(start_response: Callable[..., Any], scope: InferenceScope) -> Callable[..., Any]:
    """Add the header that names the response's prediction, unless the application has set it itself."""

    def start_response_with_id(status: str, headers: list[tuple[str, str]], *args: Any) -> Any:
        try:
            header = prediction_header(scope)
            if header is not None and all(name.lower() != header[0] for name, _ in headers):
                headers = [*headers, header]
        except Exception as error:
            failed(_WHERE, error)
        return start_response(status, headers, *args)

    return start_response_with_id


# --- the fallback -----------------------------------------------------------------------------------------------------


def _dispatching(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def dispatch_request(self: Any, *args: Any) -> Any:
        scope = current_scope()
        if scope is None or inside.get() or not FlaskInstrumentor.active:
            return original(self, *args)
        request = _current_request(scope)
        begun = perf_counter()
        result = original(self, *args)
        if request is not None and not scope.count:
            _offer_fallback(scope, self, request, result, perf_counter() - begun)
        return result

    return dispatch_request


def _current_request(scope: InferenceScope) -> Any:
    try:
        request = sys.modules["flask"].request._get_current_object()  # noqa: SLF001 - werkzeug's documented name for it
        scope.route = request.url_rule.rule if request.url_rule is not None else ""
    except Exception as error:
        failed(_WHERE, error)
        return None
    return request


def _offer_fallback(scope: InferenceScope, app: Any, request: Any, result: Any, duration_s: float) -> None:
    """Remember request and response; they are read after the response was sent, and only if no model hook fires."""
    try:
        if scope.method not in _RECORDED_METHODS or not request.is_json or not _was_read(request):
            return
        answer = _answer_in(result)
        if answer is None:
            return
        view = app.view_functions[request.endpoint]
        name = getattr(view, "__name__", type(view).__name__)
        named_so = looks_like_inference(name, scope.route)
        offer(
            scope,
            endpoint=view,
            name=name,
            system="flask",
            announced=named_so or says_prediction(answer),
            read=functools.partial(_read, request, answer, named_so=named_so),
            duration_s=duration_s,
        )
    except Exception as error:
        failed(_WHERE, error)


def _was_read(request: Any) -> bool:
    """Whether the view has read the body, and werkzeug kept it: reading what it left would block or eat the stream."""
    kept = vars(request)
    return "_cached_json" in kept or "_cached_data" in kept


def _answer_in(result: Any) -> Any:
    """What the view answered, before or after it was made JSON; None for errors, streams and anything else."""
    if isinstance(result, tuple):
        if any(isinstance(part, int) and part >= 400 for part in result[1:2]):
            return None
        result = result[0] if result else None
    if not hasattr(result, "is_streamed"):
        return result
    if (
        result.status_code >= 400
        or not result.is_json
        or result.is_streamed
        or result.direct_passthrough
        or (result.calculate_content_length() or 0) > _MAX_RESPONSE_BYTES
    ):
        return None
    # `jsonify(…)` is how most views answer. It is parsed here, not later: what comes after the view may change it.
    return result.get_json(silent=True)


def _read(request: Any, answer: Any, _: Any, *, named_so: bool) -> Exchange | None:
    return inference_in(request.get_json(silent=True), answer, named_so=named_so)
