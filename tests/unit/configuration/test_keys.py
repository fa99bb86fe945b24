"""config/README.md has the table of keys that the schema makes, and it has every key."""

from pathlib import Path

import pytest
from conceptdepth.commands import keys
from conceptdepth.commands.keys import BEGIN, END, renewed, run, table, values
from conceptdepth.ground.errors import UserError
from whole_configuration import configuration

PAGE = Path(__file__).parents[3] / "config/README.md"


def test_the_table_in_the_page_is_that_of_the_schema():
    page = PAGE.read_text()
    assert renewed(page) == page, "conceptdepth keys writes it anew"


def test_only_the_table_of_a_page_is_written_anew():
    before, after = "# A title\n\nOf `probes.C`.\n\n", "\nMore.\n"
    page = renewed(f"{before}{BEGIN}| old |\n{END}{after}")
    assert page.startswith(before + BEGIN)
    assert page.endswith(END + after)
    assert table() in page
    assert "| old |" not in page


def test_a_page_without_a_place_for_the_table_is_left_alone():
    with pytest.raises(UserError, match="has no lines"):
        renewed(f"{END}{BEGIN}")


def test_running_it_writes_the_page(tmp_path, monkeypatch):
    page = PAGE.read_text()
    (tmp_path / "README.md").write_text(page.replace("| `probes.C` | `1.0` |", "| `probes.C` | `2.0` |"))
    (tmp_path / "config.yaml").write_text((PAGE.parent / "config.yaml").read_text())
    for name in ("models", "datasets", "claims"):
        (tmp_path / f"{name}.yaml").touch()
    monkeypatch.setattr(keys, "CONFIG", tmp_path)
    assert run() == 0
    assert (tmp_path / "README.md").read_text() == page


def test_every_value_of_the_default_run_has_its_row():
    cells = dict(line.split(" | ")[:2] for line in table().splitlines()[2:])
    found = {key.strip("| `*"): value for key, value in cells.items()}
    config = configuration()
    for section in set(config) - {"models", "datasets", "perturbations", "claims", "source_mirror"}:
        assert f"{section}" in found
        for key in config[section]:
            assert f"{section}.{key}" in found
    assert found["models"] == "[models.yaml](models.yaml)"
    assert found["perturbations"] == "`clean`, `noise`"
    assert found["source_mirror"] == "`null`"
    assert found["probes.seeds"] == "`[42, 43, 44]`"
    assert found["probes.C"] == "`1.0`"
    assert found["answers.cue"] == "`'Answer:'`"
    assert found["execution.max_memory"] == ""
    assert found["data_audit.limits.first_rows"] == "`0.6`"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"enum": ["off", 1]}, "`'off'`, `1`"),
        ({"type": "boolean"}, "`true`, `false`"),
        ({"type": ["string", "null"]}, "text or `null`"),
        ({"type": ["integer", "string"], "minimum": 1, "pattern": "^auto$"}, "integer from 1 or `auto`"),
        ({"type": "string", "pattern": "^[0-9]+$"}, "text"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number above 0 to 1"),
        ({"type": "array", "items": {"type": "integer", "minimum": 0}}, "list: integer from 0"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "mapping to: integer"),
        ({"$ref": "#/$defs/share", "default": 0}, "number from 0 to 1"),
    ],
)
def test_what_a_schema_allows_is_said_in_words(schema, said):
    assert values(schema) == said
