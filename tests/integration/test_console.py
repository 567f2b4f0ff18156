"""The console in a real browser, while the demo runs behind it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from peers.running import REQUIRED, ask, free_ports

pytestmark = pytest.mark.slow

DEMO = [sys.executable, "-c", "from otel_ml.demo.command import demo; demo()"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SCREENSHOTS = "OTEL_ML_SCREENSHOTS"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
PATIENCE_S = 240
PAGES = 40
LISTENER = """addEventListener("securitypolicyviolation", (event) =>
    console.error("refused by policy: " + event.violatedDirective + " " + event.blockedURI))"""


def chromium():
    """The browser of the system; the test is skipped where there is none, or fails where the environment says so."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "chromium is not here (apt-get install chromium)"
        required = os.environ.get(REQUIRED, "").split()
        if required == ["1"] or "chromium" in required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not here (pip install playwright)")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def console(browser, tmp_path_factory):
    """Address of the console of a demo that runs, once it has something to show."""
    folder = tmp_path_factory.mktemp("demo")
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", folder / "demo.log"
    command = [*DEMO, "--headless", "--stay", "--port", "0", "--console-port", str(port)]
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not told(url):
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield url
    finally:
        running.send_signal(signal.SIGINT)
        try:
            running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def told(url):
    """Alerts that were told so far."""
    try:
        return ask(f"{url}/alerts.json")["told"]
    except OSError:
        return []


class Visit:
    """A window of the browser, and everything that it complains about."""

    def __init__(self, browser, url, **options):
        self.url, self.complaints = url, []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        if options.get("java_script_enabled", True):
            self.page.add_init_script(LISTENER)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._failed)

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.type}: {message.text}")

    def _asked(self, request):
        if not request.url.startswith((self.url + "/", "data:image/svg+xml")):
            self.complaints.append(f"{self.page.url}: asks for {request.url}")

    def _failed(self, request):
        # Whoever goes on to the next page asks for the last one no more.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{self.page.url}: {request.url}: {request.failure}")

    def open(self, address):
        answer = self.page.goto(urljoin(self.url, address))
        self.page.wait_for_load_state("load")
        return answer.status

    def links(self):
        """Pages of ours that this one leads to, by their addresses."""
        found = self.page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
        return [link.partition("#")[0] for link in found if link.startswith(self.url + "/") and ".json" not in link]

    def is_wider_than_the_window(self):
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

    def refresh(self):
        """As the page does by itself every few seconds."""
        self.page.evaluate("document.querySelector('main h1').dataset.old = 'yes'")
        self.page.evaluate("htmx.trigger(document.getElementById('content'), 'refresh')")
        self.page.locator("main h1:not([data-old])").wait_for()
        # Playwright's own way to wait for this would need what the policy forbids.
        while self.page.evaluate("!!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')"):
            self.page.wait_for_timeout(20)

    def close(self):
        self.context.close()


@pytest.fixture
def visit(browser, console):
    """Opens windows, and closes them."""
    visits = []

    def opened(**options):
        visits.append(Visit(browser, console, **options))
        return visits[-1]

    yield opened
    for one in visits:
        one.close()


@pytest.fixture(scope="module")
def addresses(console):
    """One of each kind of page."""
    model = ask(f"{console}/models.json")["models"][0]["model"]
    feature = next(alert for alert in told(console) if alert["role"] == "feature")
    return {
        "fleet": "/",
        "model": f"/model?name={model}",
        "feature": f"/feature?name={model}&feature={feature['column']}&at={feature['window_end']}",
        "segments": f"/segments?name={model}",
        "alerts": "/alerts",
        "pipeline": "/pipeline",
    }


def test_every_page_that_links_lead_to_is_sound(visit):
    """No error, nothing that the policy refuses, nothing from elsewhere, nothing that scrolls sideways on a phone."""
    window = visit(viewport={"width": 390, "height": 800})
    seen, waiting, problems = {}, ["/"], []
    while waiting and len(seen) < PAGES:
        address = urljoin(window.url, waiting.pop(0))
        if address in seen:
            continue
        seen[address] = window.open(address)
        # Of each kind some, not forty cells of one heat map.
        kinds = [urlsplit(one).path for one in (*seen, *waiting)]
        waiting += [link for link in dict.fromkeys(window.links()) if kinds.count(urlsplit(link).path) < PAGES // 5]
        if window.is_wider_than_the_window():
            problems.append(f"{address}: scrolls sideways")

    assert {urlsplit(address).path for address in seen} >= {"/", "/model", "/feature", "/alerts", "/pipeline"}
    assert {address: status for address, status in seen.items() if status != 200} == {}
    assert problems + window.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_can_be_used_by_everybody(visit, addresses, scheme, width):
    """As far as axe can tell: names of what can be focused, contrasts, order of headings, roles."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not here").Axe()
    window, problems = visit(viewport={"width": width, "height": 900}, color_scheme=scheme), []
    for name, address in addresses.items():
        assert window.open(address) == 200
        for violation in axe.run(window.page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = [node["target"] for node in violation["nodes"]][:3]
                problems.append(f"{name}: {violation['id']}: {violation['help']}: {where}")

    assert problems == []


def test_the_keyboard_reaches_everything(visit, addresses):
    """First the way past the navigation, then the pages, then what is on this one; what has the focus can be seen."""
    window = visit(viewport={"width": 1280, "height": 900})
    window.open(addresses["model"])
    reached = []
    for _ in range(40):
        window.page.keyboard.press("Tab")
        if window.page.evaluate("document.activeElement === document.body"):
            break  # that was the last one; how many there are depends on what fires
        reached.append(window.page.evaluate("document.activeElement.getAttribute('href')"))
        outline = window.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")

        assert outline != "none", reached[-1]
    assert reached[0] == "#content"
    assert [link for link in reached if link in ("/", "/alerts", "/pipeline")][:4] == ["/", "/", "/alerts", "/pipeline"]
    assert any(link and link.startswith("/feature?") for link in reached)

    window.open(addresses["model"])
    window.page.keyboard.press("Tab")
    window.page.keyboard.press("Enter")
    window.page.keyboard.press("Tab")

    assert window.page.evaluate("document.getElementById('content').contains(document.activeElement)")


def test_without_scripts_all_is_there(visit, addresses):
    """Pictures and charts are drawn by the server; scripts make them livelier."""
    window = visit(java_script_enabled=False)
    for name, address in addresses.items():
        assert window.open(address) == 200
        pictures = window.page.locator("main svg").count()

        assert window.page.locator("h1").count() == 1
        assert pictures or name in ("pipeline", "segments"), name
    assert window.complaints == []


def test_a_page_is_renewed_under_the_reader(visit, addresses):
    """Its content is another; what was scrolled to, opened or has the focus is the same."""
    window = visit(viewport={"width": 390, "height": 500})
    window.open(addresses["model"])
    link = window.page.locator("main a[href^='/alerts']").first
    window.page.evaluate("scrollTo(0, 400); document.querySelector('.scroll').scrollLeft = 60")
    link.evaluate("element => element.focus({preventScroll: true})")
    state = "[scrollY, document.querySelector('.scroll').scrollLeft, document.activeElement.getAttribute('href')]"
    before, drawn = window.page.evaluate(state), window.page.locator(".plot canvas").count()

    window.refresh()

    assert before[0] == 400
    assert window.page.evaluate(state) == before
    assert window.page.locator(".plot canvas").count() == drawn > 0
    assert window.complaints == []


def test_what_is_typed_is_not_taken_away(visit, addresses):
    """A page does not renew itself while somebody writes into it."""
    window = visit()
    window.open(addresses["fleet"] + "?q=a")
    window.page.fill("#q", "arrival")
    with_focus = window.page.evaluate("document.activeElement.id")
    window.page.wait_for_timeout(6000)

    assert with_focus == "q"
    assert window.page.input_value("#q") == "arrival"
    window.page.keyboard.press("Enter")
    window.page.wait_for_url(re.compile(r"q=arrival"))
    assert window.complaints == []


def test_the_demo_is_what_the_page_says(visit, console, addresses):
    """The twin in JSON has what the page shows."""
    window = visit()
    window.open(addresses["alerts"])
    told_now = json.loads(json.dumps(told(console)))

    assert {alert["check"] for alert in told_now} <= set(window.page.locator(".alert strong").all_inner_texts())


@pytest.mark.skipif(not os.environ.get(SCREENSHOTS), reason=f"pictures are only made where {SCREENSHOTS} is set")
def test_pictures_for_the_documentation(visit, addresses):
    """Of each kind of page, as wide as a window is."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    window = visit(viewport={"width": 1280, "height": 900}, color_scheme="light")
    for name in ("fleet", "model", "feature", "alerts", "pipeline"):
        window.open(addresses[name])
        window.page.wait_for_timeout(300)
        path = IMAGES / f"console-{name}.png"
        window.page.screenshot(path=path)

        assert path.stat().st_size > 10_000
