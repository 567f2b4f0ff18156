"""The addresses of the console: every page, its twin in JSON, and the files that they load."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, quote

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from collector_processor.console.guarding import COOKIE, COOKIE_AGE_S, HEADERS, Gate, local_path
from collector_processor.console.guesses import Caller, TooManyGuessesError, caller_of
from collector_processor.console.page import Live, NotFoundError, Page, Request, address
from collector_processor.console.pages import pages
from collector_processor.console.settings import ConsoleSettings
from collector_processor.console.templates import Templates
from collector_processor.console.turns import BusyError, Turns
from collector_processor.history import Archive, History
from collector_processor.http_server import Application, Receive, Scope, Send
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml.drawing.stylesheet import STYLESHEET

_Endpoint = Callable[[HttpRequest], Awaitable[Response]]

_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_TOO_MANY: Final = "Too many wrong tokens came from here; try again later"
_LONGEST_FORM: Final = 4096
# Names of columns are as long as they are; longer than this no request is.
_LONGEST_PARAMETER: Final = 65_536


def application(
    settings: ConsoleSettings, history: History, telemetry: SelfTelemetry, gate: Gate, live: Callable[[], Live]
) -> Application:
    """All of the console.

    Args:
        live: Gives what is known at this moment; called in the event loop.
    """
    known = pages()
    assets = _assets()
    turns = Turns()
    templates = Templates(known, settings, {name: _version(content) for name, (_, content) in assets.items()})

    async def show(page: Page, as_json: bool, http: HttpRequest) -> Response:  # noqa: FBT001 - bound below
        parameters = {name: value[:_LONGEST_PARAMETER] for name, value in http.query_params.items()}

        async def ask() -> tuple[int, bytes]:
            return await history.ask(partial(_answer, page, parameters, live(), settings, templates, as_json=as_json))

        try:
            found = await turns.take(ask, has_left=http.is_disconnected)
        except BusyError:
            found = None
        if found is None:
            return Response("too many pages are being asked for; try again\n", 503, {"retry-after": "5"}, "text/plain")
        status, body = found
        return Response(body, status, media_type=_JSON if as_json else _HTML)

    async def asset(http: HttpRequest) -> Response:
        found = assets.get(http.path_params["name"])
        if found is None:
            return Response("not found\n", 404, media_type="text/plain")
        return Response(found[1], headers={"cache-control": "public, max-age=31536000, immutable"}, media_type=found[0])

    async def guarded(http: HttpRequest, endpoint: _Endpoint, *, is_open: bool) -> Response:
        if not gate.knows_host(http.headers.get("host", "")):
            return Response("this name does not lead here (use 127.0.0.1 or localhost)\n", 421, media_type="text/plain")
        # Not `http.url`: what that makes of the path depends on what the client calls us.
        path = http.scope["path"]
        try:
            if is_open or gate.admits(http.headers, _caller(http)):
                return await endpoint(http)
        except TooManyGuessesError as error:
            return _refused(error, path)
        if path.endswith(".json"):
            body = {"error": "a token is needed (authorization: Bearer …)"}
            return Response(json.dumps(body), 401, {"www-authenticate": "Bearer"}, _JSON)
        query = http.scope["query_string"].decode("latin-1")
        return RedirectResponse(address("/login", next=f"{quote(path)}?{query}" if query else quote(path)), 303)

    def route(path: str, endpoint: _Endpoint, *methods: str, is_open: bool = False) -> Route:
        async def protected(http: HttpRequest) -> Response:
            try:
                return await guarded(http, endpoint, is_open=is_open)
            except Exception as error:
                telemetry.failed("console", error)
                return Response("the page failed; the processor's log says why\n", 500, media_type="text/plain")

        return Route(path, protected, methods=list(methods or ("GET",)))

    async def nowhere(http: HttpRequest) -> Response:
        message = f"{http.scope['path'][:_LONGEST_PARAMETER]}: there is no such page"
        return Response(templates.plain("missing.html", message=message), 404, media_type=_HTML)

    routes = [
        route("/static/{name:path}", asset, is_open=True),
        route("/login", partial(_log_in, gate, templates, settings), "GET", "POST", is_open=True),
    ]
    for page in known:
        routes.append(route(page.path, partial(show, page, False)))
        routes.append(route(f"{page.path if page.path != '/' else '/models'}.json", partial(show, page, True)))
    routes.append(route("/{path:path}", nowhere))
    return _with_headers(Starlette(routes=routes))


def _answer(
    page: Page,
    parameters: Mapping[str, str],
    live: Live,
    settings: ConsoleSettings,
    templates: Templates,
    archive: Archive,
    *,
    as_json: bool,
) -> tuple[int, bytes]:
    """Status and body; called where the history is read."""
    request = Request(archive, parameters, live, settings)
    try:
        content = page.query(request)
    except NotFoundError as error:
        if as_json:
            return 404, json.dumps({"error": str(error)}).encode()
        return 404, templates.plain("missing.html", message=str(error)).encode()
    if as_json:
        return 200, json.dumps(_finite(content), allow_nan=False).encode()
    return 200, templates.page(page, request, content).encode()


def _finite(value: Any) -> Any:
    """The same without what JSON cannot hold: what is no number is nothing."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _with_headers(application: Application) -> Application:
    """The same with headers on every answer, also on those that the framework gives itself."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await application(scope, receive, sent)

    return answer


async def _log_in(gate: Gate, templates: Templates, settings: ConsoleSettings, http: HttpRequest) -> Response:
    wanted = local_path(http.query_params.get("next", "/")[:_LONGEST_PARAMETER])

    def ask(status: int, problem: str = "", headers: Mapping[str, str] | None = None) -> Response:
        return Response(templates.plain("login.html", next=wanted, problem=problem), status, headers, _HTML)

    if not gate.asks:
        return RedirectResponse(wanted, 303)
    if http.method != "POST":
        return ask(200)
    caller = _caller(http)
    try:
        # Before the form is read, too: what it says would not be looked at.
        gate.check(caller)
        session = gate.session(await _posted_token(http), caller)
    except TooManyGuessesError as error:
        return ask(429, f"{_TOO_MANY}.", _retry_after(error))
    if session is None:
        return ask(403, "That is not the token.")
    answer = RedirectResponse(wanted, 303)
    answer.set_cookie(COOKIE, session, COOKIE_AGE_S, httponly=True, samesite="lax", secure=settings.tls is not None)
    return answer


def _refused(error: TooManyGuessesError, path: str) -> Response:
    if path.endswith(".json"):
        return Response(json.dumps({"error": _TOO_MANY}), 429, _retry_after(error), _JSON)
    return Response(f"{_TOO_MANY}\n", 429, _retry_after(error), "text/plain")


def _retry_after(error: TooManyGuessesError) -> Mapping[str, str]:
    return {"retry-after": str(math.ceil(error.wait_s))}


def _caller(http: HttpRequest) -> Caller:
    peer = None if http.client is None else http.client.host
    return caller_of(peer, ",".join(http.headers.getlist("x-forwarded-for")))


async def _posted_token(http: HttpRequest) -> str:
    body = b""
    async for chunk in http.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]


def _assets() -> dict[str, tuple[str, bytes]]:
    """By name the type and the bytes of every file that pages load."""
    found = {"picture.css": (_TYPES["css"], STYLESHEET.encode())}
    folder = files("collector_processor.console").joinpath("static")
    for prefix, directory in (("", folder), ("vendor/", folder.joinpath("vendor"))):
        for file in directory.iterdir():
            kind = _TYPES.get(file.name.rpartition(".")[2])
            if kind is not None:
                found[prefix + file.name] = (kind, file.read_bytes())
    return found


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
