"""The page in one piece: nothing in it ends a script, and the same data make the same bytes."""

import pytest
from conceptdepth.pages.html import compressed, in_script, rendered
from conceptdepth.provenance.metadata import embedded_id
from conceptdepth.provenance.record import PREFIX
from pages import elements, explorer_data

MARKUP = "</script><b>&\"'</SCRIPT ><!--<script>"
FILES = {
    "page.html": (
        '<html><head><meta name="conceptdepth-record" content="{{ record }}"><title>{{ title }}</title>'
        '<style>{% include "style.css" %}</style></head><body><script>{{ vega }}</script>'
        '<script type="text/plain">{{ data }}</script><script>{% include "page.js" %}</script></body></html>\n'
    ),
    "style.css": "a > b { color: red }",
    "page.js": f"const text = `{MARKUP}`;",
}
PARTS = ["html", "head", "meta", "title", "style", "body", "script", "script", "script"]


def page(data, **changes):
    given = {"title": MARKUP, "record": PREFIX + "0" * 64, "vega": f"'{MARKUP}'", "data": compressed(data)}
    return rendered(FILES, **given | changes)


def test_no_text_ends_a_script_or_becomes_a_part_of_the_page():
    made = page({"text": MARKUP})
    assert [name for name, _ in elements(made)] == PARTS
    assert explorer_data(made) == {"text": MARKUP}
    assert "a > b" in made


@pytest.mark.parametrize("text", ["</script", "</SCRIPT", "</ScRipt", "<!--", "x < y"])
def test_what_stands_in_a_script_is_the_same_string_of_javascript(text):
    written = in_script(f"'{text}'")
    assert "</script" not in written.lower()
    assert "<!--" not in written
    assert written.replace("<\\", "<") == f"'{text}'"


def test_the_page_carries_the_id_of_its_record(tmp_path):
    (tmp_path / "explorer.html").write_text(page({"record": "f" * 64}))
    assert embedded_id(tmp_path / "explorer.html") == "0" * 64


def test_the_same_data_make_the_same_bytes():
    assert page({"a": [1.5, None]}) == page({"a": [1.5, None]})


def test_data_of_more_than_so_many_characters_are_not_made():
    data = {"text": "".join(map(chr, range(32, 127))) * 5000, "numbers": [n * 0.123456 for n in range(5000)]}
    size = len(compressed(data))
    assert compressed(data, size) == compressed(data)
    assert compressed(data, size - 1) is None
    assert compressed(data, 100) is None


def test_what_is_no_number_in_json_is_no_data():
    with pytest.raises(ValueError, match="JSON"):
        compressed([float("nan")])


def test_what_the_page_includes_is_one_of_its_files():
    with pytest.raises(Exception, match="style.css"):
        rendered({"page.html": FILES["page.html"]}, title="", record="", vega="", data="")
