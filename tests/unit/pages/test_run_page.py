"""The README of results: five lines first, all that it lists, and text that stays text."""

import re

import pytest
from conceptdepth.pages import findings
from conceptdepth.pages.cautions import cautions
from conceptdepth.pages.finished import Duration, Verdict
from conceptdepth.pages.listed import FIGURES, TABLES
from conceptdepth.pages.names import Names, escaped, unescaped
from conceptdepth.pages.summary import BESIDE, EARLIER, Run, first_section, summary_page
from project import MARKUP, ROOT
from run_tables import claims_of, config_of, depths_of, differences_of, names_of

OWN = [
    "results/explorer.html",
    "results/figures/accuracy.svg",
    "results/figures/accuracy.png",
    "results/tables/claims.csv",
]


def run_of(names=None, *, draws=True, claimed=(("run", "few"), ("published", "supported")), **changes):
    names = names or names_of()
    facts = {
        "config": config_of(names),
        "depths": depths_of(names, draws=draws),
        "differences": differences_of(names, draws=draws),
        "claims": claims_of(claimed),
        "verdict": Verdict("intact", "3 files checked"),
        "took": Duration(jobs=7, wall=125, work=200, pauses=0),
        "own": OWN,
        "earlier": [],
        "beside": [],
    }
    return Run(**facts | changes)


def sections(page):
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in page.split("\n## ")}


@pytest.mark.parametrize("names", [names_of(), names_of(1, 1), names_of(9, 9)], ids=["default", "one", "paper"])
@pytest.mark.parametrize("draws", [True, False])
def test_the_first_section_is_five_short_lines_that_can_be_read_again(names, draws):
    run = run_of(names, draws=draws)
    page = summary_page(run, "0" * 64)
    title, lines = page.partition("\n## ")[0].split("\n\n", 1)
    assert title == "# What this run found"
    assert len(lines.strip().splitlines()) == 5
    assert list(first_section(page)) == ["Run", "Found", "Claims", "Beware", "Audit"]
    assert max(map(len, lines.splitlines())) <= 125
    assert first_section(page)["Found"] == findings.headline(findings.main_rows(run.depths), names)
    assert first_section(page)["Audit"] == "intact: 3 files checked; the run took 2 min 5 s"
    assert "\n\n\n" not in page
    assert not re.search(r"\bnan\b|NaN|None", page)


@pytest.mark.parametrize("names", [names_of(), names_of(9, 9)], ids=["default", "paper"])
def test_what_is_not_there_is_not_a_nan(names):
    depths = depths_of(names, above=lambda number: True)
    for quantity in ("gain_centre", "held_out_peak_accuracy"):
        depths.loc[:, [quantity, f"{quantity}_low", f"{quantity}_high"]] = float("nan")
    page = summary_page(run_of(names, depths=depths), "0" * 64)
    assert not re.search(r"\bnan\b|NaN|None", page)
    assert ("No layer is better than the first" in page) == (len(names.models) == 1)


def test_a_page_without_such_lines_has_none():
    assert first_section("# Something else\n\n- **words** of another\n") == {"words": "of another"}
    assert first_section("") == first_section("# A\n\n## B\n\n- **Run** x") == {}


def test_all_cells_of_a_large_run_are_in_the_table_and_its_sentences_stay_few():
    names = names_of(9, 9)
    found = sections(summary_page(run_of(names), "0" * 64))["Findings"]
    assert sum(line.startswith("- ") for line in found.splitlines()) == 9
    rows = [line.split(" | ") for line in found.splitlines() if line.startswith("| Model")]
    table = depths_of(names).query("quantization == 'fp32' and perturbation == 'clean' and site == 'mlp_input'")
    assert len(rows) == len(table) == 81
    for cells, row in zip(rows, table.to_dict("records")):
        model, concept, above, layer, centre, peak, baseline = (cell.strip("| ") for cell in cells)
        assert (model, concept) == (names.models[row["model"]], names.datasets[row["dataset"]])
        assert above == ("yes" if row["above_baselines"] else "no")
        expected = {
            peak: [row[f"held_out_peak_accuracy{end}"] for end in ("", "_low", "_high")],
            baseline: [row["baseline_accuracy"]],
        }
        if row["above_baselines"]:
            expected[centre] = [row[f"gain_centre{end}"] for end in ("", "_low", "_high")]
            assert layer == f"{round(row['first_above_baseline'] * row['n_layers'])} of {row['n_layers']}"
        else:
            assert layer == centre == "-"
        for shown, numbers in expected.items():
            assert [float(number) for number in re.findall(r"\d\.\d+", shown)] == [round(n, 2) for n in numbers]


def test_markup_in_labels_is_text_and_can_be_read_again():
    names = Names({"m0": f"Tiny {MARKUP}"}, {"d0": f"a|b *c* `d` [e](f) {MARKUP}", "d1": "C_1 \\"})
    page = summary_page(run_of(names), "0" * 64)
    bare = re.sub(r"\\.", "", page)
    assert "<" not in bare.replace("<!-- conceptdepth:record:", "")
    assert f"Tiny {MARKUP} on " in unescaped(first_section(page)["Run"])
    for line in page.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == 8, line


@pytest.mark.parametrize("text", [MARKUP, "a_b*c*`d`", "\\", "\\\\*", "[x](y) | ~z~ $1$"])
def test_what_is_escaped_comes_back(text):
    assert unescaped(escaped(text)) == text


def test_what_was_not_made_anew_is_listed_apart():
    plain = summary_page(run_of(), "0" * 64)
    assert EARLIER not in plain
    assert BESIDE not in plain
    page = summary_page(
        run_of(earlier=["results/figures/perturbations.png"], beside=["results/tables/direct_answers.csv"]), "0" * 64
    )
    assert sections(page)[EARLIER].split() == ["-", "results/figures/perturbations.png"]
    assert sections(page)[BESIDE].split() == ["-", "results/tables/direct_answers.csv"]
    assert "figures/perturbations" not in sections(page)["Where to look"]


def test_where_to_look_has_the_explorer_first_and_each_figure_once():
    where = re.findall(r"\[(.*?)\]", sections(summary_page(run_of(), "0" * 64))["Where to look"])
    assert where == ["explorer.html", "figures/accuracy.png", "tables/claims.csv", "report.html", "audit.html"]
    assert "explorer" not in summary_page(run_of(own=OWN[1:]), "0" * 64)


def test_each_figure_and_table_that_a_rule_makes_has_its_line():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r'"results/figures/(\w+)\.png"', rules)) == FIGURES.keys()
    assert set(re.findall(r'"results/tables/(?:latex/)?(\w+)\.\w+"', rules)) == TABLES.keys()


def test_jobs_of_more_than_one_run_are_said_to_be_so():
    took = Duration(jobs=7, wall=90_000, work=200, pauses=2)
    page = summary_page(run_of(took=took), "0" * 64)
    assert "took 3 min 20 s of work, more than one run" in first_section(page)["Audit"]
    assert "7 jobs of more than one run, 3 min 20 s of work (2 pauses of more than 5 minutes" in page


def caution(word, **changes):
    """Return the cautions of a run that begin with a word."""
    run = run_of(**changes)
    rows = findings.main_rows(run.depths)
    found = cautions(run.depths, rows, run.claims, names_of(), run.config)
    return [text for text in found if text.removeprefix("**").startswith(word)]


def test_cautions_have_the_numbers_of_the_run():
    assert caution("Decodable is not used")
    depths = depths_of(names_of())
    assert caution("1 of 3 curves", depths=depths)[0].endswith("Points in tables for Concept 1 are those of noise.")
    noise = findings.main_rows(depths)["band_noise_anywhere"].median()
    assert f"with a chance of {noise:.2f}." in caution("The paper's converging point", depths=depths)[0]
    assert "chance" not in caution("The paper's converging point", draws=False)[0]
    claimed = [("run", "few"), ("run", "none"), ("run", "supported"), ("published", "few")]
    assert ": 2 of 3 could not be tested" in caution("Too few datasets", claims=claims_of(claimed))[0]
    assert caution("Too few datasets", claims=claims_of([("run", "open"), ("published", "few")])) == []


def test_probes_that_did_not_converge_are_counted_over_all_curves():
    depths = depths_of(names_of())
    assert caution("Probes that did not converge", depths=depths) == []
    depths.loc[[0, 5, 30], "mostly_converged"] = False
    assert f"in 3 of {len(depths)} curves" in caution("Probes that did not converge", depths=depths)[0]


def test_what_is_one_is_said_to_be_one():
    assert caution("One model")[0].startswith("**One model**")
    one = {"depths": depths_of(names_of(1, 1)).assign(n_seeds=1)}
    assert caution("One split", **one)[0].startswith("**One split (`probes.seeds`) and one model and one dataset**")
    assert caution("One", depths=depths_of(names_of(2, 2))) == []


def test_generated_datasets_are_named_as_controls():
    config = config_of(names_of())
    assert caution("Made by a rule", config=config) == []
    config["datasets"]["d2"]["source"] = {"generator": "coin_flips"}
    assert "Concept 2." in caution("Made by a rule", config=config)[0]
