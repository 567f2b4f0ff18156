import shutil
from urllib.parse import quote

import pytest
from comparison_samples import HOSTILE, baseline, rows

from otel_ml.comparing import compare

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report = compare(baseline(), rows(2000, seed=1, drifted=True))
    path.write_text(report.to_html(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_read_it(browser, page_file, scheme, width):
    """By the rules of axe, on light and dark, wide and narrow screens; nothing sticks out at the side."""
    # What audits the page is a script, which the page's own policy forbids.
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.goto(page_file.as_uri())

    found = axe.Axe().run(page)

    assert [violation["id"] for violation in found.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def test_it_asks_for_nothing_and_breaks_no_rule_of_its_own(browser, page_file):
    """No request beside the page, no complaint of the browser; a link leads to a column, whatever it is called."""
    context = browser.new_context()
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(page_file.as_uri())

    page.get_by_role("link", name=HOSTILE).click()

    assert len(requests) == 1
    assert complaints == []
    assert page.locator(":target h3").inner_text() == HOSTILE
    assert page.url.endswith(f"#feature-{quote(HOSTILE, safe='')}")
    context.close()
