"""What every page keeps to, and what the server answers to those who mean it harm."""

import asyncio
import logging

import pytest
from console_samples import HOSTILE, NOW, Document, is_ours, named, serving
from history_samples import HOUR, alert, record, subject

from collector_processor.console.guarding import COOKIE, HEADERS
from collector_processor.console.pages import pages
from otel_ml import semconv

TOKEN = "correct-horse-battery"
PAGES = [page.path for page in pages()]
ASSETS = ("/static/console.css", "/static/console.js", "/static/picture.css", "/static/vendor/htmx.min.js")
ADDRESSES = {"href", "src", "action", "hx-get", "hx-post", "data", "poster", "srcset", "formaction", "xlink:href"}


def twin(path):
    return "/models.json" if path == "/" else f"{path}.json"


def assert_strict(answer):
    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def assert_harmless(text):
    """Nothing that a name brought in can run, load or look like a part of ours."""
    document = Document(text)
    assert {tag for tag, _ in document.elements} <= {
        "html", "head", "meta", "title", "link", "script", "body", "a", "header", "svg", "path", "nav", "span", "main",
        "div", "h1", "h2", "h3", "p", "form", "label", "input", "button", "select", "option", "table", "caption",
        "thead", "tbody", "tr", "th", "td", "code", "pre", "section", "ul", "ol", "li", "strong", "em", "dl", "dt",
        "dd", "figure", "figcaption", "time", "details", "summary", "meter", "br", "small", "g", "rect", "line",
        "polyline", "polygon", "circle", "text", "tspan", "desc", "defs", "clippath", "use", "noscript",
    }  # fmt: skip
    for tag, attributes in document.elements:
        assert tag != "script" or is_ours(attributes["src"]), attributes
        assert "style" not in attributes, (tag, attributes)
        assert not [name for name in attributes if name.startswith(("on", "hx-on"))], (tag, attributes)
        for name in ADDRESSES & attributes.keys():
            assert is_ours(attributes[name]), (tag, attributes[name][:200])
    return document


@pytest.mark.parametrize("path", PAGES)
async def test_of_an_empty_history_every_page_says_something(path):
    """And so does its twin, with the same status: whoever just started the processor looks at it first."""
    async with serving() as served:
        page, data = await served.get(path), await served.get(twin(path))

        assert page.status_code in (200, 404)
        assert data.status_code == page.status_code
        assert data.headers["content-type"] == "application/json"
        assert isinstance(data.json(), dict)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert len(Document(page.text.partition("<main")[2]).text.split()) > 5
        assert_strict(page)
        assert_strict(data)
        assert_harmless(page.text)
        assert served.telemetry.points() == []


@pytest.mark.parametrize("path", PAGES)
async def test_a_hostile_name_stays_a_name(path):
    """Names of models, columns, versions, segments and categories come from whoever sends."""
    async with serving(*(window for name in HOSTILE for window in named(name))) as served:
        for name in HOSTILE:
            for segment in ({}, {"segment": f"{name}={name}"}):
                parameters = {"name": name, "version": name, "feature": name, "range": "24h", **segment}
                page = await served.get(path, params=parameters)
                data = await served.get(twin(path), params=parameters)

                assert page.status_code == data.status_code == 200, name
                text = assert_harmless(page.text).text
                assert " 49" not in text
                assert_strict(page)
                assert "NaN" not in data.text
                assert data.json().keys()
                assert served.telemetry.points() == []


@pytest.mark.parametrize("path", PAGES)
async def test_a_very_long_name_is_no_failure(path):
    """An address that is longer than names are is cut, and what is left is nobody's name."""
    name = "x" * 10_000
    async with serving(*named(name)) as served:
        page = await served.get(path, params={"name": name, "feature": name, "model": name})

        assert page.status_code in (200, 404)
        assert_harmless(page.text)
        assert served.telemetry.points() == []


STRANGE = (
    "name=%00", "name=%FF%FE", "name=%", "name=%zz&range=%u0041", "name", "&&&=&=", "name=a&name=b", "range=1y",
    "at=-1", "at=1e9", "at=99999999999999999999999", "at=9223372036854775808", "at=\u0661", "rows=no",
    "name=" + "x" * 30_000, "feature=%F0%9F%92%A9", "role=nobody", "state=nobody", "at=0", "segment=%0a",
    "q=%00%25_", "dimension=%00",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
async def test_a_strange_address_is_answered(path):
    """With a page, or with a sentence about what is wrong with it; never with a failure."""
    async with serving(record(NOW - HOUR)) as served:
        for query in (*STRANGE, *(f"name=fraud&feature=f000&{query}" for query in STRANGE)):
            page, data = await served.get(f"{path}?{query}"), await served.get(f"{twin(path)}?{query}")

            assert page.status_code in (200, 404), query[:100]
            assert data.status_code == page.status_code
            assert_harmless(page.text)
            assert page.status_code == 200 or data.json()["error"]
            assert served.telemetry.points() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_every_answer_has_the_strict_headers(method):
    """Whatever is asked for, and however: pages, files, mistakes, and what the framework says by itself."""
    async with serving(record(NOW - HOUR), auth={"bearer_token": TOKEN}) as served:
        for path in (*PAGES, *map(twin, PAGES), *ASSETS, "/login", "/nowhere", "/static/no.css"):
            for headers in ({}, {"authorization": f"Bearer {TOKEN}"}):
                answer = await served.get(path, method, headers=headers)

                assert_strict(answer)
                assert answer.status_code < 500


async def test_head_is_answered_as_get_without_the_body():
    """For those who watch whether it is up."""
    async with serving(record(NOW - HOUR)) as served:
        for path in ("/", "/alerts", "/models.json", *ASSETS):
            head, get = await served.get(path, "HEAD"), await served.get(path)

            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(method):
    """The pages only show."""
    async with serving(record(NOW - HOUR)) as served:
        for path in (*PAGES, *map(twin, PAGES), *ASSETS, "/nowhere"):
            assert (await served.get(path, method)).status_code == 405


async def test_files_are_kept_by_browsers_and_pages_are_not():
    """A file has a new address when it changes."""
    async with serving() as served:
        page, file = await served.get("/"), await served.get(ASSETS[0])
        found = [address for address in Document(page.text).values("href") if address.startswith(ASSETS[0])]

        assert page.headers["cache-control"] == "no-store"
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert len(found[0].partition("?v=")[2]) == 12


PATHS = (
    "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/%2e%2e/server.py", "/static//etc/passwd",
    "/static/vendor/../../server.py", "/static/..\\server.py", "/static/%00", "/static/", "/static/vendor/",
    "/static/vendor/htmx.LICENSE%00.js", "/static/console.css/", "/static/%c0%ae%c0%ae/x", "/static/__init__.py",
)  # fmt: skip


async def test_only_files_of_ours_are_served():
    """By name out of a table, so there is no path to walk."""
    async with serving() as served:
        for path in PATHS:
            answer = await served.raw(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())

            assert answer.startswith(b"HTTP/1.1 404 ")
            assert b"not found" in answer


REQUESTS = (
    (b"GET /\xff HTTP/1.1", b"400"), (b"GET /%ff HTTP/1.1", b"404"), (b"GET /%00 HTTP/1.1", b"404"),
    (b"GET /% HTTP/1.1", b"404"), (b"GET // HTTP/1.1", b"404"), (b"GET //evil.example/ HTTP/1.1", b"404"),
    (b"GET http://evil.example/ HTTP/1.1", b"200"), (b"GET /" + b"a" * 60_000 + b" HTTP/1.1", b"404"),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", b"400"), (b"CONNECT evil.example:443 HTTP/1.1", b"4"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"), (b"GET /alerts/../model HTTP/1.1", b"404"),
)  # fmt: skip


async def test_a_strange_request_is_answered():
    """Without a failure, and without taking anything else for it."""
    async with serving(record(NOW - HOUR)) as served:
        for line, status in REQUESTS:
            answer = await served.raw(line + b"\r\nhost: localhost\r\nconnection: close\r\n\r\n")

            assert answer.startswith(b"HTTP/1.1 " + status), line[:60]
        assert (await served.get("/")).status_code == 200
        assert served.telemetry.points() == []


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:13180", "[::1", "0.0.0.0", "localhost@x", ""])
async def test_another_name_is_not_answered(host):
    """Not on any address of ours, and without a word about what there is (DNS rebinding)."""
    async with serving(record(NOW - HOUR, whose=subject("secret-model"))) as served:
        for path in (*PAGES, *map(twin, PAGES), *ASSETS, "/login"):
            request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
            answer = await served.raw(request.encode())

            assert answer.startswith(b"HTTP/1.1 421 ")
            assert b"secret-model" not in answer
            assert b"content-security-policy" in answer
        assert (await served.raw(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 421 ")


async def test_without_the_token_nothing_is_shown():
    """A browser is led to the login, a program is told what it lacks."""
    async with serving(record(NOW - HOUR, whose=subject("secret-model")), auth={"bearer_token": TOKEN}) as served:
        for path in (*PAGES, "/nowhere"):
            page = await served.get(f"{path}?name=secret-model")

            assert page.status_code == 303
            assert page.headers["location"].startswith("/login?next=%2F")
        for path in (*map(twin, PAGES), "/nowhere.json"):
            data = await served.get(path)

            assert (data.status_code, data.headers["www-authenticate"]) == (401, "Bearer")
            assert "secret-model" not in data.text


@pytest.mark.parametrize(
    "host", ["x/static/console.css?", "x/login?", "x/static/console.css#", "static", "x/static/y\\", "localhost/login/"]
)
async def test_no_name_of_ours_opens_a_page(host):
    """Which pages need no token is a matter of the page that is shown, not of the address that a client spells out."""
    async with serving(record(NOW - HOUR, whose=subject("secret-model")), auth={"bearer_token": TOKEN}) as served:
        for path in ("/", "/models.json", "/alerts", "/static/../", "/login/../models.json"):
            request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"

            assert b"secret-model" not in await served.raw(request.encode())


async def test_a_login_opens_the_page_that_was_wanted(caplog):
    """With a cookie that no script reads and no other site sends; the token stands nowhere."""
    caplog.set_level(logging.DEBUG)
    async with serving(record(NOW - HOUR, whose=subject("fraud")), auth={"bearer_token": TOKEN}) as served:
        wanted = (await served.get("/model?name=fraud")).headers["location"]
        form = await served.get(wanted)
        wrong = await served.get(wanted, "POST", data={"token": "guess"})
        right = await served.get(wanted, "POST", data={"token": TOKEN})
        page = await served.get(right.headers["location"])

        assert (form.status_code, wrong.status_code, right.status_code) == (200, 403, 303)
        assert right.headers["location"] == "/model?name=fraud"
        cookie = right.headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax", "path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "fraud" in page.text
        everything = [*(one.text for one in (form, wrong, right, page)), caplog.text, str(dict(right.headers))]
        assert not [text for text in everything if TOKEN in text]
        assert "guess" not in wrong.text
        assert (await served.get("/models.json", headers={"cookie": f"{COOKIE}=wrong"})).status_code == 401
    async with serving(record(NOW - HOUR), auth={"bearer_token": TOKEN}) as served:
        assert (await served.get("/models.json", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example", "/\\evil.example", "/%09/evil.example", "//[", "/\t//x"]
)
async def test_a_login_never_leads_to_another_site(next_page):
    """Not in its form either."""
    async with serving(auth={"bearer_token": TOKEN}) as served:
        form = await served.get("/login", params={"next": next_page})
        done = await served.get("/login", "POST", params={"next": next_page}, data={"token": TOKEN})

        assert_harmless(form.text)
        assert done.status_code == 303
        assert is_ours(done.headers["location"])
        assert done.headers["location"].startswith("/")
        assert not done.headers["location"].startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "body", [b"", b"token", b"token=%ff", b"\xff", b"token=a&token=" + TOKEN.encode(), b"x" * 50_000]
)
async def test_a_strange_form_is_no_login(body):
    """Nor is one that is too long to be read."""
    async with serving(auth={"bearer_token": TOKEN}) as served:
        answer = await served.get("/login", "POST", content=body)

        assert answer.status_code == 403
        assert served.telemetry.total(semconv.PROCESSOR_ERRORS) == 0


async def test_where_nobody_needs_a_token_nobody_is_asked_for_one():
    """An old link to the login leads on."""
    async with serving(record(NOW - HOUR)) as served:
        answer = await served.get("/login?next=/alerts")

        assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")


async def test_links_lead_to_pages_of_ours_that_are_there():
    """Every address that the pages of a model with alerts name."""
    firing = [alert(time=next(named("fraud")).line.end_unix_nano, whose=subject("fraud", "fraud"))]
    async with serving(*named("fraud"), record(NOW - HOUR, whose=subject("other"), alerts=firing)) as served:
        seen, waiting = set(), ["/"]
        while waiting and len(seen) < 60:
            address = waiting.pop(0)
            if address in seen:
                continue
            seen.add(address)
            page = await served.get(address)
            if page.headers["content-type"].startswith("text/html"):
                waiting += [link for link in assert_harmless(page.text).links if not link.startswith("#")]

            # A feature whose window is gone is a page that says so.
            assert page.status_code == 200 or (address.startswith("/feature") and page.status_code == 404), address
        assert {address.partition("?")[0] for address in seen} >= {"/", "/model", "/alerts", "/pipeline"}


async def test_many_who_look_at_once_are_all_answered():
    """Or are told to come back; the server goes on, and nothing has failed."""
    async with serving(record(NOW - HOUR)) as served:
        answers = await asyncio.gather(*(served.get("/") for _ in range(200)), return_exceptions=True)
        statuses = {answer.status_code for answer in answers}

        assert statuses <= {200, 503}
        assert 200 in statuses
        assert (await served.get("/")).status_code == 200
        assert served.telemetry.points() == []


async def test_a_slow_client_holds_up_nobody():
    """It has as long as a request may take; meanwhile others are answered."""
    async with serving(record(NOW - HOUR)) as served:
        slow = [await asyncio.open_connection("127.0.0.1", served.console.address.port) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nhost: local")

        assert (await served.get("/")).status_code == 200
        for _, writer in slow:
            writer.close()


async def test_a_failure_is_counted_and_told_without_its_reason():
    """What failed stands in the log, not on the page."""
    async with serving(record(NOW - HOUR)) as served:
        served.store.ask = broken
        page = await served.get("/")

        assert page.status_code == 500
        assert "secret reason" not in page.text
        assert_strict(page)
        assert [point.value for point in served.telemetry.points()] == [1]


async def broken(question):
    raise RuntimeError("secret reason")


async def test_every_page_is_registered_once():
    """Being in the folder is all that it takes, so each has an address of its own."""
    assert len(set(PAGES)) == len(PAGES)
