"""The console as a part of the service."""

import asyncio
import logging
import socket
import ssl
import subprocess
import sys

import httpx
import pytest
import trustme
from console_samples import NOW, serving, stored
from history_samples import HOUR, record
from running_service import until

from collector_processor.console import server as server_module
from collector_processor.console.server import Console
from collector_processor.console.settings import ConsoleSettings
from collector_processor.errors import StartError
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address
from otel_ml import semconv

ANYWHERE = Address("127.0.0.1", 0)


def console(store=None, telemetry=None, **settings):
    return Console(ConsoleSettings(**{"endpoint": ANYWHERE, **settings}), store, telemetry or SelfTelemetry())


@pytest.fixture
def taken():
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def certificate(tmp_path):
    """Files of a certificate for this machine, and the authority that issued it."""
    return write_certificate(tmp_path, trustme.CA())


def write_certificate(folder, authority):
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}, authority


async def test_switched_off_it_does_nothing():
    """And listens nowhere."""
    off = console(enabled=False)
    await off.start()

    assert (off.address, off.url) == (None, None)
    await off.shutdown(1.0)


async def test_it_says_where_it_is():
    """As a browser on this machine finds it, also where it listens on every address."""
    local, everywhere = console(), console(endpoint=Address("0.0.0.0", 0), allow_insecure=True)
    for one in (local, everywhere):
        await one.start()
    try:
        assert local.url == f"http://127.0.0.1:{local.address.port}/"
        assert everywhere.url == f"http://127.0.0.1:{everywhere.address.port}/"
    finally:
        for one in (local, everywhere):
            await one.shutdown(1.0)


async def test_where_its_usual_port_is_taken_it_takes_another(taken, caplog):
    """Nothing that matters depends on it, so a processor starts; unless somebody asked for this very port."""
    settings = ConsoleSettings.model_construct(_fields_set=set(), endpoint=Address("127.0.0.1", taken))
    found = Console(settings, None, SelfTelemetry())
    with caplog.at_level(logging.WARNING):
        await found.start()
    try:
        assert found.address.port != taken
        assert f"127.0.0.1:{taken}" in caplog.text
        with pytest.raises(StartError, match="service::console::endpoint: cannot listen"):
            await console(endpoint=Address("127.0.0.1", taken)).start()
    finally:
        await found.shutdown(1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auth": {"bearer_token_file": "/no/such/file"}}, "service::console::auth: "),
        ({"auth": {"bearer_token": ""}}, "service::console::auth: is empty"),
        ({"tls": {"cert_file": "/no/such/file", "key_file": "/no/such/file"}}, "service::console::tls: "),
    ],
)
async def test_what_cannot_be_read_keeps_it_from_starting(settings, message):
    """Not the first who looks: then it would be open to everybody, or to nobody, without a word."""
    with pytest.raises(StartError, match=message):
        await console(**settings).start()


async def test_a_page_comes_over_tls(certificate):
    """And the cookie of a login only over it."""
    tls, authority = certificate
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    async with serving(record(NOW - HOUR), tls=tls, auth={"bearer_token": "token"}, verify=trusted) as served:
        login = await served.get("/login", "POST", data={"token": "token"})
        plain = await served.raw(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")

        assert served.console.url.startswith("https://")
        assert "secure" in login.headers["set-cookie"].lower()
        assert (await served.get("/")).status_code == 200
        assert b"fraud" not in plain


async def test_a_renewed_certificate_is_taken_up(certificate, tmp_path, monkeypatch):
    """Without a restart, as by every other server of ours; one that cannot be read leaves the old one."""
    monkeypatch.setattr("collector_processor.security._RENEWAL_S", 0.02)
    tls, _ = certificate
    other = trustme.CA()
    trusted = ssl.create_default_context()
    other.configure_trust(trusted)
    async with serving(tls=tls, verify=trusted) as served:
        with pytest.raises(httpx.ConnectError):
            await served.get("/")
        (tmp_path / "cert.pem").write_text("broken")
        await until(lambda: served.telemetry.total(semconv.PROCESSOR_ERRORS, processor_task="certificates"))
        write_certificate(tmp_path, other)
        for _ in range(500):
            try:
                answer = await served.get("/")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.02)

        assert answer.status_code == 200


async def test_it_remembers_what_was_counted(monkeypatch):
    """For rates over the last minutes; no more than an hour of it."""
    monkeypatch.setattr(server_module, "_SAMPLE_EVERY_S", 0.001)
    telemetry = SelfTelemetry()
    telemetry.count(semconv.PROCESSOR_RECEIVED, 3, processor_signal="logs")
    telemetry.count(semconv.PROCESSOR_RECEIVED, 4, processor_signal="traces")
    one = console(telemetry=telemetry)
    await one.start()
    await until(lambda: len(one.live().samples) >= 5)
    await one.shutdown(1.0)
    live = one.live()

    assert [sums for _, sums in live.samples[:5]] == [{"ml.processor.received": 7.0}] * 5
    assert len(live.points) == 2
    assert one._samples.maxlen == 360
    await asyncio.sleep(0.01)
    assert len(one.live().samples) == len(live.samples)


def test_a_processor_that_nobody_looks_at_loads_no_pages():
    """Nor what draws them."""
    code = (
        "import sys, collector_processor.service\n"
        "print({'jinja2', 'starlette', 'collector_processor.console.application'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "set()"


async def test_many_who_look_do_not_hold_up_those_who_write():
    """Windows are written between their questions, not after them all."""
    records = [record(NOW - hour * HOUR, count=50) for hour in range(1, 20)]
    async with serving(*records) as served:
        await served.get("/")
        looking = [asyncio.create_task(served.get("/model?name=fraud")) for _ in range(60)]
        await until(lambda: any(task.done() for task in looking))
        await served.store.write({}, [record(NOW - 21 * HOUR)])
        unanswered = sum(not task.done() for task in looking)
        await asyncio.gather(*looking)

        assert unanswered > 30


async def test_it_stops_while_somebody_looks():
    """A browser that keeps its connection open is no reason to wait."""
    async with stored() as store:
        one = console(store)
        await one.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", one.address.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"</html>")
        await one.shutdown(1.0)

        assert await reader.read() is not None
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", one.address.port)
        writer.close()
