// How much of a depth, and of a peak, is the way in which statements were read: position, wording, site, split, sample.

const FACTOR_WORDS = { position: "position of the token", perturbation: "wording", site: "site", seed: "split", statements: "sample of statements" };

/** Draw the standard deviation that each choice alone gives to an answer, a panel for each concept. */
function drawVariance(view) {
  const rows = run.rows.depth_variance.filter((row) => isChosen(row) && number(row.sd) !== null);
  const quantities = [...new Set(run.rows.depth_variance.map((row) => row.quantity))];
  const quantity = [state.picked.varied, rows[0]?.quantity].find((name) => quantities.includes(name)) ?? quantities[0];
  const panels = element("div", { class: "panels" });
  view.append(
    chooser("Quantity", quantities.map((name) => [name, quantityWords(name)]), quantity, (value) => pick("varied", value)), panels,
    note("The standard deviation of an answer when that alone varies; the tick is what the sampling of statements alone would show. docs/positions.md says how it is estimated."),
  );
  const shown = rows.filter((row) => row.quantity === quantity).map(spreadOf);
  const most = extentOf(shown.flatMap(({ sd, noise }) => [sd, noise]))[1];
  for (const name of new Set(shown.map((row) => row.name))) {
    const of = shown.filter((row) => row.name === name);
    const place = element("div", { class: "chart" });
    panels.append(element("figure", {}, element("figcaption", {}, element("strong", {}, name)), place));
    drawChart(place, specOfVariance(of, most, quantity), { words: `Spread of ${quantityWords(quantity)}, ${name}`, marks: 2 * of.length });
  }
  if (!shown.length) view.append(note("There is nothing of what is chosen."));
}

function spreadOf(row) {
  const others = ["model", "quantization", "probe"].filter((axis) => run.values[axis].length > 1);
  const sd = number(row.sd), noise = number(row.sd_noise);
  return { name: [label("dataset", row.dataset), ...others.map((axis) => label(axis, row[axis]))].join(", "), row: FACTOR_WORDS[row.factor] ?? row.factor, sd, noise, shown: digits(sd, 3), noisy: digits(noise, 3), share: digits(number(row.share)), levels: row.levels };
}

function specOfVariance(values, most, quantity) {
  const x = (field) => ({ field, type: "quantitative", title: `standard deviation of ${quantityWords(quantity)}`, scale: { domain: [0, most], nice: true } });
  const y = rowAxis(values);
  const tooltip = tooltips({ row: "varied", levels: "levels", shown: "standard deviation", noisy: "of noise alone", share: "share (total effect)" });
  return {
    height: heightOf(values),
    data: { values },
    layer: [
      { mark: { type: "bar", height: 16, color: look(0).colour, opacity: 0.85 }, encoding: { y, x: x("sd"), tooltip } },
      { mark: { type: "tick", thickness: 2, size: 24, color: css("--text") }, encoding: { y, x: x("noise"), tooltip } },
    ],
  };
}
