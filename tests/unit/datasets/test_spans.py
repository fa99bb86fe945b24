"""A dataset may name a span of each text: it stands in the text, or the row is said."""

import json
import re

import pandas as pd
import pytest
from conceptdepth.datasets.statements import load_statements, names_spans
from conceptdepth.ground.errors import UserError

ENTRY = {
    "source": {"path": "unused"},
    "classes": [{"name": "true", "values": ["1"]}, {"name": "false", "values": ["0"]}],
}
SPANS = ["Oslo", "Peru", "Lima is in Peru."]
SPAN_ROWS = [
    {"statement": text, "truth": truth, "part": part}
    for text, truth, part in zip(["Oslo is in Norway.", "Oslo is in Peru.", "Lima is in Peru."], "101", SPANS)
]
SPAN_COLUMNS = {"text": "statement", "label": "truth", "span": "part"}
WRITERS = {
    "csv": lambda path, rows: pd.DataFrame(rows).to_csv(path, index=False),
    "tsv": lambda path, rows: pd.DataFrame(rows).to_csv(path, index=False, sep="\t"),
    "json": lambda path, rows: path.write_text(json.dumps(rows)),
    "jsonl": lambda path, rows: path.write_text("\n".join(map(json.dumps, rows))),
    "parquet": lambda path, rows: pd.DataFrame(rows).to_parquet(path),
}


@pytest.fixture(params=WRITERS)
def spanned(request, tmp_path):
    """A function that gives the statements of some rows of a table."""

    def read(rows, **changes):
        WRITERS[request.param](tmp_path / "source", rows)
        entry = ENTRY | {"table": {"format": request.param}, "columns": SPAN_COLUMNS} | changes
        return load_statements("mine", entry, tmp_path / "source")

    return read


def test_a_column_names_a_span_of_each_text(spanned):
    found = spanned(SPAN_ROWS)
    assert [s["span"] for s in found] == SPANS
    without = spanned(SPAN_ROWS, columns={"text": "statement", "label": "truth"})
    assert [{key: value for key, value in s.items() if key != "span"} for s in found] == without
    assert [list(s) for s in without] == [["id", "text", "label", "group"]] * 3


def test_the_column_of_the_text_is_a_span_of_all_of_it(spanned):
    found = spanned(SPAN_ROWS, columns=SPAN_COLUMNS | {"span": "statement"})
    assert [s["span"] for s in found] == [s["text"] for s in found]


MISSING = "the row has no span; a dataset that names spans has one in each row"


SECOND = {"csv": "line 3", "tsv": "line 3", "json": "row 2", "jsonl": "line 2", "parquet": "row 2"}
"""Where the second row of a table stands."""


@pytest.mark.parametrize(
    ("span", "why"),
    [
        ("Paris", "the span 'Paris' does not stand in the text 'Oslo is in Peru.'"),
        ("oslo", "the span 'oslo' does not stand in the text"),
        (" Oslo", "the span ' Oslo' does not stand in the text"),
        ("", MISSING), (" ", MISSING), ("\u200b", MISSING), (None, MISSING),
    ],
)  # fmt: skip
def test_a_span_that_does_not_stand_in_its_text_is_said_with_its_place(spanned, request, span, why):
    rows = [SPAN_ROWS[0], SPAN_ROWS[1] | {"part": span}, SPAN_ROWS[2]]
    place = SECOND[request.node.callspec.params["spanned"]]
    with pytest.raises(UserError, match=rf"^datasets.mine: .*source, {place}, column part: {re.escape(why)}"):
        spanned(rows)


@pytest.mark.parametrize("spanned", ["json", "jsonl", "parquet"], indirect=True)
def test_a_span_that_is_no_text_is_refused(spanned):
    rows = [row | {"statement": f"It is 7. {row['statement']}", "part": 7} for row in SPAN_ROWS]
    with pytest.raises(UserError, match=r"(line|row) 1, column part: 7 is no text; write it as a string\."):
        spanned(rows)


def test_a_row_that_is_left_out_needs_no_span(spanned):
    rows = [*SPAN_ROWS, {"statement": "Nobody knows.", "truth": "maybe", "part": ""}]
    assert len(spanned(rows, drop=["maybe"])) == 3


def test_a_column_of_spans_that_is_not_there_is_said(spanned):
    with pytest.raises(UserError, match=r"columns.span: .*source has no column 'town'; it has: "):
        spanned(SPAN_ROWS, columns=SPAN_COLUMNS | {"span": "town"})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"columns": {"text": "statement", "label": "truth"}}, False),
        ({"columns": SPAN_COLUMNS}, True),
        ({"parser": {"name": "cities"}}, True),
        ({"parser": {"name": "labelled_lines"}, "columns": SPAN_COLUMNS}, False),
        ({"source": {"generator": "coin_flips"}}, True),
    ],
)
def test_it_is_known_from_an_entry_whether_its_statements_have_spans(changes, named):
    assert names_spans(ENTRY | changes) == named
