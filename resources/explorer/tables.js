// Every table of the run: sorted by a click, as far as it is of what is chosen, and as the file that it is.

/** What is shown of concept_depth.csv unless all columns are asked for. */
const MAIN_COLUMNS = [
  { name: "held_out_peak_accuracy", words: "Held-out peak", title: "Accuracy of the peak on statements that it was not chosen on" },
  { name: "held_out_peak_above_baseline", words: "… above the baseline" },
  { name: "first_above_baseline", words: "First layer above baselines", title: "As relative depth" },
  { name: "gain_centre", words: "Centre of gain", title: "Relative depth around which accuracy is gained, if the curve is above its baselines", isDepth: true },
  { name: "p_above_baseline_adjusted", words: "p, adjusted", title: "That the curve is not above its best baseline, for all curves together" },
  { name: "converged", words: "Converged", title: "Share of its probes whose solver converged" },
];

const TABLE_WORDS = {
  concept_depth: "Depths of every curve", depth_differences: "Differences of pairs", partial_depth: "Depths without confounds", claims: "Claims", baseline_scores: "Baselines of words", data_audit: "Audit of the data",
  depth_variance: "Depth by position and wording", activation_drift: "Drift of activations", direct_answers: "The model's own answers",
};

/** Show a table, by default that of depths. */
function drawTables(view) {
  const names = [...Object.keys(TABLE_WORDS).filter((name) => name in run.rows), ...Object.keys(run.rows).filter((name) => !(name in TABLE_WORDS))];
  const name = names.includes(state.picked.table) ? state.picked.table : names[0];
  const columns = state.picked.columns === "all" ? "all" : "main";
  const isMain = name === "concept_depth" && columns === "main";
  const rows = run.rows[name].filter(run.tables[name].columns.includes("compared") ? isPairChosen : isChosen);
  view.append(
    element("div", { class: "row" },
      chooser("Table", names.map((other) => [other, TABLE_WORDS[other] ?? other.replaceAll("_", " ")]), name, (value) => { state.picked.table = value; delete state.picked.sort; draw(); }),
      name === "concept_depth" ? chooser("Columns", [["main", "main results"], ["all", "all"]], columns, (value) => pick("columns", value)) : null,
      download(`Download ${name}.csv`, `${name}.csv`, csvOf(run.tables[name])),
    ),
    sortableTable(
      `${rows.length.toLocaleString("en")} of ${run.rows[name].length.toLocaleString("en")} rows of ${name}.csv${rows.length < run.rows[name].length ? ": those of what is chosen" : ""}`,
      isMain ? mainColumns() : allColumns(name),
      rows,
      { sorted: state.picked.sort, sort: (value) => pick("sort", value) },
    ),
  );
}

function nameColumns() {
  return ["dataset", ...AXES.filter((axis) => axis !== "dataset" && run.values[axis].length > 1)]
    .map((axis) => ({ name: axis, words: AXIS_WORDS[axis], text: (row) => label(axis, row[axis]), value: (row) => label(axis, row[axis]), kind: "words" }));
}

function mainColumns() {
  const details = { name: "details", words: "Where from", text: (row) => element("button", { type: "button", class: "plain", click: () => showDetails(run.byKey.get(keyOf(row))) }, "details"), value: () => null };
  const main = MAIN_COLUMNS.map(({ name, words, title, isDepth }) => {
    const has = (row) => !isDepth || isTrue(row.above_baselines);
    return { name, words, title, text: (row) => (has(row) ? quantity(row, name, name.startsWith("p_") ? 3 : 2) : "–"), value: (row) => (has(row) ? number(row[name]) : null), kind: "number" };
  });
  return [...nameColumns(), details, ...main];
}

function allColumns(name) {
  return run.tables[name].columns.map((column) => {
    const numeric = run.rows[name].every((row) => row[column] === "" || row[column] === "NaN" || number(row[column]) !== null);
    return { name: column, words: column, text: (row) => row[column], value: (row) => (numeric ? number(row[column]) : row[column]), kind: numeric ? "number" : "words" };
  });
}
