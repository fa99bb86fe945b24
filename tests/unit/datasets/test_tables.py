"""Whatever a table of a user's holds: it is read as it says, or refused in a sentence that says where it is wrong."""

import bz2
import csv
import gzip
import io
import json
import logging
import lzma
import random
import zipfile
from datetime import date

import pyarrow
import pytest
from conceptdepth.datasets.statements import load_statements
from conceptdepth.ground.errors import UserError
from pyarrow import parquet

CITIES = {"Oslo": "Norway", "Lima": "Peru", "Riga": "Latvia"}
ROWS = [
    {
        "key": f"{city}-{truth}",
        "claim": f"The city of {city} is in {land if truth else 'Fiji'}.",
        "truth": truth,
        "city": city,
    }
    for city, land in CITIES.items()
    for truth in (1, 0)
]
"""What is right: three true and three false claims."""
ENTRY = {
    "source": {"path": "unused"},
    "columns": {"id": "key", "text": "claim", "label": "truth", "group": "city"},
    "classes": [{"name": "true", "values": [1]}, {"name": "false", "values": [0]}],
}
TWO = {"text": "claim", "label": "truth"}
RANGES = [{"name": "low", "at_most": 0}, {"name": "high", "at_least": 1}]
LAST = len(ROWS)
FALSE = [{**row, "truth": 0} for row in ROWS]


def changed(**cells):
    """The right rows, with other cells in the last one."""
    return [*ROWS[:-1], {**ROWS[-1], **cells}]


def without(key):
    """The right rows, the last one without a key."""
    return [*ROWS[:-1], {name: value for name, value in ROWS[-1].items() if name != key}]


def delimited(rows, delimiter=",", end="\n"):
    stream = io.StringIO()
    table = csv.DictWriter(stream, rows[0], delimiter=delimiter, lineterminator=end)
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue().encode()


def tabbed(rows):
    return delimited(rows, "\t")


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def listed(rows):
    return json.dumps(rows).encode()


def columns(rows, of=None):
    """A Parquet file of the columns of some rows, with these rows or others."""
    names = dict.fromkeys(key for row in rows for key in row)
    table = pyarrow.table({name: [row.get(name) for row in (rows if of is None else of)] for name in names})
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


def zipped(*contents):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.csv", content)
    return stream.getvalue()


FORMATS = {"csv": delimited, "tsv": tabbed, "jsonl": lines, "json": listed, "parquet": columns}
CSV, JSONL, PARQUET = delimited(ROWS), lines(ROWS), columns(ROWS)
DEEP = b"[" * 100_000


def load(folder, content, **entry):
    path = folder / "mine.table"
    path.write_bytes(content)
    return load_statements("mine", ENTRY | entry, path)


def as_csv(content, place, **entry):
    return content, {"table": {"format": "csv"}} | entry, place


def as_lines(rows, column, **entry):
    """JSON Lines of which the last row is wrong."""
    return lines(rows), {"table": {"format": "jsonl"}} | entry, f"mine.table, line {LAST}, column {column}: "


def as_json(content, said, **table):
    return content, {"table": {"format": "json", **table}}, said


def as_parquet(content, said):
    return content, {"table": {"format": "parquet"}}, said


def ranged(label):
    return as_lines(changed(truth=label), "truth", classes=RANGES)


def parsed(content, said, **parser):
    return content, {"parser": parser}, said


WIDE = CSV.replace(b" is in", b", it is said, is in")
COUNTED = "mine.table, line {} has {} fields?, but the header has {}"
WRONG = {
    # --- Rows of another number of fields ---
    "a comma in every text": as_csv(WIDE, COUNTED.format(2, 6, 4)),
    "a comma in one text": as_csv(CSV.replace(b"Riga is", b"Riga, is", 1), COUNTED.format(6, 5, 4)),
    "a comma in every text, of two columns": as_csv(
        b"claim,truth\nOslo, Norway.,1\nOslo, Fiji.,0\n", COUNTED.format(2, 3, 2), columns=TWO
    ),
    "a short row": as_csv(CSV.replace(b",0,Lima", b",0"), COUNTED.format(5, 3, 4)),
    "a row of one field": as_csv(CSV + b"end\n", COUNTED.format(8, 1, 4)),
    "a short row after a text of three lines": as_csv(
        CSV.replace(b"The city of Oslo is in Norway.", b'"Oslo\n\nis in Norway."') + b"a,b\n", COUNTED.format(10, 2, 4)
    ),
    "a short row after blank lines": as_csv(CSV.replace(b"\n", b"\n\n") + b"a,b\n", COUNTED.format(15, 2, 4)),
    "a short row with Windows line ends": as_csv(CSV.replace(b"\n", b"\r\n") + b"a,b\r\n", COUNTED.format(8, 2, 4)),
    "a tab in a text": (
        tabbed(ROWS).replace(b"of Riga", b"of\tRiga"), {"table": {"format": "tsv"}}, COUNTED.format(6, 5, 4),
    ),
    "a header of the entry that is too short": as_csv(
        b"a,Oslo is in Norway.,1\nb,Oslo is in Fiji.,0\n", COUNTED.format(1, 3, 2), columns=TWO,
        table={"format": "csv", "header": ["claim", "truth"]},
    ),
    "quotes that do not quote": as_csv(
        CSV.replace(b"The city of Lima is in Peru.", b'"Lima, Peru"'), COUNTED.format(4, 5, 4),
        table={"format": "csv", "quoted": False},
    ),
    "a quote that closes in another row": as_csv(
        CSV.replace(b"The city of Lima is in ", b'"Lima is in '), "line 4: a double quote opens and closes 1 line further"
    ),
    "a key twice in an object": (JSONL.replace(b'{"', b'{"claim": "x", "', 1), {"table": {"format": "jsonl"}}, "line 1 is"),
    "a quote that never closes": as_csv(
        CSV.replace(b"The city of Lima is in Peru.", b'"Lima is in Peru.'), "line 4: a double quote opens and never closes"
    ),
    "a delimiter of another kind": as_csv(delimited(ROWS, ";"), "columns.id: .*mine.table has no column 'key'; it has: key;claim;truth;city"),
    "two columns of one name": as_csv(CSV.replace(b"key,claim", b"key,key"), "columns.id: .*mine.table has 2 columns 'key'"),
    # --- Nothing in it ---
    "an empty CSV file": as_csv(b"", "mine.table has no rows"),
    "blank lines": as_csv(b"\n \n\n", "mine.table has no rows"),
    "a byte order mark alone": as_csv(b"\xef\xbb\xbf", "mine.table has no rows"),
    "a header alone": as_csv(CSV.partition(b"\n")[0], "mine.table has no rows"),
    "an empty file of JSON Lines": (b"", {"table": {"format": "jsonl"}}, "mine.table has no rows"),
    "an empty JSON file": as_json(b"", "mine.table is no JSON"),
    "an empty JSON list": as_json(b"[]", "mine.table has no rows"),
    "an empty Parquet file": as_parquet(b"", "mine.table is no Parquet file"),
    "a Parquet file without rows": as_parquet(columns(ROWS, of=[]), "mine.table has no rows"),
    # --- Bytes ---
    "UTF-16": as_csv(CSV.decode().encode("utf-16"), "mine.table is no text in UTF-8 .*UTF-16"),
    "UTF-16 without a mark": as_csv(CSV.decode().encode("utf-16-le"), "mine.table is no text in UTF-8 .*UTF-16"),
    "UTF-16 the other way round": as_csv(CSV.decode().encode("utf-16-be"), "mine.table is no text in UTF-8 .*UTF-16"),
    "UTF-32": as_csv(CSV.decode().encode("utf-32"), "mine.table is no text in UTF-8 .*UTF-16"),
    "Latin-1": as_csv(CSV.replace(b"Peru", b"Per\xfa"), "mine.table, line 4: the byte 0xfa is not UTF-8"),
    "Latin-1 in JSON Lines": (
        JSONL.replace(b"Latvia", b"L\xe9"), {"table": {"format": "jsonl"}}, "line 5: the byte 0xe9 is not UTF-8",
    ),
    "Latin-1 in JSON": as_json(listed(ROWS).replace(b"Latvia", b"L\xe9"), "line 1: the byte 0xe9 is not UTF-8"),
    "truncated gzip": as_csv(gzip.compress(CSV)[:-12], "mine.table cannot be unpacked as gzip"),
    "gzip of nothing": as_csv(gzip.compress(CSV)[:3], "mine.table cannot be unpacked as gzip"),
    "a flipped bit in gzip": as_csv(
        bytes(byte ^ (place == 40) for place, byte in enumerate(gzip.compress(CSV))), "cannot be unpacked as gzip"
    ),
    "truncated bzip2": as_csv(bz2.compress(CSV)[:-12], "mine.table cannot be unpacked as bzip2"),
    "truncated xz": as_csv(lzma.compress(CSV)[:-12], "mine.table cannot be unpacked as xz"),
    "a zip of two files": as_csv(zipped(CSV, CSV), "unpacked as zip .*2 files"),
    "a truncated zip": as_csv(zipped(CSV)[:-9], "cannot be unpacked as zip"),
    "zstd": as_csv(b"\x28\xb5\x2f\xfd" + CSV, "line 1: the byte 0xb5 is not UTF-8"),
    "truncated gzip of JSON Lines": (
        gzip.compress(JSONL)[:-12], {"table": {"format": "jsonl"}}, "cannot be unpacked as gzip",
    ),
    "truncated Parquet": as_parquet(PARQUET[:-9], "mine.table is no Parquet file"),
    "the second half of a Parquet file": as_parquet(PARQUET[len(PARQUET) // 2 :], "mine.table is no Parquet file"),
    "Parquet without its first half": as_parquet(b"PAR1" + PARQUET[-400:], "mine.table is no Parquet file"),
    "CSV that is called Parquet": as_parquet(CSV, "mine.table is no Parquet file"),
    # --- Cells ---
    "an empty text": as_csv(delimited(changed(claim="")), f"line {LAST + 1}, column claim: the text is empty"),
    "a text of spaces": as_csv(delimited(changed(claim=" \u3000\t")), f"line {LAST + 1}, column claim: the text is empty"),
    "a text of zero width": as_csv(delimited(changed(claim="\u200b\u2060\ufeff\u00ad")), "column claim: the text is empty"),
    "a text of fillers": as_csv(delimited(changed(claim="\u3164\u2800\ufe0f")), "column claim: the text is empty"),
    "a NUL in a text": as_csv(delimited(changed(claim="a\0b")), f"line {LAST + 1}, column claim: 'a.x00b' has a NUL"),
    "a NUL in an id": as_csv(delimited(changed(key="a\0b")), f"line {LAST + 1}, column key: 'a.x00b' has a NUL"),
    "a NUL in a group": as_csv(delimited(changed(city="a\0b")), f"line {LAST + 1}, column city: 'a.x00b' has a NUL"),
    "an empty id": as_csv(delimited(changed(key="")), f"line {LAST + 1}, column key: the value is missing"),
    "an id twice": as_csv(delimited(changed(key="Oslo-1")), "the id 'Oslo-1' stands 2 times"),
    "an empty label": as_csv(delimited(changed(truth="")), f"line {LAST + 1}, column truth: the label '' is in no class"),
    "another label": as_csv(delimited(changed(truth="so so")), "column truth: the label 'so so' is in no class; allowed are 1, 0"),
    "one class": as_csv(delimited(FALSE), r"no row is in class 0 \(true\)"),
    "a null text": as_lines(changed(claim=None), "claim"),
    "a text that is not there": as_lines(without("claim"), "claim"),
    "a number as text": as_lines(changed(claim=5), "claim"),
    "a bool as text": as_lines(changed(claim=True), "claim"),
    "a list as text": as_lines(changed(claim=["a"]), "claim"),
    "an object as text": as_lines(changed(claim={"a": 1}), "claim"),
    "NaN as text": as_lines(changed(claim=float("nan")), "claim"),
    "half a character in a text": as_lines(changed(claim="a\ud83d"), "claim"),
    "half a character in an id": as_lines(changed(key="a\udc00"), "key"),
    "half a character in a group": as_lines(changed(city="a\ud83d"), "city"),
    "a NUL in an id of JSON Lines": as_lines(changed(key="a\0"), "key"),
    "a null label": as_lines(changed(truth=None), "truth"),
    "a label that is not there": as_lines(without("truth"), "truth"),
    "NaN as label": as_lines(changed(truth=float("nan")), "truth"),
    "a list as label": as_lines(changed(truth=[1]), "truth"),
    "an object as label": as_lines(changed(truth={}), "truth"),
    "a null id": as_lines(changed(key=None), "key"),
    "an id that is not there": as_lines(without("key"), "key"),
    "NaN as id": as_lines(changed(key=float("nan")), "key"),
    "a list as id": as_lines(changed(key=[1]), "key"),
    "a list as group": as_lines(changed(city=["Riga"]), "city"),
    "an object as group": as_lines(changed(city={"name": "Riga"}), "city"),
    "a list as one of two groups": as_lines(
        changed(city=["Riga"]), "key, city", columns=ENTRY["columns"] | {"group": ["key", "city"]}
    ),
    # --- Cells of Parquet ---
    "bytes as text": as_parquet(columns([{**row, "claim": row["claim"].encode()} for row in ROWS]), "row 1, column claim: b'"),
    "a list as text in Parquet": as_parquet(columns([{**row, "claim": ["a"]} for row in ROWS]), "row 1, column claim: "),
    "a struct as text": as_parquet(columns([{**row, "claim": {"a": 1}} for row in ROWS]), "row 1, column claim: "),
    "a null text in Parquet": as_parquet(columns(changed(claim=None)), f"row {LAST}, column claim: the text is missing"),
    "nothing but null texts": as_parquet(columns([{**row, "claim": None} for row in ROWS]), "row 1, column claim: the text is missing"),
    "a number as text in Parquet": as_parquet(columns([{**row, "claim": 1.5} for row in ROWS]), "row 1, column claim: 1.5"),
    "a null label in Parquet": as_parquet(columns(changed(truth=None)), f"row {LAST}, column truth: the label is missing"),
    "bytes as id": as_parquet(columns([{**row, "key": row["key"].encode()} for row in ROWS]), "row 1, column key: b'"),
    "bytes as group": as_parquet(columns([{**row, "city": b"a"} for row in ROWS]), "row 1, column city: b'a'"),
    "a table of a thousand other columns": (
        lines([{f"column {n}": n for n in range(1000)}]), {"table": {"format": "jsonl"}}, "has no column 'key'; it has: column 0, ",
    ),
    "columns with odd names": (lines([{"a\nb\ud83d": 1}]), {"table": {"format": "jsonl"}}, r"it has: 'a.nb.ud83d'"),
    "a Parquet file of other columns": as_parquet(columns([{"a": 1}]), "has no column 'key'; it has: a"),
    # --- Labels that are ranges of numbers ---
    "a word as number": ranged("many"),
    "no number": ranged(""),
    "NaN as number": ranged(float("nan")),
    "a written NaN": ranged("nan"),
    "an endless number": ranged(float("inf")),
    "a written endless number": ranged("-inf"),
    "a number that is too large": ranged(10**400),
    "null as number": ranged(None),
    "a list as number": ranged([1]),
    # --- Shapes of JSON ---
    **{
        f"{what} as a row": (lines([*ROWS, value]), {"table": {"format": "jsonl"}}, f"line {LAST + 1} is no object")
        for what, value in {"a list": [1], "a text": "a", "null": None, "a number": 1}.items()
    },
    "a list of lists": as_json(listed([[1, 2]]), "mine.table, row 1 is no object"),
    "a row of null": as_json(listed([*ROWS, None]), f"mine.table, row {LAST + 1} is no object"),
    "a text in the place of rows": as_json(b'"rows"', "mine.table is no list of rows"),
    "an object in the place of rows": as_json(listed({"rows": ROWS}), "mine.table is no list of rows; `table.records`"),
    "no such records": as_json(listed({"rows": ROWS}), "has no 'data', which `table.records` names", records="data"),
    "records of a list": as_json(listed(ROWS), "has no 'data', which `table.records` names", records="data"),
    "records that are an object": as_json(listed({"data": {"a": 1}}), "is no list of rows", records="data"),
    "records that are null": as_json(listed({"data": None}), "is no list of rows", records="data"),
    "deep nesting": as_json(DEEP, "mine.table is no JSON"),
    "deep nesting in a cell": as_json(b'[{"claim": ' + DEEP, "mine.table is no JSON"),
    "deep nesting in JSON Lines": (JSONL + DEEP, {"table": {"format": "jsonl"}}, f"line {LAST + 1} is no JSON"),
    "half a JSON file": as_json(listed(ROWS)[:99], "mine.table is no JSON"),
    "half a line": (JSONL[:-9], {"table": {"format": "jsonl"}}, f"line {LAST} is no JSON"),
    "two objects in a line": (JSONL + b"{} {}", {"table": {"format": "jsonl"}}, f"line {LAST + 1} is no JSON"),
    "a page in the place of a table": (b"<!DOCTYPE html>\n", {"table": {"format": "jsonl"}}, "line 1 is no JSON"),
    "a number of too many digits": (b"9" * 5000, {"table": {"format": "jsonl"}}, "line 1 is no JSON"),
    # --- Files of parsers ---
    "a wheel that is none": parsed(CSV, "not what the parser 'cities' reads", name="cities", population=1, seed=0),
    "a truncated wheel": parsed(zipped(CSV)[:-9], "'cities' reads", name="cities", population=1, seed=0),
    "a wheel without its tables": parsed(zipped(CSV), "'cities' reads .*no item", name="cities", population=1, seed=0),
    "lines without texts": parsed(b"1 good\n0\n", "row 2, column text: the text is empty", name="labelled_lines"),
    "lines in Latin-1": parsed(b"1 good\n0 caf\xe9\n", "line 2: the byte 0xe9", name="labelled_lines"),
    "lines with a NUL": parsed(b"1 good\n0 a\0b\n", "row 2, column text: 'a.x00b' has a NUL", name="labelled_lines"),
    "questions that are no JSON": parsed(b"{", "'strategyqa' reads", name="strategyqa", rationale=False),
    "questions that are not there": parsed(b"{}", "'strategyqa' reads", name="strategyqa", rationale=False),
    "questions that are no list": parsed(b'{"examples": 1}', "'strategyqa' reads", name="strategyqa", rationale=False),
    "a question without an answer": parsed(
        b'{"examples": [{"input": "?"}]}', "'strategyqa' reads", name="strategyqa", rationale=False
    ),
    "questions in too deep a nesting": parsed(DEEP, "'strategyqa' reads", name="strategyqa", rationale=True),
    "a null question": parsed(
        b'{"examples": [{"input": null, "target": "1."}]}', "row 1, column text: the text is missing", name="strategyqa",
        rationale=False,
    ),
}  # fmt: skip
"""What is wrong -> a file, what the entry says of it, and what the error says."""


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_in_one_sentence_with_its_place(tmp_path, kind):
    content, entry, said = WRONG[kind]
    with pytest.raises(UserError, match=said) as error:
        load(tmp_path, content, **entry)
    assert str(error.value).startswith("datasets.mine")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


def test_a_column_that_nobody_asked_for_may_hold_what_python_cannot(tmp_path):
    table = pyarrow.Table.from_pylist(ROWS)
    stream = io.BytesIO()
    parquet.write_table(
        table.append_column("seen", pyarrow.array([10**12] * len(ROWS), pyarrow.timestamp("s"))), stream
    )
    assert load(tmp_path, stream.getvalue(), table={"format": "parquet"}) == load(
        tmp_path, PARQUET, table={"format": "parquet"}
    )


def test_what_a_generator_cannot_make_is_said_in_a_sentence():
    entry = ENTRY | {"source": {"generator": "transitive_order", "groups": 1, "people": 1000, "seed": 0}}
    with pytest.raises(UserError, match="datasets.mine: the generator 'transitive_order' makes no rows"):
        load_statements("mine", entry, None)


# --- What is right ---------------------------------------------------------------------------------------

PACKED = {
    "as it is": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "a byte order mark": b"\xef\xbb\xbf".__add__,
    "a byte order mark in gzip": lambda content: gzip.compress(b"\xef\xbb\xbf" + content),
}


@pytest.mark.parametrize(
    ("form", "packed"),
    [(form, packed) for form in FORMATS for packed in PACKED if form != "parquet" or "mark" not in packed],
)
def test_all_formats_are_read_alike_packed_or_not(tmp_path, form, packed):
    found = load(tmp_path, PACKED[packed](FORMATS[form](ROWS)), table={"format": form})
    assert found == [
        {"id": row["key"], "text": row["claim"], "label": 1 - row["truth"], "group": row["city"]} for row in ROWS
    ]


@pytest.mark.parametrize(
    "content",
    [CSV.replace(b"\n", b"\r\n"), CSV.replace(b"\n", b"\r"), CSV.replace(b"\n", b"\n\n"), CSV[:-1], CSV + b" \n", b"\n" + CSV],
    ids=["windows", "old mac", "blank lines", "no last line end", "a line of a space", "a blank line first"],
)  # fmt: skip
def test_line_ends_are_no_matter(tmp_path, content):
    plain = load(tmp_path, CSV, table={"format": "csv"})
    assert load(tmp_path, content, table={"format": "csv"}) == plain


def test_a_quoted_text_holds_what_it_holds(tmp_path):
    text = 'One, "two"\r\n\n\u2028three\t'
    found = load(tmp_path, delimited(changed(claim=text)), table={"format": "csv"})
    assert found[-1]["text"] == text


def test_columns_that_are_not_asked_for_may_hold_anything_and_one_without_a_name_has_pandas_name(tmp_path):
    content = b",claim,truth,note,note\na,A,1,,\nb,B,0,\0,\n"
    names = {"id": "Unnamed: 0", "text": "claim", "label": "truth"}
    assert [s["id"] for s in load(tmp_path, content, table={"format": "csv"}, columns=names)] == ["a", "b"]


def test_rows_that_are_left_out_need_no_text(tmp_path):
    for label, drop in ((2, [2]), (None, [None]), (None, ["None"]), ("", [None]), ("", [""]), (float("nan"), [None])):
        rows = [*ROWS, {"truth": label}]
        assert len(load(tmp_path, lines(rows), table={"format": "jsonl"}, drop=drop)) == LAST


def test_numbers_and_dates_are_names(tmp_path):
    rows = [{**row, "key": number, "city": date(2020, 1, 1 + number)} for number, row in enumerate(ROWS)]
    found = load(tmp_path, columns(rows), table={"format": "parquet"})
    assert [(s["id"], s["group"]) for s in found] == [(str(n), f"2020-01-0{1 + n}") for n in range(LAST)]


def test_a_class_can_be_a_range_between_two_numbers(tmp_path):
    classes = [{"name": "middle", "at_least": 2, "at_most": 3}, {"name": "high", "at_least": 5}]
    rows = [{**row, "truth": number} for number, row in enumerate(ROWS)]
    found = load(tmp_path, lines(rows), table={"format": "jsonl"}, classes=classes)
    assert [(s["id"], s["label"]) for s in found] == [(ROWS[2]["key"], 0), (ROWS[3]["key"], 0), (ROWS[5]["key"], 1)]


def test_some_labels_of_a_range_can_be_left_out_by_name(tmp_path):
    found = load(tmp_path, lines(changed(truth="n/a")), table={"format": "jsonl"}, classes=RANGES, drop=["n/a"])
    assert len(found) == LAST - 1


# --- Groups ----------------------------------------------------------------------------------------------

NOWHERE = {"empty": "", "spaces": "  ", "null": None, "NaN": float("nan"), "invisible": "\u200b"}


@pytest.mark.parametrize("value", NOWHERE.values(), ids=list(NOWHERE))
def test_rows_without_a_group_are_groups_of_their_own_and_counted_once(tmp_path, value, caplog):
    caplog.set_level(logging.INFO)
    rows = [{**row, "city": value if row["city"] == "Oslo" else row["city"]} for row in ROWS]
    found = load(tmp_path, lines(rows), table={"format": "jsonl"})
    assert len({s["group"] for s in found}) == len(CITIES) - 1 + 2
    assert [s["group"] for s in found[2:]] == [row["city"] for row in ROWS[2:]]
    (message,) = (record.getMessage() for record in caplog.records)
    assert "mine.table: 2 of 6 statements have no group" in message
    with pytest.raises(UserError, match="line 1, column city: the group is missing"):
        load(tmp_path, lines(rows), table={"format": "jsonl"}, missing_group="refuse")


def test_a_group_that_is_not_there_is_missing(tmp_path):
    found = load(tmp_path, lines(without("city")), table={"format": "jsonl"})
    assert len({s["group"] for s in found}) == len(CITIES) + 1
    with pytest.raises(UserError, match=f"line {LAST}, column city: the group is missing"):
        load(tmp_path, lines(without("city")), table={"format": "jsonl"}, missing_group="refuse")


def test_half_a_group_of_two_columns_is_none(tmp_path):
    """Otherwise all cities without a name in one country would be one group."""
    rows = [{**row, "land": "Norway", "city": "" if row["truth"] else row["city"]} for row in ROWS]
    columns_of = ENTRY["columns"] | {"group": ["land", "city"]}
    found = load(tmp_path, lines(rows), table={"format": "jsonl"}, columns=columns_of)
    assert len({s["group"] for s in found if s["label"] == 0}) == 3
    assert {s["group"] for s in found if s["label"] == 1} == {f"Norway | {city}" for city in CITIES}


def test_no_group_is_taken_for_that_of_another_rows_name(tmp_path):
    """Ids and groups are often both numbers."""
    rows = [{**row, "key": number, "city": (3, 3, None, None, 4, 4)[number]} for number, row in enumerate(ROWS)]
    groups = [s["group"] for s in load(tmp_path, lines(rows), table={"format": "jsonl"})]
    assert len(set(groups)) == 4
    assert groups[0] == groups[1] == "3"


def test_the_same_text_without_a_group_is_in_one(tmp_path):
    rows = [
        {**row, "city": None, "claim": row["claim"] if number else ROWS[5]["claim"]} for number, row in enumerate(ROWS)
    ]
    groups = [s["group"] for s in load(tmp_path, lines(rows), table={"format": "jsonl"})]
    assert groups[0] == groups[5]
    assert len(set(groups)) == LAST - 1


# --- Any bytes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_mutated_files_are_read_or_refused(tmp_path, form):
    draw = random.Random(form)
    right = FORMATS[form](ROWS)
    for _ in range(150):
        content = bytearray(right)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(content))
            match draw.randrange(3):
                case 0:
                    content[place] = draw.randrange(256)
                case 1:
                    del content[place : place + draw.randint(1, 30)]
                case 2:
                    content[place:place] = draw.choice([b'"', b",", b"\0", b"\n", b"\xff", b"null", b"[", bytes(8)])
        try:
            found = load(tmp_path, bytes(content), table={"format": form})
        except UserError:
            continue
        for statement in found:
            json.dumps(statement, ensure_ascii=False).encode()
            assert all(isinstance(statement[key], str) and statement[key].strip() for key in ("id", "text", "group"))
