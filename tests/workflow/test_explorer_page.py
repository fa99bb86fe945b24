"""results/explorer.html in a real browser: what it draws are the numbers of the run, and whoever opens it can use it."""

import csv
import itertools
import os
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, PHONE, Explorer, chromium, needs_chromium
from conceptdepth.ground.names import CURVE
from conceptdepth.provenance.metadata import embedded_id
from project import MARKUP

pytestmark = needs_chromium

KEY = list(CURVE)
LOOKS = list(itertools.product((DESKTOP, PHONE), ("light", "dark")))
LOOK_NAMES = [f"{'desktop' if size == DESKTOP else 'phone'}-{theme}" for size, theme in LOOKS]
ALL_CHOSEN = "model=tiny,cached&quantization=fp32,int8&dataset=coins,claims&perturbation=clean,noise"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def explorer(browser, finished):
    opened = Explorer(browser, finished.folder / "results/explorer.html")
    yield opened
    opened.page.close()
    assert opened.complaints == []


def table_of(finished, name):
    table = pd.read_csv(finished.folder / f"results/tables/{name}.csv")
    return table.assign(key=table[KEY].agg("/".join, axis=1)) if set(KEY) <= set(table) else table


@pytest.mark.parametrize(("size", "theme"), LOOKS, ids=LOOK_NAMES)
def test_every_view_can_be_used_at_any_size_and_in_the_dark(browser, finished, size, theme):
    opened = Explorer(browser, finished.folder / "results/explorer.html", size=size, theme=theme)
    shown = opened.views()
    assert {"Curves", "Depths", "Heat map", "Pairs", "Drift", "Statements", "Claims", "Tables"} == set(shown)
    for name in shown:
        opened.view(name)
        assert opened.wider_than_window() == 0, name
        found = Axe().run(opened.page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
        assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]][:3]) for rule in found] == [], name
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (min(map(int, re.findall(r"\d+", background))) < 128) == (theme == "dark")
    opened.page.close()
    assert opened.complaints == []


def test_the_theme_can_be_changed_by_hand(explorer):
    before = explorer.page.evaluate("getComputedStyle(document.body).backgroundColor")
    explorer.page.get_by_role("button", name="Dark", exact=True).click()
    explorer.drawn()
    assert explorer.page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.parametrize("score", ["accuracy", "f1", "auc"])
def test_points_of_curves_are_means_of_the_table_of_scores(explorer, finished, score):
    explorer.go(f"{ALL_CHOSEN}&score={score}")
    scores = table_of(finished, "layer_scores")
    means = scores[scores["target"] == "concept"].groupby(["key", "layer"])[score].mean()
    drawn = {(mark["key"], mark["layer"]): mark for mark in explorer.marks()}
    assert drawn.keys() == set(means.index)
    for place, mark in drawn.items():
        assert mark["value"] == pytest.approx(means[place], abs=1e-6)
    intervals = table_of(finished, "layer_intervals").set_index(["key", "layer"])
    if score == "accuracy":
        assert all(
            mark["low"] == pytest.approx(intervals.loc[[place], "low"].item(), abs=1e-6)
            for place, mark in drawn.items()
        )
        assert all(
            mark["high"] == pytest.approx(intervals.loc[[place], "high"].item(), abs=1e-6)
            for place, mark in drawn.items()
        )


def test_choices_change_what_is_drawn(explorer):
    def curves():
        return {mark["key"] for mark in explorer.marks()}

    first = curves()
    assert first == {
        f"{model}/fp32/{dataset}/clean/mlp_input/last/logistic_regression"
        for model in ("tiny", "cached")
        for dataset in ("coins", "claims")
    }
    explorer.check("dataset.coins", checked=False)
    assert curves() == {key for key in first if "/claims/" in key}
    explorer.check("quantization.int8")
    assert len(curves()) == 4
    explorer.check("model.tiny", checked=False)
    explorer.check("quantization.fp32", checked=False)
    assert curves() == {"cached/int8/claims/clean/mlp_input/last/logistic_regression"}
    # One of each stays, or nothing would be shown.
    explorer.page.locator('[id="model.cached"]').click()
    explorer.drawn()
    assert len(curves()) == 1
    explorer.page.reload()
    explorer.drawn()
    assert curves() == {"cached/int8/claims/clean/mlp_input/last/logistic_regression"}, (
        "the address has what was chosen"
    )


def test_a_mouse_over_a_point_shows_its_numbers(explorer, finished):
    explorer.go("model=tiny")
    intervals = table_of(finished, "layer_intervals")
    row = intervals[intervals["dataset"] == "coins"].iloc[0]
    explorer.page.locator("[data-dataset=coins] .mark-symbol path").first.hover(force=True)
    said = explorer.page.locator("#vg-tooltip-element.visible").inner_text()
    assert f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in said
    assert MARKUP in said, "the name of the model, as text"


def test_depths_and_peaks_are_those_of_the_table(explorer, finished):
    explorer.go(f"{ALL_CHOSEN}&view=depths&picked.paper=true")
    depths = table_of(finished, "concept_depth").set_index("key")
    above = depths["above_baselines"].fillna(False).astype(bool)
    marks = explorer.marks()
    names = {
        "centre of gain": "gain_centre",
        "first layer above the best baseline": "first_above_baseline",
        "jump point (the paper's)": "jump_point",
        "converging point (the paper's)": "converging_point",
    }
    of_depth = [mark for mark in marks if "quantity" in mark]
    for mark in of_depth:
        assert above[mark["key"]]
        assert mark["value"] == pytest.approx(depths.loc[mark["key"], names[mark["quantity"]]])
    expected = depths[above][list(names.values())].notna().sum().sum()
    assert len(of_depth) == expected
    peaks = {mark["key"]: mark for mark in marks if "baseline" in mark}
    assert peaks.keys() == set(depths.index)
    for key, mark in peaks.items():
        held_out = depths.loc[key, "held_out_peak_accuracy"]
        assert mark["value"] == pytest.approx(depths.loc[key, "peak_accuracy"] if np.isnan(held_out) else held_out)
        assert mark["baseline"] == pytest.approx(depths.loc[key, "baseline_accuracy"])


def test_cells_of_the_heat_map_are_means_of_the_table_of_scores(explorer, finished):
    explorer.go(f"{ALL_CHOSEN}&view=heat")
    scores = table_of(finished, "layer_scores")
    means = scores[scores["target"] == "concept"].groupby(["key", "layer"])["accuracy"].mean()
    drawn = {(mark["key"], mark["layer"]): mark["value"] for mark in explorer.marks()}
    assert drawn == pytest.approx(means.to_dict(), abs=1e-6)


def test_pairs_are_those_of_the_table_of_differences(explorer, finished):
    explorer.go(f"{ALL_CHOSEN}&view=pairs")
    explorer.choose("Quantity", "peak_accuracy")
    differences = table_of(finished, "depth_differences")
    wanted = differences[(differences["quantity"] == "peak_accuracy") & differences["difference"].notna()]
    drawn = sorted((mark["key"], mark["difference"]) for mark in explorer.marks())
    assert drawn == sorted(zip(wanted["key"], wanted["difference"]))


def test_statements_are_right_where_the_probes_are(explorer, finished):
    curve = "tiny/fp32/coins/clean/mlp_input/last/logistic_regression"
    with h5py.File(finished.folder / "results/probes/tiny/fp32/coins.clean.h5") as file:
        ids, labels = file["id"].asstr()[:], file["label"][:]
        right, splits = np.zeros(len(ids), int), np.zeros(len(ids), int)
        for split in file["mlp_input/last/logistic_regression/concept"].values():
            for decision, statement in zip(split["decision"][1], split["test"][:]):
                splits[statement] += 1
                right[statement] += (decision > 0) == labels[statement]
    # Without an accepted licence ids alone are shown.
    naive = {name: f"{r} of {n}" for name, r, n in zip(ids, right, splits) if n}
    explorer.go(f"view=statements&picked.curve={curve}&picked.layer=1&picked.show=all")
    assert {row[0]: row[3] for row in explorer.table()} == naive
    explorer.choose("Show", "wrong")
    wrong = {name for name, r, n in zip(ids, right, splits) if n and 2 * r <= n}
    assert {row[0] for row in explorer.table()} == wrong
    assert f"Layer 1 gets {len(wrong)} of {len(naive)} tested" in explorer.page.locator(".said").inner_text()


def test_every_table_can_be_sorted_and_downloaded_as_the_file_that_it_is(explorer, finished):
    explorer.go(f"{ALL_CHOSEN}&view=tables")
    names = (
        explorer.page.get_by_label("Table", exact=True)
        .locator("option")
        .evaluate_all("all => all.map((one) => one.value)")
    )
    assert {"concept_depth", "depth_differences", "claims", "activation_drift"} <= set(names)
    for name in names:
        explorer.choose("Table", name)
        with explorer.page.expect_download() as download:
            explorer.page.get_by_role("button", name=f"Download {name}.csv").click()
        assert download.value.path().read_bytes() == (finished.folder / f"results/tables/{name}.csv").read_bytes()
    explorer.choose("Table", "concept_depth")
    explorer.choose("Columns", "all")
    with (finished.folder / "results/tables/concept_depth.csv").open() as file:
        columns, *rows = csv.reader(file)
    assert sorted(explorer.table()) == sorted(rows)
    place = columns.index("peak_accuracy")
    for downwards in (False, True):
        explorer.page.get_by_role("button", name="peak_accuracy", exact=True).click()
        found = [float(row[place]) for row in explorer.table()]
        assert found == sorted((float(row[place]) for row in rows), reverse=downwards)


def test_a_click_says_where_a_number_comes_from(explorer, finished):
    explorer.page.locator("[data-dataset=claims] .mark-symbol path").first.click(force=True)
    dialog = explorer.page.get_by_role("dialog")
    said = dict(zip(dialog.locator("dt").all_inner_texts(), dialog.locator("dd").all_inner_texts()))
    assert said["Record"] == embedded_id(str(finished.folder / said["Scores"]).replace(".csv", ".h5"))
    command = said["To audit"].split()[1:]
    assert "intact" in finished.conceptdepth(*command).stdout
    assert "%" in said["Probes of this layer that converged"]


def test_hands_that_use_no_mouse_get_everywhere(explorer):
    page = explorer.page
    page.get_by_role("tab", name="Curves").focus()
    for name in explorer.views()[1:]:
        page.keyboard.press("ArrowRight")
        explorer.drawn()
        assert page.get_by_role("tab", selected=True).inner_text() == name
        assert page.evaluate("document.activeElement.innerText") == name
    page.get_by_role("button", name="details").first.focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    page.locator('[id="dataset.coins"]').focus()
    page.keyboard.press("Space")
    explorer.drawn()
    assert page.evaluate("document.activeElement.id") == "dataset.coins", "the focus stays where it was"


def test_pairs_are_of_what_is_chosen_whichever_formats_they_compare(explorer):
    explorer.view("Pairs")
    explorer.choose("Quantity", "peak_accuracy")
    drawn = {mark["key"] for mark in explorer.marks()}
    assert {(key.split("/")[1], key.split("/")[3]) for key in drawn} == {("int8", "clean"), ("fp32", "noise")}
    explorer.check("dataset.coins", checked=False)
    assert {mark["key"] for mark in explorer.marks()} == {key for key in drawn if "/claims/" in key}


def test_a_table_of_rows_that_belong_to_no_curve_has_them_all(explorer, finished):
    explorer.go(f"{ALL_CHOSEN}&view=tables&picked.table=baseline_scores")
    assert len(explorer.table()) == len(table_of(finished, "baseline_scores"))


def test_the_focus_stays_on_lists_heads_of_tables_and_steps_between_layers(explorer):
    page = explorer.page

    def focused():
        explorer.drawn()
        return page.evaluate("document.activeElement.id")

    page.get_by_label("Score", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert focused() == "choose.Score"
    assert page.get_by_label("Score", exact=True).input_value() != "accuracy"
    explorer.view("Tables")
    page.get_by_role("button", name="Held-out peak", exact=True).focus()
    page.keyboard.press("Enter")
    assert focused() == "sort.held_out_peak_accuracy"
    page.get_by_role("button", name="details").first.click()
    button = page.get_by_role("button", name="layer after")
    while button.is_enabled():
        button.focus()
        page.keyboard.press("Enter")
    assert focused() == "details.close", "no layer is further on"
    page.get_by_role("button", name="layer before").focus()
    page.keyboard.press("Enter")
    assert focused() == "details.← layer before"


def test_the_link_to_what_is_shown_leaves_it_as_it_was_chosen(explorer):
    explorer.go("model=tiny&dataset=claims&view=depths")
    explorer.page.locator(".skip").focus()
    explorer.page.keyboard.press("Enter")
    explorer.drawn()
    assert explorer.page.evaluate("document.activeElement.id") == "view"
    assert {mark["key"].split("/")[2] for mark in explorer.marks()} == {"claims"}


def test_an_address_that_names_what_this_run_has_not_shows_what_it_has(explorer):
    unknown = "view=statements&picked.show=constructor&score=toString&model=x&picked.layer=99&picked.curve=x"
    explorer.go(unknown)
    assert explorer.page.locator(".said").is_visible()
    explorer.page.evaluate("location.hash = 'view=curves&score=f1&across=layer'")
    explorer.page.wait_for_function("explorer.state.score === 'f1'")
    explorer.page.evaluate("words => { location.hash = words }", unknown)
    explorer.page.wait_for_function("explorer.state.score === 'accuracy' && explorer.state.across === 'depth'")
    explorer.drawn()


def test_the_axis_of_a_curve_says_what_it_is_of(explorer):
    for score, words in (("accuracy", "accuracy"), ("auc", "AUC")):
        explorer.choose("Score", score)
        assert words in explorer.page.locator("figure").first.locator("text").all_text_contents()


def test_text_of_the_configuration_stays_text(explorer):
    assert MARKUP in explorer.page.locator("body").inner_text()
    assert explorer.page.locator("img").count() == 0


DEFAULT_RUN = Path(__file__).parents[2] / "results/explorer.html"


@pytest.mark.skipif(not DEFAULT_RUN.is_file(), reason="no default run here: make run")
def test_a_newcomer_finds_the_layer_how_sure_it_is_and_what_is_wrong_there(browser, tmp_path):
    """docs/explorer.md has this path in pictures, which are made here: `PICTURES=docs`."""
    folder = Path(os.environ.get("PICTURES", tmp_path))
    depths = pd.read_csv(DEFAULT_RUN.parent / "tables/concept_depth.csv").query("dataset == 'cities'").iloc[0]
    layer = round(depths["first_above_baseline"] * depths["n_layers"])
    opened = Explorer(browser, DEFAULT_RUN, size={"width": 1150, "height": 860})
    page = opened.page
    card = page.locator("#answers article", has_text="Cities")
    assert f"from layer {layer} of {depths['n_layers']} on" in card.inner_text()
    for name in ("gain_centre", "held_out_peak_accuracy"):
        interval = f"{depths[name]:.2f} [{depths[f'{name}_low']:.2f}, {depths[f'{name}_high']:.2f}]"
        assert interval in card.inner_text()
    page.screenshot(path=folder / "explorer_answer.png")
    page.locator("[data-dataset=cities] .mark-symbol path").nth(layer).click(force=True)
    assert f"{layer} of {depths['n_layers']}" in page.get_by_role("dialog").inner_text()
    page.screenshot(path=folder / "explorer_layer.png")
    page.get_by_role("button", name="Close").click()
    card.get_by_role("button", name=f"What layer {layer} gets wrong").click()
    opened.drawn()
    said = re.search(r"gets ([\d,]+) of ([\d,]+) tested", page.locator(".said").inner_text())
    assert 0 < int(said[1]) < int(said[2])
    assert all("The city of" in row[0] for row in opened.table())
    page.locator("#tabs").scroll_into_view_if_needed()
    page.screenshot(path=folder / "explorer_statements.png")
    assert opened.complaints == []
