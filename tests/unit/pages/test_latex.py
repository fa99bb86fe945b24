"""LaTeX tables have every cell with its numbers, are balanced, and take every label as text."""

import re

import pytest
from conceptdepth.pages.latex import ESTIMATES, OF_EVERY_CURVE, POINTS, latex_tables
from conceptdepth.pages.names import Names
from run_tables import depths_of, names_of

SPECIAL = re.compile(r"(?<!\\)[#%_^~$&{}]")


def tables(text):
    """Return the rows of each table, as lists of cells without what LaTeX escapes."""
    bodies = re.findall(r"\\endlastfoot\n(.*?)\\end\{longtable\}", text, re.DOTALL)
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\"))]
            for line in body.strip().splitlines()
        ]
        for body in bodies
    ]


@pytest.mark.parametrize(("n_models", "n_datasets"), [(1, 1), (2, 3), (9, 9)])
def test_each_cell_is_a_row_of_both_tables(n_models, n_datasets):
    names = names_of(n_models, n_datasets)
    depths = depths_of(names)
    own = depths.query("site == 'mlp_input' and quantization != 'random'").to_dict("records")
    both = tables(latex_tables(depths, names, 0.95))
    for rows, columns in zip(both, (ESTIMATES, POINTS), strict=True):
        assert len(rows) == len(own) == 4 * n_models * n_datasets
        for cells, row in zip(rows, own):
            assert cells[0] == names.models[row["model"]]
            assert cells[1:4] == [
                {"fp32": "32-bit float", "int8": "8-bit integer"}[row["quantization"]],
                names.datasets[row["dataset"]],
                row["perturbation"],
            ]
            for cell, quantity in zip(cells[4:], columns, strict=True):
                if not (row["above_baselines"] or quantity in OF_EVERY_CURVE):
                    assert cell == "--"
                    continue
                bounds = [row[key] for key in (quantity, f"{quantity}_low", f"{quantity}_high") if key in row]
                shown = [float(number) for number in re.findall(r"-?\d+\.\d+", cell.replace("$", ""))]
                assert shown == [round(bound, 2) for bound in bounds]


def test_without_intervals_there_are_no_brackets():
    first, _ = tables(latex_tables(depths_of(names_of(), draws=False), names_of(), 0.95))
    assert not any("(" in cell for cells in first for cell in cells)


def test_labels_are_escaped_and_all_is_balanced():
    label = "50 % of #1 & {x_y} ~ $z^2$ \\input{secret}"
    text = latex_tables(depths_of(names_of(1, 1)), Names({"m0": label}, {"d0": label}), 0.95)
    for begin, end in ((r"\begin{longtable}", r"\end{longtable}"), ("{", "}")):
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count(begin) == bare.count(end) > 0
    assert "\\input" not in text
    assert len(re.findall(r"\\(?:toprule|midrule|bottomrule)", text)) == 14
    assert len(re.findall(r"\\label\{tab:[\w-]+\}", text)) == 2
    for table in tables(text):
        for model, _, dataset, *_ in table:
            assert model == dataset
            commands = re.sub(r"\\(?:textbackslash|textasciitilde|textasciicircum)\b ?", "", model)
            assert not SPECIAL.search(commands), commands
    widths = re.findall(r"\\begin\{longtable\}\{(\w+)\}", text)
    assert [len(width) for width in widths] == [len(table[0]) for table in tables(text)]
