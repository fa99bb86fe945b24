"""The explorer of runs that no test makes: the paper's grid, several positions and probes, and hardly anything at all."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from browser import CHARTS_ARE_DRAWN, DESKTOP, Explorer, chromium, needs_chromium
from build_explorer import write_page
from conceptdepth.ground.names import CURVE

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/unit/pages"))
from test_explorer_size import grid, made_up  # noqa: E402

pytestmark = needs_chromium

FILES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "resources/explorer").iterdir()}

MOST_SECONDS = 2
"""From opening the page of the paper's grid to its charts."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """The page of the paper's grid."""
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    write_page(str(path), *made_up(grid(9, 9)), FILES)
    return path


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of data that are made up, without complaints to the end."""
    pages = []

    def open_page(data, tested, depths, *, words=""):
        path = tmp_path / "explorer.html"
        write_page(str(path), data, tested, depths, FILES)
        pages.append(Explorer(browser, path))
        pages[-1].go(words)
        return pages[-1]

    yield open_page
    for page in pages:
        page.page.close()
        assert page.complaints == []


def seconds_to_open(browser, path):
    """Return how long the page computes until it is drawn, which is the same on a busy machine, and how long one waits."""
    page = browser.new_page(viewport=DESKTOP)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(path.as_uri())
    page.wait_for_function(CHARTS_ARE_DRAWN)
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    waited = page.evaluate("performance.now() / 1000")
    page.close()
    return metrics["TaskDuration"], waited


def test_the_page_of_the_papers_grid_is_small_and_opens_at_once(browser, papers):
    assert papers.stat().st_size <= 5_000_000
    computed, waited = map(min, zip(*(seconds_to_open(browser, papers) for _ in range(3))))
    print(f"{papers.stat().st_size / 1e6:.2f} MB, {computed:.2f} s of computing, {waited:.2f} s until drawn")
    assert computed < MOST_SECONDS


def test_all_curves_of_the_papers_grid_can_be_looked_at_and_told_apart(browser, papers):
    page = Explorer(browser, papers)
    page.go("quantization=fp32,bf16,int8&perturbation=clean,noise&overlays=intervals,splits")
    looks = page.page.locator("ul.legend line").evaluate_all(
        "lines => lines.map((line) => line.getAttribute('stroke') + ' ' + line.getAttribute('stroke-dasharray'))"
    )
    curves, others = looks[:54], looks[54:]
    assert len(set(curves)) == 54
    assert len(others) == 1, "chance"
    for view in page.views():
        page.view(view)
    assert "To keep this page small" in page.page.locator("#sources").inner_text()
    page.page.close()
    assert page.complaints == []


def curves_of(**values):
    one = dict.fromkeys(CURVE, ["last"]) | {
        "model": ["model-0"], "quantization": ["fp32"], "dataset": ["dataset_0"], "perturbation": ["clean"],
        "site": ["mlp_input"], "probe": ["logistic_regression"],
    }  # fmt: skip
    return pd.MultiIndex.from_product([(one | values)[name] for name in CURVE], names=CURVE).to_frame(index=False)


def set_cells(data, column, value):
    table = data["tables"]["concept_depth"]
    place = table["columns"].index(column)
    for row in table["rows"]:
        row[place] = value


def test_positions_have_one_name_only_where_they_are_the_same_tokens_everywhere(opened):
    data, *others = made_up(curves_of(position=["last", "text_last"], perturbation=["clean", "noise"]))
    for curve in data["curves"]:
        curve["same_tokens_as"] = "last" if curve["perturbation"] == "clean" else curve["position"]
    page = opened(data, *others, words="position=last,text_last&perturbation=clean,noise")
    assert len({mark["key"] for mark in page.marks()}) == 3, "the same tokens are drawn once"
    assert "last token = " not in page.page.locator("body").inner_text()
    assert "one curve stands for both" in page.page.locator("#view").inner_text()
    for curve in data["curves"]:
        curve["same_tokens_as"] = "last"
    page = opened(data, *others, words="position=last,text_last")
    assert "last token = last token of the text" in page.page.locator("#controls").inner_text()


def test_without_intervals_no_curve_is_said_to_be_below_its_baselines(opened):
    data, *others = made_up(curves_of())
    set_cells(data, "above_baselines", "NaN")
    for name in ("held_out_peak_accuracy", "gain_centre", "first_above_baseline"):
        set_cells(data, name, "NaN")
    for curve in data["curves"]:
        del curve["low"], curve["high"]
    page = opened(data, *others)
    for view in page.views():
        page.view(view)
        assert "not above" not in page.page.locator("#answers").inner_text()
        assert "not tested against its baselines" in page.page.locator("#answers").inner_text()
    page.view("Depths")
    assert "not tested against its baselines: no depth" in page.page.locator("#view").inner_text()


def test_a_curve_that_is_not_above_its_baselines_has_no_depth_in_any_view(opened):
    data, *others = made_up(curves_of())
    set_cells(data, "above_baselines", "False")
    page = opened(data, *others, words="view=depths&picked.paper=true")
    assert [mark for mark in page.marks() if "quantity" in mark] == []
    assert "not above its baselines" in page.page.locator("#answers").inner_text()
    page.view("Tables")
    heads = page.page.locator("#view thead th").all_inner_texts()
    assert page.table()[0][heads.index("Centre of gain")] == "–"


def test_the_axis_of_numbers_that_are_all_the_same_says_which(opened):
    data, *others = made_up(curves_of())
    for column in ("held_out_peak_accuracy", "baseline_accuracy"):
        set_cells(data, column, "0.5")
    page = opened(data, *others, words="view=depths")
    ticks = page.page.locator("figure").last.locator("text").all_text_contents()
    assert any(tick.startswith("0.5") for tick in ticks), ticks


def test_a_score_that_a_probe_has_not_is_left_out_and_the_better_is_the_brighter(opened):
    data, *others = made_up(curves_of(probe=["logistic_regression", "mass_mean"]))
    for curve in data["curves"]:
        if curve["probe"] == "mass_mean":
            del curve["scores"]["log_loss"]
            curve["converged"] = [None] * len(curve["converged"])
    page = opened(data, *others, words="probe=logistic_regression,mass_mean&score=log_loss")
    assert {mark["key"].split("/")[-1] for mark in page.marks()} == {"logistic_regression"}
    page.view("Heat map")
    assert page.page.locator("figure").count() == 1
    cells = sorted(page.page.evaluate(COLOURS))
    assert cells[0][1] == "rgb(253, 231, 37)"
    assert cells[-1][1] == "rgb(68, 1, 84)"
    page.choose("Score", "accuracy")
    page.view("Curves")
    faint = [mark for mark in page.marks() if mark["key"].endswith("mass_mean") and mark["unsolved"]]
    assert faint == [], "it has no solver that could fail"


COLOURS = """() => [...document.querySelectorAll('.chart .mark-rect path')]
    .filter((mark) => mark.__data__?.datum?.key).map((mark) => [mark.__data__.datum.value, mark.getAttribute('fill')])"""


def test_a_page_in_a_frame_without_an_address_is_drawn(browser, opened):
    page = opened(*made_up(curves_of(dataset=["dataset_0", "dataset_1"])))
    content = Path(page.address.removeprefix("file://")).read_text()
    page.page.goto("about:blank")
    page.page.evaluate(
        """(content) => {
            const frame = document.createElement('iframe');
            frame.sandbox = 'allow-scripts';
            frame.srcdoc = content;
            document.body.append(frame);
        }""",
        content,
    )
    frame = page.page.frame_locator("iframe")
    frame.get_by_role("tab", name="Depths").click()
    assert frame.locator("#view figure").count() == 2


def test_intervals_are_called_by_the_level_that_the_run_chose(opened):
    data, *others = made_up(curves_of())
    page = opened(data | {"level": 0.9}, *others)
    assert "90 % intervals" in page.page.locator("#view").inner_text()
    page.view("Depths")
    assert "90 % intervals" in page.page.locator("#view").inner_text()
    assert "95 %" not in page.page.locator("body").inner_text()
