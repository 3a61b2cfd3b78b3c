"""Both pages in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.report import write_report
from tests.browser import drawn, new_page
from tests.evaluation.made import make_run, on_data


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


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, pages: dict[str, str]) -> Iterator[Visit]:
    """Return a function that opens a page; no page may complain or ask for anything outside itself."""
    complaints: list[str] = []
    opened = []

    def requested(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(request.url)

    def call(name: str = "compare", **context: Any) -> Any:
        page = new_page(browser, complaints, **context)
        page.on("request", requested)
        opened.append(page)
        page.goto(pages[name])
        return page

    yield call
    for page in opened:  # else the browser goes on with what it shows
        page.close()
    assert complaints == []


@pytest.mark.parametrize("name", ["compare", "report"])
def test_charts_are_drawn_in_light_and_dark_and_on_a_phone(visit: Visit, name: str) -> None:
    for scheme, width in (("light", 1366), ("dark", 390)):
        page = visit(name, color_scheme=scheme, viewport={"width": width, "height": 850})
        assert drawn(page) >= 4
        assert page.locator("html").get_attribute("data-theme") == scheme
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_theme_changes_by_click(visit: Visit) -> None:
    page = visit()
    drawn(page)
    colours = []
    for _ in range(3):
        ink = "[getComputedStyle(document.body).color, document.querySelector('.xtick text').style.fill]"
        colours.append(tuple(page.evaluate(ink)))
        page.click("#theme")
    assert colours[0] == colours[2]
    assert all(light != dark for light, dark in zip(colours[0], colours[1], strict=True))


def test_tabs_open_by_click_and_by_arrow_key(visit: Visit) -> None:
    page = visit()
    loss = page.get_by_role("tab", name="Loss")
    loss.click()
    assert page.locator('[data-chart="loss_curves"] .main-svg .trace').count() > 4
    assert not page.locator('[data-chart="accuracy_curves"]').is_visible()
    loss.press("ArrowRight")
    assert page.get_by_role("tab", name="Gap").get_attribute("aria-selected") == "true"
    assert page.locator('[data-chart="gap_curves"]').is_visible()


def test_the_class_filter_shows_one_class(visit: Visit) -> None:
    page = visit()
    drawn(page)
    chart = page.locator('[data-chart="class_f1"]')
    page.get_by_role("button", name="Shirt", exact=True).click()
    chart.filter(has_not_text="Sandal").wait_for()
    assert "mlp-3" in chart.inner_text()
    page.get_by_role("button", name="All classes").click()
    assert "Sandal" in chart.inner_text()


def test_tables_are_sorted_and_filtered(visit: Visit) -> None:
    page = visit()

    def values() -> list[float]:
        cells = page.locator("#table-results tbody tr > :nth-child(2)").all()
        return [float(cell.get_attribute("data-value")) for cell in cells]

    header = page.locator("#table-results thead th:nth-child(2)")
    header.locator("button").click()
    assert values() == sorted(values(), reverse=True)
    header.locator("button").press("Enter")
    assert values() == sorted(values())
    assert header.get_attribute("aria-sort") == "ascending"
    rows = page.locator("#table-pairs tbody tr:visible")
    assert rows.count() == 15
    page.get_by_label("Show rows with").fill("mlp-1 cnn")
    assert rows.count() == 1


def test_two_confusion_matrices_and_their_difference(visit: Visit) -> None:
    page = visit()

    def cells(name: str) -> list[int]:
        texts = page.locator(f"#versus-{name} tbody td").all_inner_texts()
        return [int(text.replace("−", "-")) for text in texts]

    page.get_by_label("First").select_option("mlp-2")
    page.get_by_label("Second").select_option("cnn")
    first, second = cells("first"), cells("second")
    assert sum(first) == sum(second) == 200
    assert cells("difference") == [b - a for a, b in zip(first, second, strict=True)]
    assert page.locator("#versus-difference-heading").inner_text() == "cnn less mlp-2"


def test_markup_in_a_name_is_shown_as_text(visit: Visit) -> None:
    page = visit()
    drawn(page)
    assert "<b>bold</b>" in page.locator('[data-chart="accuracies"] .ytick').all_text_contents()
    assert page.locator("main b, main svg .js-bold").count() == 0


def test_the_keyboard_reaches_everything(visit: Visit) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    reachable = "main button:not([role=tab]), main select, main input, main .scroll"
    assert page.evaluate(f"[...document.querySelectorAll('{reachable}')].every((e) => e.tabIndex === 0)")


def test_paper_shows_every_tab_in_light(visit: Visit) -> None:
    page = visit(color_scheme="dark")
    drawn(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert drawn(page) == page.locator("[data-chart]").count()
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def box(page: Any, selector: str) -> dict[str, float]:
    found: dict[str, float] = page.locator(selector).first.bounding_box()
    return found


def test_the_tool_bar_covers_no_legend_and_no_curve(visit: Visit) -> None:
    page = visit("report", viewport={"width": 1000, "height": 850})
    drawn(page)
    for name in ("reliability", "accuracy_curves"):
        chart = f'[data-chart="{name}"]'
        page.locator(chart).hover()
        bar = box(page, f"{chart} .modebar-container .modebar")
        for part in (".legend .bg", ".cartesianlayer .bg", ".nsewdrag"):
            if page.locator(f"{chart} {part}").count():
                other = box(page, f"{chart} {part}")
                assert other["x"] + other["width"] <= bar["x"] + 1, (name, part)


def test_no_column_of_how_the_run_was_made_is_cut_off(visit: Visit) -> None:
    for name in ("report", "compare"):
        page = visit(name)
        width = "document.querySelector('#table-runs .scroll')"
        assert page.evaluate(f"{width}.scrollWidth <= {width}.clientWidth")
