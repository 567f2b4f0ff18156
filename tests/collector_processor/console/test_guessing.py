"""Guessing the console's token, over a real connection."""

import asyncio
import logging
from itertools import count

import pytest
from console_samples import NOW, Document, serving
from history_samples import HOUR, record

from otel_ml import semconv

TOKEN = "correct-horse"
AUTH = {"bearer_token": TOKEN}
ENOUGH = 60
"""Guesses, so many that some are refused even where ten take as long as one comes back in."""

numbers = count()


def client(name):
    """What a proxy on this machine says of whom it asks for."""
    return {"x-forwarded-for": f"192.0.2.200, {name}"}


async def form(served, token, **headers):
    return await served.get("/login", "POST", data={"token": token}, headers=headers)


async def bearer(served, token, path="/models.json", **headers):
    return await served.get(path, headers={"authorization": f"Bearer {token}", **headers})


async def guess_until_refused(served, way=form, **headers):
    """How many wrong tokens were looked at, and the answer to the one that was not."""
    for looked_at in range(ENOUGH):
        answer = await way(served, f"guess{next(numbers)}", **headers)
        if answer.status_code == 429:
            return looked_at, answer
    raise AssertionError("it may be guessed without end")


async def test_who_guesses_has_to_wait_and_nobody_else(caplog):
    """Not even the right token is looked at then, from there; somebody else logs in meanwhile."""
    async with serving(record(NOW - HOUR), auth=AUTH) as served:
        with caplog.at_level(logging.WARNING):
            looked_at, refused = await guess_until_refused(served, **client("198.51.100.1"))
            again = [await form(served, f"again{number}", **client("198.51.100.1")) for number in range(3)]
        other = await form(served, TOKEN, **client("198.51.100.2"))

        assert looked_at >= 10
        assert 1 <= int(refused.headers["retry-after"]) <= 6
        assert "try again later" in Document(refused.text).text
        assert "form" in [tag for tag, _ in Document(refused.text).elements]
        assert 429 in {answer.status_code for answer in again}
        assert other.status_code == 303
        assert caplog.text.count("too many wrong tokens") == 1
        assert served.telemetry.total(semconv.PROCESSOR_CONSOLE_REFUSED, drop_reason="wrong_token") >= 10
        assert served.telemetry.total(semconv.PROCESSOR_CONSOLE_REFUSED, drop_reason="too_many_guesses") >= 1
        assert served.telemetry.total(semconv.PROCESSOR_ERRORS) == 0


async def test_a_header_is_another_way_to_guess_and_no_further_one():
    """What was wrong in a header counts for the form; programs and browsers are told in their own way."""
    async with serving(record(NOW - HOUR), auth=AUTH) as served:
        looked_at, data = await guess_until_refused(served, bearer)
        page = await bearer(served, "guess", "/alerts")
        login = await form(served, "guess")
        other = await bearer(served, TOKEN, **client("198.51.100.2"))

        assert looked_at >= 10
        assert "too many" in data.json()["error"].lower()
        assert {answer.status_code for answer in (page, login)} <= {429, 303, 403}
        assert 429 in {page.status_code, login.status_code}
        assert all(
            int(answer.headers["retry-after"]) >= 1 for answer in (data, page, login) if answer.status_code == 429
        )
        assert other.status_code == 200


async def test_who_is_logged_in_notices_nothing():
    """Even from the address of whoever guesses: pages ask for themselves every few seconds."""
    async with serving(record(NOW - HOUR), auth=AUTH) as served:
        cookie = (await form(served, TOKEN)).headers["set-cookie"].partition(";")[0]
        served.client.cookies.clear()
        await guess_until_refused(served)
        pages = [await served.get(path, headers={"cookie": cookie}) for path in ("/", "/models.json", "/alerts")]

        assert [page.status_code for page in pages] == [200, 200, 200]


async def test_those_who_show_no_token_are_never_refused():
    """They are led to the login, or told what they lack, also where somebody guessed; the form and its files come."""
    async with serving(auth=AUTH) as served:
        await guess_until_refused(served)
        found = [await served.get(path) for path in ("/", "/models.json", "/login", "/static/console.css")]

        assert [answer.status_code for answer in found] == [303, 401, 200, 200]


async def test_a_flood_of_guesses_is_answered_at_once_and_holds_nobody_up():
    """Nothing waits for its turn: what is over the limit is refused, and whoever looks gets a page."""
    async with serving(record(NOW - HOUR), auth=AUTH) as served:
        cookie = (await form(served, TOKEN)).headers["set-cookie"].partition(";")[0]
        served.client.cookies.clear()
        flood = [form(served, f"guess{number}", **client(f"198.51.100.{number % 5}")) for number in range(300)]
        look = served.get("/", headers={"cookie": cookie})
        *guesses, page = await asyncio.gather(*flood, look)
        statuses = [answer.status_code for answer in guesses]

        assert set(statuses) == {403, 429}
        assert statuses.count(403) >= 50
        assert page.status_code == 200
        assert len(statuses) == served.telemetry.total(semconv.PROCESSOR_CONSOLE_REFUSED)


@pytest.mark.parametrize("length", [10, 100_000_000])
async def test_a_refused_form_is_not_waited_for(length):
    """Whoever announces one and sends nothing is answered, too."""
    async with serving(auth=AUTH) as served:
        await guess_until_refused(served)
        head = f"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        # Another may come back every six seconds.
        answers = [await served.raw(head.encode()) for _ in range(2)]

        assert any(answer.startswith(b"HTTP/1.1 429 ") for answer in answers)
