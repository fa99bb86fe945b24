"""The report begins with results, and its captions are words; test_commands.py looks at a whole one."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake
from conceptdepth.commands.report import STYLE, inert
from conceptdepth.configuration import settings
from conceptdepth.ground.errors import UserError
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from pages import DataInScripts, elements
from whole_configuration import configuration

CAPTIONS = sorted((Path(__file__).parents[3] / "report").glob("*.rst"))

ATTACKS = [
    "</script><script>x()</script>",
    "<!--<script>",
    "</SCRIPT ><img src=x onerror=x()>",
    'var results = {"a": 1};</script>',
    '<script id="rules"> var rules = {};',
    "p < 0.05 & q > 1 \\u003c \\",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_what_a_page_has_in_its_data_becomes_no_part_of_it(text):
    data = {"results": {text: {"params": text}}, "rules": [text, 1.5, None], "workflow_desc": text}
    scripts = "".join(
        f'<script id="a-b">\n    var {name} = {json.dumps(value)};\n    </script>' for name, value in data.items()
    )
    page = inert(f"<html><head><script>1 < 2;</script></head><body>{scripts}<p>end</p></body></html>")
    assert [name for name, _ in elements(page)] == ["html", "head", "script", "body", "script", "script", "script", "p"]
    assert DataInScripts(page) == data
    assert "<script>1 < 2;</script>" in page


@pytest.mark.parametrize("script", ["<script id='a'>const a = {}</script>", '<script id="a">var a = {b: 1};</script>'])
def test_a_page_of_another_kind_is_refused(script):
    with pytest.raises(UserError, match=r"^results/report.html: this version of Snakemake writes reports in another"):
        inert(f"<html>{script}</html>")


RUNS = {
    "default": [],
    "positions": ["positions"],
    "rigorous": ["rigorous"],
    "paper": ["paper"],
    "paper, rigorous": ["paper", "rigorous"],
    "nine datasets": ["nine_datasets"],
}
"""The configurations that come with the workflow."""


def page(caption: Path, config, files=()) -> str:
    """Return a caption as Snakemake puts it into the page."""
    job = SimpleNamespace(config=config, params=SimpleNamespace(published=settings.published_cells(config)))
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    text = environment.from_string(caption.read_text()).render(snakemake=job, files=files)
    return publish_parts(text, writer="html")["body"]


def rendered(caption: Path, cue: str) -> str:
    """Return the caption in a run that asks models with a cue."""
    return page(caption, configuration("paper", {"answers": {"cue": cue}}))


def markup(html: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the elements of a caption, but those around words of a literal that are not to be parted."""
    return [element for element in elements(html) if element != ("span", {"class": "pre"})]


@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda path: path.stem)
def test_a_caption_has_no_element_that_a_cue_brings(caption):
    usual = markup(rendered(caption, "Answer:"))
    for cue in (
        "<img src=x onerror=x()>",
        "\n\n.. raw:: html\n\n   <script>x()</script>\n",
        "\u2028\u2028.. include:: /etc/hostname\u2028\u2028",
        "`` `x <javascript:x()>`_ ``",
        "javascript:x() name_ *a* |b|",
        "  two  spaces",
    ):
        assert markup(rendered(caption, cue)) == usual


def test_a_caption_shows_the_cue_as_it_is():
    (caption,) = [path for path in CAPTIONS if path.stem == "direct_answers"]
    shown = re.sub(r"<[^>]*>", "", rendered(caption, "What's p < 0.05?"))
    assert "after the prompt and &quot;What's p &lt; 0.05?&quot;," in shown


@pytest.mark.parametrize("overlays", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda path: path.stem)
def test_a_caption_is_words_in_every_run(caption, overlays):
    config = configuration(*overlays)
    html = page(caption, config)
    text = re.sub(r"<[^>]*>", "", html)
    assert "system-message" not in html
    assert not re.search(r"""[{}]|\[['"]|\bNone\b|\bTrue\b|\bFalse\b|dict_|Undefined|object at 0x""", text)
    assert not re.search(r"\b1 (splits|positions)\b", text)
    named = {*config["activations"]["sites"], *config["activations"]["positions"], *config["probes"]["kinds"]}
    assert not [name for name in named if "_" in name and re.search(rf"\b{name}\b", text)], (
        "readers have words for these"
    )


# --- The first screen -------------------------------------------------------------------------------------

DESCRIPTION = next(path for path in CAPTIONS if path.name == "workflow.rst")

README = r"""# What this run found

- **Found** a \<b> & \`c\` in layer 3
- **Run** <img src=x onerror=x()> </p>

## What was run

- **Hidden** no headline
"""


def result(folder: Path, name: str, **labels: str) -> SimpleNamespace:
    """Return a file of the report, as Snakemake gives it to a description."""
    path = folder / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('<?xml version="1.0"?>\n<svg><text>a mark</text></svg>')
    return SimpleNamespace(path=path, target=path.name, labels=labels or None)


def test_the_report_begins_with_the_explorer_the_findings_and_the_depths(tmp_path):
    files = [
        result(tmp_path, "tables/claims.csv", table="Claims"),
        result(tmp_path, "figures/drift.svg", figure="Drift"),
        result(tmp_path, "explorer.html"),
        result(tmp_path, "figures/depths.svg", figure="Depths"),
    ]
    (tmp_path / "results/README.md").write_text(README)
    html = page(DESCRIPTION, configuration(), files)
    assert "system-message" not in html
    shown = [
        "explorer.html",
        "Found:",
        "Run:",
        "a mark",
        "Figures:",
        ">Depths<",
        ">Drift<",
        "Tables",
        ">Claims<",
        "arXiv",
    ]
    places = [html.find(words, html.find("Figures:") if words == ">Depths<" else 0) for words in shown]
    assert places == sorted(places)
    assert places[0] > 0
    assert "<strong>Found:</strong> a &lt;b&gt; &amp; `c` in layer 3" in html
    assert "Hidden" not in html
    links = [attributes["href"] for name, attributes in elements(html) if name == "a"]
    assert links[0] == "explorer.html"
    assert sum("app.setView" in link for link in links) == len(files)  # Depths twice, the explorer by its own link.
    assert [name for name, _ in elements(html) if name in ("img", "script", "b")] == []


def test_the_report_of_a_run_without_figures_has_a_description():
    html = page(DESCRIPTION, configuration())
    assert "explorer.html" in html
    assert not re.search("Figures:|README", html)


def test_the_style_is_for_the_page_of_the_pinned_snakemake():
    template = Path(snakemake.__file__).parent / "report/html_reporter/template/components"
    sources = {path.name: " ".join(path.read_text().split()) for path in template.glob("*.js")}
    assert 'id: "rulegraph"' in sources["rule_graph.js"]
    assert "prose prose-sm max-w-lg" in sources["content.js"]
    assert "grow flex items-center justify-center h-screen overflow-auto" in sources["content.js"]
    assert "e(Navbar, {" in sources["app.js"].split("e(ContentDisplay")[0]
    order = "this.getDescriptor(), this.getCaption(), this.getSize(), this.getRule(), this.getParamsAndWildcards(),"
    assert order in sources["result_info.js"], "the parameters of a job come eighth, if there is a caption"
    assert sources["result_info.js"].count("ListHeading,") == 5  # Of which one stands for a missing label.
    for selector in ("#rulegraph", ".prose.max-w-lg", "nav + div.items-center", "li.prose) > li:nth-child(n + 8)"):
        assert selector in STYLE.read_text()


@pytest.mark.parametrize(
    ("perturbations", "said"),
    [
        ({"clean": {}}, True),
        ({"clean": {}, "asked": {"chat": False}}, True),
        ({"clean": {}, "asked": {"chat": True}}, False),
    ],
)
def test_the_report_says_if_no_rendering_is_a_chat(perturbations, said):
    config = configuration()
    config["run"]["perturbations"] = list(perturbations)
    config["activations"]["positions"] = ["text_last", "span_mean"]
    config["perturbations"] = perturbations | {"unused": {"chat": True}}
    html = page(DESCRIPTION, config)
    assert ("No rendering of this run is a chat" in html) is said
    assert "were read in every layer, at 2 positions." in " ".join(html.split())
    assert "system-message" not in html
