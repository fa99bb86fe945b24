// Depths with their intervals: what can be trusted first, the paper's points small and only if asked for.

/** Quantities of concept_depth.csv between 0 and 1 of all layers, those first that the simulation trusts (docs/reliability.md). */
const DEPTHS = [
  { name: "gain_centre", words: "centre of gain", shape: "circle", trusted: true },
  { name: "first_above_baseline", words: "first layer above the best baseline", shape: "diamond", trusted: true },
  { name: "jump_point", words: "jump point (the paper's)", shape: "triangle-right", trusted: false },
  { name: "converging_point", words: "converging point (the paper's)", shape: "square", trusted: false },
];

/** Draw depth, and the accuracy of the peak beside it, a row for each chosen curve. */
function drawDepths(view) {
  const curves = chosenCurves();
  const paper = state.picked.paper === "true";
  const box = element("input", { type: "checkbox", id: "picked.paper", checked: paper, change: (event) => pick("paper", String(event.target.checked)) });
  const places = [element("div", { class: "chart" }), element("div", { class: "chart" })];
  view.append(
    element("label", { for: "picked.paper", class: "inline" }, box, "Also the paper's points, which depend on single noisy layers"),
    element("figure", {}, element("figcaption", {}, element("strong", {}, "From which depth on")), places[0]),
    element("figure", {}, element("figcaption", {}, element("strong", {}, "How well, at the peak (of statements that it was not chosen on)")), places[1]),
    note(noteOnDepths(curves)),
  );
  const rows = curves.map((curve) => ({ curve, row: rowWords(curve) }));
  const clicked = (datum) => datum.key && showDetails(run.byKey.get(datum.key), datum.layer ?? undefined);
  drawChart(places[0], specOfDepths(rows, paper), { words: `Depths of ${rows.length} curves`, marks: 6 * rows.length, clicked });
  drawChart(places[1], specOfPeaks(rows), { words: `Accuracy of the peak of ${rows.length} curves`, marks: 3 * rows.length, clicked });
}

function noteOnDepths(curves) {
  const chosen = curves.some(({ depth }) => number(depth.held_out_peak_accuracy) === null) ? "Where no statements were left to test a peak on, it is that of all layers, which is too high. " : "";
  return `Bars are ${intervals()} of the whole experiment, other statements trained on and tested; ticks are the best baselines. A curve that is not above its baselines has no depth. ${chosen}A click says where a number comes from.`;
}

/** Name the row of a curve: its concept, and what else tells it from other rows. */
function rowWords(curve) {
  const others = AXES.some((axis) => axis !== "dataset" && state.chosen[axis].size > 1) ? ` · ${called(curve, ["dataset"])}` : "";
  return label("dataset", curve.dataset) + others;
}

/** Return the rows of a chart of depths: a quantity of a curve with its interval. */
function depthMarks(rows, paper) {
  return rows.flatMap(({ curve, row }) =>
    DEPTHS.filter(({ trusted }) => trusted || paper).map(({ name, words, trusted }) => {
      const value = isTrue(curve.depth.above_baselines) ? number(curve.depth[name]) : null;
      return { key: curve.key, row, quantity: words, trusted, value, low: number(curve.depth[`${name}_low`]), high: number(curve.depth[`${name}_high`]), layer: layerAt(curve, value), shown: quantity(curve.depth, name), place: value === null ? "" : `${digits(value * curve.n_layers, 1)} of ${curve.n_layers}` };
    }),
  ).filter(({ value }) => value !== null);
}

function specOfDepths(rows, paper) {
  const marks = depthMarks(rows, paper);
  const placed = new Set(marks.map(({ key }) => key));
  const none = rows.filter(({ curve }) => !placed.has(curve.key)).map(({ curve, row }) => ({ key: curve.key, row, words: isTrue(curve.depth.above_baselines) ? "no one depth" : `${notAbove(curve)}: no depth` }));
  const shown = DEPTHS.filter(({ trusted }) => trusted || paper);
  const y = rowAxis(rows);
  const x = (field) => ({ field, type: "quantitative", title: "relative depth (layer / number of layers)", scale: { domain: [0, 1] } });
  const of = { domain: shown.map(({ words }) => words) };
  const legend = { orient: "top", columns: narrow() ? 1 : 4, labelLimit: 400, symbolOpacity: 1, symbolSize: 90 };
  const color = { field: "quantity", type: "nominal", title: null, legend, scale: { ...of, range: shown.map((_, index) => look(index).colour) } };
  const shape = { field: "quantity", type: "nominal", title: null, legend, scale: { ...of, range: shown.map(({ shape }) => shape) } };
  const size = { condition: { test: "datum.trusted", value: 110 }, value: 45 };
  return {
    height: heightOf(rows),
    layer: [
      ...bars(marks, {}, { y, x: x("low"), x2: { field: "high" }, color }),
      { data: { values: marks }, mark: { type: "point", filled: true, opacity: 1, cursor: "pointer" }, encoding: { y, x: x("value"), color, shape, size, tooltip: tooltips({ row: "curve", quantity: "what", shown: "depth", place: "layer" }) } },
      { data: { values: none }, mark: { type: "text", align: "left", color: css("--faint"), fontSize: 12, fontStyle: "italic" }, encoding: { y, x: { datum: 0.02, type: "quantitative" }, text: { field: "words" } } },
    ],
  };
}

function specOfPeaks(rows) {
  const values = rows.map(({ curve, row }) => {
    const of = (name) => number(curve.depth[name]);
    const peak = of("held_out_peak_accuracy") ?? of("peak_accuracy");
    return { key: curve.key, row, value: peak, low: of("held_out_peak_accuracy_low"), high: of("held_out_peak_accuracy_high"), layer: layerAt(curve, of("peak_depth")), baseline: of("baseline_accuracy"), by: run.labels.baseline?.[curve.depth.baseline] ?? curve.depth.baseline, shown: withInterval(peak, of("held_out_peak_accuracy_low"), of("held_out_peak_accuracy_high"), 3), level: digits(of("baseline_accuracy"), 3) };
  });
  const y = rowAxis(rows);
  const domain = extentOf(values.flatMap(({ value, low, high, baseline }) => [value, low, high, baseline]));
  const x = (field) => ({ field, type: "quantitative", title: "test accuracy", scale: { domain, zero: false, nice: true } });
  const tooltip = tooltips({ row: "curve", shown: "peak", level: "best baseline", by: "which" });
  return {
    height: heightOf(rows),
    data: { values },
    layer: [
      ...bars(values, { color: look(0).colour }, { y, x: x("low"), x2: { field: "high" } }),
      { mark: { type: "tick", thickness: 2, size: 18, color: css("--faint") }, encoding: { y, x: x("baseline"), tooltip } },
      { mark: { type: "point", filled: true, opacity: 1, size: 110, color: look(0).colour, cursor: "pointer" }, encoding: { y, x: x("value"), tooltip } },
    ],
  };
}
