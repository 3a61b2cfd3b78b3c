"""Both pages in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.report import write_report
from tests.evaluation.made import make_run, on_data

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make venv")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian's package: chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    logs = tmp_path_factory.mktemp("logs")
    run = make_run(logs, **on_data(synthetic_root, 0, 4.0))
    for number in range(4):
        class_path = "fmnist.models.mlp.LitMLP"
        make_run(logs, f"mlp-{number}", class_path=class_path, **on_data(synthetic_root, number + 1, 2.0))
    make_run(logs, "<b>bold</b>", **on_data(synthetic_root, 7, 3.0))
    write_comparison([logs], logs / "comparison", str(synthetic_root))
    write_report(run, str(synthetic_root))
    addresses = {"compare": logs / "comparison" / "compare.html", "report": run.path / "report.html"}
    return {name: path.as_uri() for name, path in addresses.items()}


class Visit:
    """A page that is open, and what it complained of or asked for."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.page = browser.new_page(**{"viewport": {"width": 1366, "height": 850}, **context})
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def drawn(self) -> int:
        """Wait until every chart in view is drawn, and return their number."""
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-chart]')].filter((chart) => chart.offsetParent)"
            ".every((chart) => chart.querySelector('.main-svg .trace'))"
        )
        return self.page.locator("[data-chart]:visible .plot-container").count()


@pytest.mark.parametrize("name", ["compare", "report"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_without_complaint_or_request(
    browser: Any, pages: dict[str, str], name: str, scheme: str
) -> None:
    visit = Visit(browser, pages[name], color_scheme=scheme)
    assert visit.drawn() >= 4
    assert visit.page.locator("html").get_attribute("data-theme") == scheme
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_dark_and_light_are_a_click_apart(browser: Any, pages: dict[str, str]) -> None:
    visit = Visit(browser, pages["compare"])
    visit.drawn()
    colours = []
    for _ in range(3):
        ink = "[getComputedStyle(document.body).color, document.querySelector('.xtick text').style.fill]"
        colours.append(tuple(visit.page.evaluate(ink)))
        visit.page.click("#theme")
    assert colours[0] == colours[2]
    assert all(light != dark for light, dark in zip(colours[0], colours[1], strict=True))
    assert visit.complaints == []


def test_tabs_open_by_click_and_by_arrow_key(browser: Any, pages: dict[str, str]) -> None:
    page = (visit := Visit(browser, pages["compare"])).page
    loss = page.get_by_role("tab", name="Loss")
    loss.click()
    assert page.locator('[data-chart="loss_curves"] .main-svg .trace').count() > 4
    assert not page.locator('[data-chart="accuracy_curves"]').is_visible()
    loss.press("ArrowRight")
    assert page.get_by_role("tab", name="Gap").get_attribute("aria-selected") == "true"
    assert page.locator('[data-chart="gap_curves"]').is_visible()
    assert visit.complaints == []


def test_the_class_filter_shows_one_class(browser: Any, pages: dict[str, str]) -> None:
    visit = Visit(browser, pages["compare"])
    visit.drawn()
    chart = visit.page.locator('[data-chart="class_f1"]')
    assert "Sandal" in chart.inner_text()
    visit.page.get_by_role("button", name="Shirt", exact=True).click()
    visit.page.wait_for_function(
        "!document.querySelector('[data-chart=class_f1]').textContent.includes('Sandal')"
    )
    assert "mlp-3" in chart.inner_text()
    visit.page.get_by_role("button", name="All classes").click()
    assert "Sandal" in chart.inner_text()
    assert visit.complaints == []


def test_tables_sort_by_click_and_by_key(browser: Any, pages: dict[str, str]) -> None:
    page = Visit(browser, pages["compare"]).page
    column = "#table-results tbody tr > :nth-child(2)"

    def values() -> list[float]:
        cells = page.locator(column)
        return [float(cells.nth(place).get_attribute("data-value")) for place in range(cells.count())]

    header = page.locator("#table-results thead th:nth-child(2)")
    header.locator("button").click()
    assert values() == sorted(values(), reverse=True)
    header.locator("button").press("Enter")
    assert values() == sorted(values())
    assert header.get_attribute("aria-sort") == "ascending"


def test_rows_are_filtered_by_words(browser: Any, pages: dict[str, str]) -> None:
    page = Visit(browser, pages["compare"]).page
    rows = page.locator("#table-pairs tbody tr:visible")
    assert rows.count() == 15
    page.get_by_label("Show rows with").fill("mlp-1 cnn")
    assert rows.count() == 1


def test_two_confusion_matrices_and_their_difference(browser: Any, pages: dict[str, str]) -> None:
    page = Visit(browser, pages["compare"]).page

    def cells(name: str) -> list[int]:
        texts = page.locator(f"#versus-{name} tbody td").all_inner_texts()
        return [int(text.replace("−", "-")) for text in texts]

    page.get_by_label("First").select_option("mlp-2")
    page.get_by_label("Second").select_option("cnn")
    first, second = cells("first"), cells("second")
    assert sum(first) == sum(second) == 200
    assert cells("difference") == [b - a for a, b in zip(first, second, strict=True)]
    assert page.locator("#versus-difference-heading").inner_text() == "cnn less mlp-2"


@pytest.mark.parametrize("name", ["compare", "report"])
def test_a_phone_scrolls_down_only(browser: Any, pages: dict[str, str], name: str) -> None:
    visit = Visit(browser, pages[name], viewport={"width": 390, "height": 844})
    visit.drawn()
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    assert visit.complaints == []


def test_markup_in_a_name_is_shown_as_text(browser: Any, pages: dict[str, str]) -> None:
    visit = Visit(browser, pages["compare"])
    visit.drawn()
    assert "<b>bold</b>" in visit.page.locator('[data-chart="accuracies"] .ytick').all_text_contents()
    assert visit.page.locator("main b, main svg .js-bold").count() == 0


def test_the_keyboard_reaches_everything(browser: Any, pages: dict[str, str]) -> None:
    page = Visit(browser, pages["compare"]).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    unreachable = "main button:not([role=tab]), main select, main input, main .scroll"
    assert page.evaluate(f"[...document.querySelectorAll('{unreachable}')].every((e) => e.tabIndex === 0)")


def test_paper_shows_every_tab_in_light(browser: Any, pages: dict[str, str]) -> None:
    visit = Visit(browser, pages["compare"], color_scheme="dark")
    visit.drawn()
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visit.drawn() == visit.page.locator("[data-chart]").count()
    assert visit.page.locator("html").get_attribute("data-theme") == "light"
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert visit.page.locator("html").get_attribute("data-theme") == "dark"
    assert visit.complaints == []
