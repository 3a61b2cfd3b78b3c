"""Pages stand alone, and show text as text."""

import re
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from fmnist.core.tables import Column, Table
from fmnist.evaluation import page
from tests.evaluation.reading import Page

EVIL = "</script><script>alert('x')</script> \"<b>&"


def made(**changes: object) -> str:
    table = Table("published", EVIL, [Column(EVIL, "a", note=EVIL)], [{"a": EVIL, "b": 1}])
    context = {
        "title": EVIL, "kicker": "", "warnings": [EVIL], "skipped": [EVIL], "opening": [(EVIL, EVIL)],
        "tables": dict.fromkeys(("results", "pairs", "gaps", "class_f1", "published", "runs"), table),
        "leads": EVIL, "curves": True, "classes": [EVIL], "models": [EVIL], "versus": [EVIL, EVIL],
        "pictures_note": EVIL, "images": "1", "all_wrong": "0", "hard": [], "alone": [(EVIL, "1", [])],
    }  # fmt: skip
    data = {"charts": {name: {"data": []} for name in ("by_time", "by_parameters", "by_speed")}, "evil": EVIL}
    return page.render("compare.html", data, **{**context, **changes})


def test_everything_is_escaped() -> None:
    html = made()
    found = Page(html)
    assert "alert('x')" not in html.replace("&#39;", "")
    assert found.data["evil"] == EVIL
    assert found.tables["published"][-1] == [EVIL]
    assert [tag for tag, _ in found.elements].count("script") == 4  # theme, data, Plotly, ours


def test_a_page_needs_nothing_from_outside() -> None:
    found = Page(made())
    for tag, attributes in found.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert re.match(r"(data:|#|$)", attributes.get(name) or ""), (tag, attributes)
    policy = next(a["content"] for t, a in found.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    style = (Path(page.__file__).parent / "templates" / "style.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_plotly_is_there_once_with_its_licence() -> None:
    html = made()
    assert html.count("* plotly.js v") == 1
    assert "Licensed under the MIT license" in html
    assert len(html) < 6_000_000
    assert "</script" not in get_plotlyjs()


def test_a_missing_value_of_the_template_is_a_defect() -> None:
    with pytest.raises(Exception, match="is undefined"):
        page.render("compare.html", {"charts": {}})


def test_a_number_that_json_has_not_is_a_defect() -> None:
    with pytest.raises(ValueError, match="JSON"):
        page.render("base.html", {"bad": float("nan")}, title="", kicker="", warnings=[])


def test_save_writes_whole_files(tmp_path: Path) -> None:
    page.save(tmp_path / "new" / "page.html", "base.html", {}, title="T", kicker="", warnings=[])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
