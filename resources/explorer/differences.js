// Pairs: what another rendering or weight format changes, as differences with their intervals.

const QUANTITY_WORDS = {
  gain_centre: "centre of gain", held_out_peak_accuracy: "accuracy of the held-out peak", held_out_peak_above_baseline: "held-out peak above the baseline",
  mean_accuracy: "mean accuracy", first_above_baseline: "first layer above the best baseline", jump_point: "jump point (the paper's)",
  converging_point: "converging point (the paper's)", peak_accuracy: "accuracy of the peak", peak_depth: "depth of the peak",
};

/** Return what readers call a quantity. */
function quantityWords(name) {
  return QUANTITY_WORDS[name] ?? name.replaceAll("_", " ");
}

/** Draw the differences of a quantity between pairs, a chart for each pair of formats or renderings. */
function drawDifferences(view) {
  const all = run.rows.depth_differences;
  const quantity = chooseQuantity(view, all);
  const pairs = all.filter((row) => row.quantity === quantity && isPairDrawn(row));
  const differences = pairs.map(differenceOf).filter(({ difference, comparable }) => difference !== null && comparable);
  for (const pair of new Set(differences.map((difference) => difference.pair))) {
    const of = differences.filter((difference) => difference.pair === pair);
    const place = element("div", { class: "chart" });
    view.append(element("figure", {}, element("figcaption", {}, element("strong", {}, pair)), place));
    const clicked = (datum) => datum.key && showDetails(run.byKey.get(datum.key));
    drawChart(place, specOfDifferences(of, quantity, extent(differences)), { words: `${pair}: ${quantityWords(quantity)} of ${of.length} pairs`, marks: 3 * of.length, clicked });
  }
  view.append(note(noteOnDifferences(pairs.length, differences.length, quantity)));
}

/** Let a person choose among the quantities that were compared; those with intervals come first. */
function chooseQuantity(view, rows) {
  const known = [...new Set(rows.map((row) => row.quantity))];
  const sure = new Set(rows.filter((row) => number(row.low) !== null).map((row) => row.quantity));
  const order = [...Object.keys(QUANTITY_WORDS).filter((name) => known.includes(name)), ...known.filter((name) => !(name in QUANTITY_WORDS))];
  order.sort((a, b) => sure.has(b) - sure.has(a));
  const chosen = known.includes(state.picked.quantity) ? state.picked.quantity : order[0];
  view.append(chooser("Quantity", order.map((name) => [name, quantityWords(name)]), chosen, (value) => pick("quantity", value)));
  return chosen;
}

/** A pair is shown if all that both have in common is chosen, whichever formats or renderings are compared. */
function isPairChosen(row) {
  return areChosen(row, AXES.filter((axis) => axis !== row.compared));
}

/** Pairs of the same tokens under a second name are drawn once, as their curves are. */
function isPairDrawn(row) {
  const curve = run.byKey.get(keyOf(row));
  return isPairChosen(row) && !(curve && isSecondName(curve));
}

/** Name what a pair has in common beside its concept, as far as that varies among what is chosen. */
function commonWords(row) {
  return AXES.filter((axis) => axis !== row.compared && axis !== "dataset" && state.chosen[axis].size > 1).map((axis) => label(axis, row[axis]));
}

/** Tell depths, which only a curve above its baselines has, from accuracies. */
function isDepth(quantity) {
  return !quantity.includes("accuracy") && !quantity.startsWith("held_out");
}

/** Return a pair as it is drawn. Curves that are not above their baselines have accuracies to compare, but no depths. */
function differenceOf(row) {
  const [difference, low, high, p] = ["difference", "low", "high", "p_adjusted"].map((name) => number(row[name]));
  const second = run.byKey.get(keyOf(row)), first = run.byKey.get(keyOf({ ...row, [row.compared]: row.first }));
  const above = [first, second].every((curve) => curve && isTrue(curve.depth.above_baselines));
  return {
    key: keyOf(row), difference, low, high,
    pair: `${label(row.compared, row.second)} minus ${label(row.compared, row.first)}`,
    row: [label("dataset", row.dataset), ...commonWords(row)].join(", "),
    comparable: above || !isDepth(row.quantity),
    sure: low !== null && (low > 0 || high < 0),
    shown: withInterval(difference, low, high, 3),
    p: digits(p, 3),
  };
}

/** Return the ends of all intervals, zero among them, so that charts of several pairs have one scale. */
function extent(differences) {
  return extentOf([0, ...differences.flatMap(({ difference, low, high }) => [difference, low, high])]);
}

function specOfDifferences(values, quantity, domain) {
  const x = (field) => ({ field, type: "quantitative", title: `difference of ${quantityWords(quantity)}`, scale: { domain, nice: true } });
  const y = rowAxis(values);
  const color = { condition: { test: "datum.sure", value: look(1).colour }, value: css("--faint") };
  const tooltip = tooltips({ row: "curves", pair: "second minus first", shown: quantityWords(quantity), p: "p, adjusted" });
  return {
    height: heightOf(values),
    data: { values },
    layer: [
      { mark: { type: "rule", strokeDash: [4, 3], color: css("--faint") }, encoding: { x: { datum: 0, type: "quantitative" } } },
      ...bars(values, { opacity: 0.6 }, { y, x: x("low"), x2: { field: "high" }, color }),
      { mark: { type: "point", filled: true, size: 90, opacity: 1, cursor: "pointer" }, encoding: { y, x: x("difference"), color, tooltip } },
    ],
  };
}

function noteOnDifferences(pairs, drawn, quantity) {
  if (!pairs) return "None of the chosen curves is one of a pair of another format or rendering.";
  const bars = `Bars are ${intervals()} of the paired difference: the same statements, drawn together. Grey: the interval has 0 in it, or there is none.`;
  return drawn === pairs ? bars : `${bars} ${pairs - drawn} of ${pairs} pairs are left out: ${isDepth(quantity) ? "a curve has a depth only if it is above its baselines" : "one of both has no such number"}.`;
}
