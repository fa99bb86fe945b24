"""Free text of the configuration stays text in the report; test_commands.py looks at a whole one."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from conceptdepth.commands.report import inert
from conceptdepth.ground.errors import UserError
from docutils.core import publish_parts
from jinja2 import Environment
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


def rendered(caption: Path, cue: str) -> str:
    """Return a caption as Snakemake puts it into the page."""
    config = configuration({"answers": {"cue": cue}})
    snakemake = SimpleNamespace(config=config, params=SimpleNamespace(published={"a": {}}))
    text = (
        Environment(trim_blocks=True, lstrip_blocks=True).from_string(caption.read_text()).render(snakemake=snakemake)
    )
    return publish_parts(text, writer="html")["body"]


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


@pytest.mark.parametrize(
    ("perturbations", "said"),
    [
        ({"clean": {}}, True),
        ({"clean": {}, "asked": {"chat": False}}, True),
        ({"clean": {}, "asked": {"chat": True}}, False),
    ],
)
def test_the_report_says_if_no_rendering_is_a_chat(perturbations, said):
    config = {
        "run": {"perturbations": list(perturbations)},
        "activations": {"positions": ["text_last", "span_mean"]},
        "perturbations": perturbations | {"unused": {"chat": True}},
    }
    text = next(path for path in CAPTIONS if path.name == "workflow.rst").read_text()
    page = publish_parts(
        Environment().from_string(text).render(snakemake=SimpleNamespace(config=config)), writer_name="html"
    )
    assert ("No rendering of this run is a chat" in page["html_body"]) is said
    assert "activations of every prompt (text_last, span_mean)" in " ".join(page["html_body"].split())
    assert "system-message" not in page["html_body"]
