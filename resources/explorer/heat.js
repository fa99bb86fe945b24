// A heat map of layers and concepts, one for each model and format that is shown.

/** Draw a score of every layer and chosen concept. */
function drawHeat(view) {
  const curves = chosenCurves();
  const names = [...new Set(curves.map((curve) => called(curve, ["dataset"])))];
  const domain = extentOf(curves.flatMap((curve) => curve.scores[state.score] ?? []));
  for (const name of names) {
    const of = curves.filter((curve) => called(curve, ["dataset"]) === name);
    const cells = of.flatMap(cellsOf);
    if (!cells.length) continue;
    const place = element("div", { class: "chart" });
    view.append(element("figure", {}, element("figcaption", {}, element("strong", {}, name)), place));
    const clicked = (datum) => datum.key && showDetails(run.byKey.get(datum.key), datum.layer);
    drawChart(place, specOfHeat(cells, domain), { words: `${run.labels.score[state.score]} by layer and concept, ${name}`, marks: cells.length, clicked });
  }
  view.append(note("One scale of colour for all of them, the better the brighter. A click on a cell says where it comes from."));
}

function cellsOf(curve) {
  return (curve.scores[state.score] ?? []).map((value, layer) => ({
    key: curve.key, layer, value, concept: label("dataset", curve.dataset), shown: digits(value, 3), place: `${layer} of ${curve.n_layers}`,
    from: layer / curve.n_layers, to: (layer + 1) / curve.n_layers, next: layer + 1,
  }));
}

function specOfHeat(cells, domain) {
  const [from, to, title] = state.across === "depth" ? ["from", "to", "relative depth"] : ["layer", "next", "layer"];
  const concepts = [...new Set(cells.map(({ concept }) => concept))];
  return {
    height: 28 * concepts.length,
    data: { values: cells },
    mark: { type: "rect", cursor: "pointer", stroke: null },
    encoding: {
      y: { field: "concept", type: "nominal", title: null, sort: concepts, axis: { labelLimit: narrow() ? 100 : 240 } },
      x: { field: from, type: "quantitative", title, scale: { nice: false }, axis: { grid: false } },
      x2: { field: to },
      color: { field: "value", type: "quantitative", title: run.labels.score[state.score], scale: { scheme: "viridis", domain, reverse: LOWER_IS_BETTER.has(state.score) }, legend: { orient: narrow() ? "bottom" : "right" } },
      tooltip: tooltips({ concept: "concept", place: "layer", shown: run.labels.score[state.score] }),
    },
  };
}
