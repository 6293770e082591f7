"""The page in a browser, where there is one: no script but its own runs, and its own does."""

from __future__ import annotations

import re

import pytest

from astroreg.report import write_report
from astroreg.report.assets import content_policy

RUN = "document.title='RAN'"


@pytest.fixture
def page(made, tmp_path):
    """A page whose text would like to be a script."""
    hostile = f"<script>{RUN}</script>"
    reference, image = made.scene(OBJECT=hostile)
    for line in (hostile, f"</pre><svg onload={RUN}>", f"</script><img src=x onerror={RUN}>"):
        image.meta.add_history(line)
    found = made.result(image_label=f"x<img src=x onerror={RUN}>.fits", method=hostile)
    return write_report(found, tmp_path / "page.html", reference=reference, image=image, call=hostile)


def seen_title(document):
    return re.search(r"<title>(.*?)</title>", document, re.DOTALL).group(1)


def test_no_script_of_the_text_runs(page, browser):
    document = browser(page, "--virtual-time-budget=3000", "--dump-dom").stdout
    assert seen_title(document).startswith("Trusted: x&lt;img")
    # its own script did run: it made the slider
    assert 'class="pair compare live"' in document
    assert '<input type="range"' in document


def test_the_policy_stops_what_escaping_would_miss(page, browser):
    """Put active elements into the page as if nothing had been escaped."""
    source = page.read_text(encoding="utf-8")
    injected = f"<script>{RUN}</script><img src=x onerror={RUN}><svg onload={RUN}></svg>"
    page.write_text(source.replace("<main>", "<main>" + injected), encoding="utf-8")
    document = browser(page, "--virtual-time-budget=3000", "--dump-dom").stdout
    assert injected.split("</script>")[0] in document
    assert seen_title(document).startswith("Trusted")
    # and it is the policy that did: without it the same script runs
    page.write_text(page.read_text(encoding="utf-8").replace(content_policy(), ""), encoding="utf-8")
    document = browser(page, "--virtual-time-budget=3000", "--dump-dom").stdout
    assert seen_title(document) == "RAN"


def test_policy_allows_the_style(page, browser, tmp_path):
    """A style sheet that the policy refused would leave the page without its banner's flex box."""
    source = page.read_text(encoding="utf-8")
    probe = "document.title = getComputedStyle(document.querySelector('.verdict')).display"
    policy = content_policy().replace("script-src ", "script-src 'unsafe-inline' ")
    policy = re.sub(r"script-src 'unsafe-inline' 'sha256-[^']*'", "script-src 'unsafe-inline'", policy)
    probed = source.replace(content_policy(), policy).replace("</body>", f"<script>{probe}</script></body>")
    page.write_text(probed, encoding="utf-8")
    assert seen_title(browser(page, "--virtual-time-budget=3000", "--dump-dom").stdout) == "flex"


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_wider_than_the_screen(page, browser, width):
    source = page.read_text(encoding="utf-8")
    probe = "document.title = document.documentElement.scrollWidth + ' ' + innerWidth"
    policy = re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", content_policy())
    probed = source.replace(content_policy(), policy).replace("</body>", f"<script>{probe}</script></body>")
    # a frame of the wanted width: a headless window has a least width of its own
    page.write_text(probed, encoding="utf-8")
    document = browser(page, f"--window-size={width},800", "--virtual-time-budget=3000", "--dump-dom").stdout
    content, window = map(int, seen_title(document).split())
    assert content <= window
