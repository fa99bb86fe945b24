// What the page knows of the run: curves, tables as their CSV files have them, statements.

/** Columns that name a curve, as `conceptdepth.ground.names.CURVE` has them. */
const AXES = ["model", "quantization", "dataset", "perturbation", "site", "position", "probe"];

/** What readers call the axes. */
const AXIS_WORDS = {
  dataset: "Concept", model: "Model", quantization: "Weight format", perturbation: "Rendering",
  site: "Site", position: "Position", probe: "Probe",
};

/** The axes as readers ask of them: the concept first. */
const READING_ORDER = Object.keys(AXIS_WORDS);

/** Read the data of the page: gzip in base64, so that a file of megabytes opens at once. */
async function readData() {
  const bytes = bytesOf(document.getElementById("data").textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return prepared(await new Response(stream).json());
}

/** Return the bytes that a text holds in base64. */
function bytesOf(text) {
  return Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
}

/** Give each curve its key and its row of concept_depth.csv. */
function prepared(run) {
  run.rows = Object.fromEntries(Object.entries(run.tables).map(([name, table]) => [name, rowsOf(table)]));
  const depths = new Map(run.rows.concept_depth.map((row) => [keyOf(row), row]));
  for (const curve of run.curves) {
    curve.key = keyOf(curve);
    curve.depth = depths.get(curve.key) ?? {};
  }
  run.values = Object.fromEntries(AXES.map((axis) => [axis, [...new Set(run.curves.map((curve) => curve[axis]))]]));
  run.byKey = new Map(run.curves.map((curve) => [curve.key, curve]));
  run.aliases = aliasesOf(run);
  return run;
}

/** Return which positions are always the same tokens as another one: what is so in some renderings alone is no name. */
function aliasesOf(run) {
  const firsts = run.values.position.map((position) => [position, new Set(run.curves.filter((curve) => curve.position === position).map((curve) => curve.same_tokens_as))]);
  const seconds = firsts.filter(([position, first]) => first.size === 1 && !first.has(position));
  return Object.fromEntries(run.values.position.map((position) => [position, seconds.filter(([, first]) => first.has(position)).map(([second]) => second)]));
}

/** Name a curve by the values of its axes. */
function keyOf(names) {
  return AXES.map((axis) => names[axis]).join("/");
}

/** Return the rows of a table by column; each cell stays the text that it is in the CSV file. */
function rowsOf({ columns, rows }) {
  return rows.map((cells) => Object.fromEntries(columns.map((column, index) => [column, cells[index]])));
}

/** Return a table as the CSV file that it was read from. */
function csvOf({ columns, rows }) {
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return [columns, ...rows].map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

/** Return a number of a table's cell; null where the table has none. */
function number(cell) {
  const value = cell === "" || cell === undefined ? NaN : Number(cell);
  return Number.isFinite(value) ? value : null;
}

/** Tell whether a cell of a table that pandas wrote is true. */
function isTrue(cell) {
  return cell === "True";
}

/** Say of a curve that is not known to be above its baselines what is known: without intervals that is not tested. */
function notAbove({ depth }) {
  return depth.above_baselines === "False" ? "not above its baselines" : "not tested against its baselines";
}

/** Return what readers call a value of an axis. */
function label(axis, value) {
  const word = run.labels[axis]?.[value] ?? String(value).replaceAll("_", " ");
  const others = axis === "position" ? (run.aliases[value] ?? []) : [];
  return [word, ...others.map((other) => run.labels.position?.[other] ?? other)].join(" = ");
}

/** Write a share or score with two digits, or as many as asked for; what is rounded to 0 has no sign. */
function digits(value, count = 2) {
  return value === null || value === undefined ? "–" : value.toFixed(count).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
}

/** Write a share in per cent. */
function percent(share) {
  return share === null || share === undefined ? "–" : `${Math.round(100 * share)} %`;
}

/** Name the intervals of the run, which has chosen their level. */
function intervals() {
  return `${Number((100 * run.level).toFixed(3))} % intervals`;
}

/** Return the least and the most of numbers, however many, as ends of an axis; those that are missing are passed over. */
function extentOf(values) {
  const found = values.filter((value) => value !== null && value !== undefined);
  // Not Math.min(...found): a function takes some hundred thousand arguments at most.
  const least = (a, b) => Math.min(a, b), most = (a, b) => Math.max(a, b);
  const [low, high] = found.length ? [found.reduce(least), found.reduce(most)] : [0, 1];
  // An axis of one number would round it.
  return low < high ? [low, high] : [low - 0.05, high + 0.05];
}

/** Write an interval behind its number, if there is one. */
function withInterval(value, low, high, count = 2) {
  if (value === null) return "–";
  return low === null || high === null ? digits(value, count) : `${digits(value, count)} [${digits(low, count)}, ${digits(high, count)}]`;
}

/** Return a quantity of a row of concept_depth.csv with its interval, in words. */
function quantity(row, name, count = 2) {
  return withInterval(number(row[name]), number(row[`${name}_low`]), number(row[`${name}_high`]), count);
}

/** Return the layer at a depth: layer i of d stands at i/d. */
function layerAt(curve, depth) {
  return depth === null ? null : Math.min(Math.round(depth * curve.n_layers), curve.n_layers - 1);
}
