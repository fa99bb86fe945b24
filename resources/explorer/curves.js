// Curves of a score over layers: a panel for each concept, with intervals, baselines and published numbers.

/** Scores that are the better the lower they are. */
const LOWER_IS_BETTER = new Set(["log_loss", "description_length"]);

const BASELINE_DASHES = [5, 3], PUBLISHED_DASHES = [1.5, 2], CONTROL_DASHES = [3, 3], CHANCE_DASHES = [];

/** Draw the chosen curves, a panel for each concept. */
function drawCurves(view) {
  const curves = chosenCurves();
  const names = [...new Set(curves.map((curve) => called(curve, ["dataset"])))];
  const panels = element("div", { class: "panels" });
  view.append(legendOf(names, overlaysInWords(curves)), panels, note(noteOnCurves(curves)));
  const marks = curves.reduce((sum, curve) => sum + curve.n_layers, 0);
  const domain = valuesShown(curves, names);
  for (const dataset of state.chosen.dataset) {
    const of = curves.filter((curve) => curve.dataset === dataset);
    const place = element("div", { class: "chart" });
    panels.append(element("figure", { "data-dataset": dataset }, element("figcaption", {}, element("strong", {}, label("dataset", dataset)), " ", element("span", { class: "faint" }, run.domains[dataset] ?? "")), place));
    const words = `${run.labels.score[state.score]} of ${of.length} curves over layers, ${label("dataset", dataset)}`;
    drawChart(place, specOfCurves(of, names, domain), { words, marks, clicked: (datum) => datum.key && showDetails(run.byKey.get(datum.key), datum.layer) });
  }
}

/** Return the least and the most of what is drawn, so that all panels have one scale. */
function valuesShown(curves, names) {
  const points = curves.flatMap((curve) => pointsOf(curve));
  const of = (overlay, ...fields) => (shows(overlay) ? points.flatMap((point) => fields.map((field) => point[field])) : []);
  const levels = levelsOf(curves, names).map(({ value }) => value);
  const controls = state.overlays.has("controls") ? curves.flatMap((curve) => Object.values(curve.controls).flatMap((scores) => scores[state.score] ?? [])) : [];
  const published = shows("published") ? publishedOf(curves).flatMap(({ accuracy }) => accuracy) : [];
  return extentOf([...points.map(({ value }) => value), ...of("intervals", "low", "high"), ...of("splits", "least", "most"), ...levels, ...controls, ...published]);
}

/** Return the layers of a curve as rows: what is drawn, and what a mouse shows of it. */
function pointsOf(curve) {
  const name = called(curve, ["dataset"]);
  const accuracy = state.score === "accuracy";
  return (curve.scores[state.score] ?? []).map((value, layer) => ({
    key: curve.key, name, layer,
    depth: layer / curve.n_layers,
    value,
    low: accuracy ? curve.low?.[layer] ?? null : null,
    high: accuracy ? curve.high?.[layer] ?? null : null,
    least: accuracy ? curve.least[layer] : null,
    most: accuracy ? curve.most[layer] : null,
    unsolved: isUnsolved(curve.converged[layer]),
    shown: accuracy && curve.low ? withInterval(value, curve.low[layer], curve.high[layer], 3) : digits(value, 3),
    place: `${layer} of ${curve.n_layers}, depth ${digits(layer / curve.n_layers)}`,
    solved: percent(curve.converged[layer]),
  }));
}

/** Tell whether most probes of a layer did not converge; of some that is not known. */
function isUnsolved(share) {
  return share !== null && share < 0.5;
}

function specOfCurves(curves, names, domain) {
  const points = curves.flatMap((curve) => pointsOf(curve));
  const looks = names.map((_, index) => look(index));
  const across = acrossLayers();
  const colour = { field: "name", type: "nominal", legend: null, scale: { domain: names, range: looks.map(({ colour }) => colour) } };
  const dash = { field: "name", type: "nominal", legend: null, scale: { domain: names, range: looks.map(({ dashes }) => dashes) } };
  const up = (field) => ({ ...upwards(field), scale: { domain, nice: true, zero: false } });
  const y = up("value");
  const tooltip = tooltips({ name: "curve", place: "layer", shown: run.labels.score[state.score], solved: "converged" });
  const band = (low, high, opacity) => ({ mark: { type: "area", opacity }, encoding: { x: across, y: up(low), y2: { field: high }, color: colour } });
  return {
    height: 210,
    data: { values: points },
    layer: [
      ...(shows("intervals") ? [band("low", "high", 0.16)] : []),
      ...(shows("splits") ? [band("least", "most", 0.12)] : []),
      ...levelsOf(curves, names).map((level) => levelMark(level, looks)),
      ...(state.overlays.has("controls") ? controlMarks(curves, names, across) : []),
      ...(state.overlays.has("published") ? publishedMarks(curves, across) : []),
      { mark: { type: "line", strokeWidth: 2 }, encoding: { x: across, y, color: colour, strokeDash: dash } },
      { mark: { type: "point", filled: true, size: 26, cursor: "pointer" }, encoding: { x: across, y, color: colour, tooltip, opacity: { condition: { test: "datum.unsolved", value: 0.25 }, value: 1 } } },
    ],
  };
}

/** Return the axis of a score; the one title of all marks of a chart is its title. */
function upwards(field) {
  return { field, type: "quantitative", title: run.labels.score[state.score] };
}

/** Intervals and ranges are of accuracy alone. */
function shows(overlay) {
  return state.overlays.has(overlay) && state.score === "accuracy";
}

/** Return the levels that curves of a concept are held against: chance, the best baseline of words, the embedding, controls. */
function levelsOf(curves, names) {
  const levels = new Map();
  const add = (words, value, dashes, name) => {
    if (value !== null && value !== undefined) levels.set(`${words} ${digits(value, 4)}`, { words, value, dashes, order: names.indexOf(name) });
  };
  for (const curve of curves) {
    const several = state.chosen.perturbation.size > 1 ? `, ${label("perturbation", curve.perturbation)}` : "";
    const name = called(curve, ["dataset"]);
    if (state.score === "accuracy") add("chance (larger class)", curve.majority, CHANCE_DASHES);
    if (state.overlays.has("baselines")) {
      const best = bestBaseline(curve);
      if (best) add(`best baseline of words: ${best.words}${several}`, best.value, BASELINE_DASHES);
    }
    if (state.overlays.has("embedding") && curve.embedding) add(`embedding of ${name}`, curve.embedding[state.score], CONTROL_DASHES, name);
  }
  return [...levels.values()];
}

/** Return the best baseline of words of a curve's texts by the score that is shown. */
function bestBaseline(curve) {
  const found = Object.entries(run.baselines[curve.dataset]?.[curve.perturbation] ?? {})
    .map(([name, scores]) => ({ words: run.labels.baseline?.[name] ?? name.replaceAll("_", " "), value: scores[state.score] ?? null }))
    .filter(({ value }) => value !== null);
  const better = LOWER_IS_BETTER.has(state.score) ? -1 : 1;
  return found.sort((a, b) => better * (b.value - a.value))[0];
}

function levelMark({ words, value, dashes, order }, looks) {
  const color = order >= 0 ? looks[order].colour : css("--faint");
  return { data: { values: [{ value, words, shown: digits(value, 3) }] }, mark: { type: "rule", strokeDash: dashes, color, strokeWidth: 1.2 }, encoding: { y: upwards("value"), tooltip: tooltips({ words: "level", shown: run.labels.score[state.score] }) } };
}

/** Return the published curves of the models and concepts of `curves`. */
function publishedOf(curves) {
  return run.published.filter((other) => curves.some((curve) => curve.model === other.model && curve.dataset === other.dataset));
}

/** Return the marks of the published curves of the models and the concept that are shown, each in the colour of the first curve of its model. */
function publishedMarks(curves, across) {
  if (state.score !== "accuracy") return [];
  const names = [...new Set(chosenCurves().map((curve) => called(curve, ["dataset"])))];
  return publishedOf(curves).map((other) => {
    const first = curves.find((curve) => curve.model === other.model);
    const values = other.accuracy.map((value, layer) => ({ layer, depth: layer / other.n_layers, value, words: `published for ${label("model", other.model)}`, shown: digits(value, 3) }));
    return { data: { values }, mark: { type: "line", strokeDash: PUBLISHED_DASHES, strokeWidth: 2, color: look(names.indexOf(called(first, ["dataset"]))).colour }, encoding: { x: across, y: upwards("value"), tooltip: tooltips({ words: "curve", shown: "accuracy" }) } };
    });
}

/** Return the curves of probes that were trained for something else, each in the colour of its own. */
function controlMarks(curves, names, across) {
  return curves.flatMap((curve) =>
    Object.entries(curve.controls).filter(([, scores]) => scores[state.score]).map(([target, scores]) => {
      const name = called(curve, ["dataset"]);
      const words = `${name}: ${label("target", target)}`;
      const values = scores[state.score].map((value, layer) => ({ layer, depth: layer / curve.n_layers, value, words, shown: digits(value, 3) }));
      return { data: { values }, mark: { type: "line", strokeDash: CONTROL_DASHES, strokeWidth: 1.3, opacity: 0.8, color: look(names.indexOf(name)).colour }, encoding: { x: across, y: upwards("value"), tooltip: tooltips({ words: "control", shown: run.labels.score[state.score] }) } };
    }),
  );
}

function overlaysInWords(curves) {
  const has = (overlay, some) => state.overlays.has(overlay) && some;
  return [
    ...(state.score === "accuracy" ? [{ words: "chance (larger class)", dashes: CHANCE_DASHES }] : []),
    ...(has("baselines", curves.some(bestBaseline)) ? [{ words: "best baseline of words", dashes: BASELINE_DASHES }] : []),
    ...(has("published", run.published.length && state.score === "accuracy") ? [{ words: "published for the same model", dashes: PUBLISHED_DASHES }] : []),
    ...(has("controls", curves.some((curve) => Object.keys(curve.controls).length)) ? [{ words: "control targets, in the colour of their curve", dashes: CONTROL_DASHES }] : []),
    ...(has("embedding", curves.some((curve) => curve.embedding)) ? [{ words: "embedding, in the colour of its curve", dashes: CONTROL_DASHES }] : []),
  ];
}

function noteOnCurves(curves) {
  if (!curves.length) return "There is no curve of what is chosen: not all of it was run together.";
  const splits = Math.max(...curves.map((curve) => curve.n_splits));
  const means = splits > 1 ? `Points are means over ${splits} splits. ` : "";
  const bands = shows("intervals") && curves.some((curve) => curve.low) ? `Bands are ${intervals()}: other statements trained on and tested. ` : "";
  const faint = curves.some((curve) => curve.converged.some(isUnsolved)) ? "Faint points: most probes of the layer did not converge. " : "";
  const hidden = run.curves.some((curve) => isChosen(curve) && isSecondName(curve)) ? "Where two positions are the same tokens, one curve stands for both. " : "";
  return `${means}${bands}${faint}${hidden}A click on a point says where it comes from.`;
}
