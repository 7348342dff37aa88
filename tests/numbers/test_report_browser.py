"""The page in a real browser: nothing fetched, readable in light and dark and on a phone, the keyboard reaches what scrolls."""

import html
import json
import os
import re
import shutil
import subprocess

import made_evaluation
import pytest

from t0jax.cli import main

PROBE = """<script>
const luminance = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b };
const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
  if (c.length == 3 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
const texts = [...document.querySelectorAll('main *')].filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())
  && !['STYLE', 'TITLE', 'DESC', 'title', 'desc', 'style'].includes(e.tagName));
const contrast = e => { const style = getComputedStyle(e), isSvg = e instanceof SVGElement;
  const back = isSvg ? parse(getComputedStyle(document.querySelector('.t0-figure > rect')).fill) : ground(e);
  const [a, b] = [luminance(parse(isSvg ? style.fill : style.color)), luminance(back)];
  return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.textContent.slice(0, 40)] };
document.title = JSON.stringify({
  title: document.title, language: document.documentElement.lang, texts: texts.length,
  lowest: texts.map(contrast).sort((a, b) => a[0] - b[0])[0],
  ground: ground(document.body), resources: performance.getEntriesByType('resource').map(r => r.name),
  overflow: document.documentElement.scrollWidth - window.innerWidth, inner: window.innerWidth,
  unreachable: [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).overflowX == 'auto' && e.tabIndex < 0).length,
  headings: [...document.querySelectorAll('h1,h2')].map(h => h.tagName), images: document.querySelectorAll('[role=img]').length,
  unnamed: [...document.querySelectorAll('[role=img],[role=region]')].filter(e => !e.getAttribute('aria-label')).length,
  scopes: [...document.querySelectorAll('th')].filter(h => !h.scope).length, mains: document.querySelectorAll('main').length,
  hacked: window.hacked === true});
</script>"""
HOSTILE = "<img src=x onerror='window.hacked=true'><script>window.hacked=true</script>"


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("T0JAX_BROWSER") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium is installed: install it, or set T0JAX_BROWSER to its path")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    datasets = {
        "super_glue/rte": made_evaluation.noisy([0.6, 0.7, 0.8, 0.9]),
        HOSTILE: {HOSTILE: made_evaluation.noisy([0.4])[0], "x": made_evaluation.noisy([0.5])[0]},
    }
    first = made_evaluation.write(place / "first", datasets, missing_tasks={HOSTILE: "no rows"}, trained_on=["imdb"])
    other = made_evaluation.write(place / "other", datasets)
    path = place / "r.html"
    assert main(["report", str(first), f"{HOSTILE.replace('=', '')}={other}", "--published=T0_3B", f"--html={path}"]) == 0
    return path.read_text(encoding="utf-8")


def look(browser, page, folder, *, is_dark=False, width=1200):
    (folder / "probed.html").write_text(page.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    flags += [f"--window-size={width},900", f"--blink-settings=preferredColorScheme={0 if is_dark else 1}"]
    command = [browser, *flags, (folder / "probed.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)[1]))


@pytest.mark.parametrize("is_dark", [False, True])
def test_the_page_is_readable_and_fetches_nothing(browser, page, tmp_path, is_dark):
    seen = look(browser, page, tmp_path, is_dark=is_dark)
    assert seen["title"] == "made_up"
    assert seen["texts"] > 100
    assert seen["lowest"][0] >= 4.5, seen["lowest"]  # WCAG AA for text of ordinary size
    assert (sum(seen["ground"]) < 200) == is_dark
    assert (seen["resources"], seen["hacked"]) == ([], False)


def test_the_page_is_built_for_those_who_do_not_see_it(browser, page, tmp_path):
    seen = look(browser, page, tmp_path)
    assert (seen["language"], seen["mains"], seen["images"]) == ("en", 1, 1)
    assert seen["headings"][0] == "H1" and set(seen["headings"][1:]) == {"H2"}
    assert (seen["unnamed"], seen["scopes"]) == (0, 0)


def test_on_a_narrow_screen_only_cards_scroll_and_the_keyboard_reaches_them(browser, page, tmp_path):
    seen = look(browser, page, tmp_path, width=500)  # the narrowest window that headless Chromium opens
    assert seen["inner"] <= 500
    assert seen["overflow"] <= 0 and seen["unreachable"] == 0
