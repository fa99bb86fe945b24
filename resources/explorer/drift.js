// Drift: what another format or rendering does to activations, layer by layer, and to probes that are transferred.

const DRIFT_WORDS = {
  transfer_change: "accuracy gained by a probe of the first on activations of the second", cosine: "cosine of both vectors of a statement",
  relative_change: "length of the change over length of the vector", cka: "CKA (linear)", cka_debiased: "CKA (linear, debiased)",
};

/** Draw a measure of drift over layers, a panel for each concept, a line for each comparison. */
function drawDrift(view) {
  const measures = Object.entries(DRIFT_WORDS).filter(([name]) => run.tables.activation_drift.columns.includes(name));
  const measure = measures.some(([name]) => name === state.picked.drift) ? state.picked.drift : measures[0][0];
  const rows = run.rows.activation_drift.filter(isPairDrawn).map((row) => driftOf(row, measure)).filter(({ value }) => value !== null);
  const names = [...new Set(rows.map(({ name }) => name))];
  const panels = element("div", { class: "panels" });
  view.append(chooser("Measure", measures, measure, (value) => pick("drift", value)), legendOf(names), panels, note("Each line compares the second with the first, statement by statement. docs/drift.md says what each measure can and cannot show."));
  if (!rows.length) view.append(note("There is nothing of what is chosen."));
  const domain = extentOf(rows.flatMap(({ value, low, high }) => [value, low, high]));
  for (const dataset of state.chosen.dataset) {
    const of = rows.filter((row) => row.dataset === dataset);
    if (!of.length) continue;
    const place = element("div", { class: "chart" });
    panels.append(element("figure", {}, element("figcaption", {}, element("strong", {}, label("dataset", dataset))), place));
    drawChart(place, specOfDrift(of, names, domain), { words: `${DRIFT_WORDS[measure]}, ${label("dataset", dataset)}`, marks: rows.length });
  }
}

function driftOf(row, measure) {
  const pair = `${label(row.compared, row.second)} after ${label(row.compared, row.first)}`;
  const value = number(row[measure]);
  const [low, high] = [number(row[`${measure}_low`]), number(row[`${measure}_high`])];
  const n_layers = run.byKey.get(keyOf(row))?.n_layers ?? null;
  return { dataset: row.dataset, layer: Number(row.layer), depth: n_layers && Number(row.layer) / n_layers, value, low, high, name: [pair, ...commonWords(row)].join(", "), shown: withInterval(value, low, high, 3) };
}

function specOfDrift(values, names, domain) {
  const looks = names.map((_, index) => look(index));
  const x = acrossLayers();
  const of = (pick) => ({ field: "name", type: "nominal", legend: null, scale: { domain: names, range: looks.map(pick) } });
  const scale = { domain, nice: true, zero: false };
  const y = { field: "value", type: "quantitative", title: null, scale };
  const [color, strokeDash] = [of(({ colour }) => colour), of(({ dashes }) => dashes)];
  return {
    height: 190,
    data: { values },
    layer: [
      ...(state.overlays.has("intervals") ? [{ mark: { type: "area", opacity: 0.13 }, encoding: { x, y: { field: "low", type: "quantitative", title: null, scale }, y2: { field: "high" }, color } }] : []),
      { mark: { type: "line", strokeWidth: 2 }, encoding: { x, y, color, strokeDash } },
      { mark: { type: "point", filled: true, size: 22 }, encoding: { x, y, color, tooltip: tooltips({ name: "compared", layer: "layer", shown: "value" }) } },
    ],
  };
}
