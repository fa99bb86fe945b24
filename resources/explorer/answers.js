// The answer first: of each chosen concept, from which layer on it is told, how sure that is, and what is still wrong there.

/** Draw a card for each chosen concept, of the first chosen model and the like. */
function drawAnswers() {
  const place = document.getElementById("answers");
  const cards = [...state.chosen.dataset].map((dataset) => chosenCurves().find((curve) => curve.dataset === dataset)).filter(Boolean);
  place.replaceChildren(...cards.map(card));
}

function card(curve) {
  const { depth } = curve;
  const above = isTrue(depth.above_baselines);
  const layer = layerAt(curve, number(depth.first_above_baseline));
  const headline = !above ? notAbove(curve) : layer === null ? "above its baselines, from no one layer on" : `from layer ${layer} of ${curve.n_layers} on`;
  const what = run.classes[curve.dataset]?.join(" or ") ?? "";
  const first = AXES.filter((axis) => axis !== "dataset" && state.chosen[axis].size > 1).map((axis) => label(axis, curve[axis]));
  return element("article", { "data-curve": curve.key },
    element("h2", {}, label("dataset", curve.dataset)),
    element("p", { class: "faint" }, [what, ...first].join(" · ")),
    element("p", { class: above ? "headline" : "headline faint" }, headline),
    element("p", {}, ...sureness(curve, above)),
    curve.statements && layer !== null && above ? element("button", { type: "button", click: () => showStatements(curve, layer) }, `What layer ${layer} gets wrong`) : null,
  );
}

/** Say how sure that is: depth with its interval, accuracy with its own, and the baseline. */
function sureness({ depth }, above) {
  const held = number(depth.held_out_peak_accuracy) !== null;
  const centre = above ? `Accuracy is gained around depth ${quantity(depth, "gain_centre")}. ` : "";
  const peak = held ? `Held-out peak ${quantity(depth, "held_out_peak_accuracy")}` : `Peak ${quantity(depth, "peak_accuracy")}`;
  const baseline = number(depth.baseline_accuracy) === null ? "" : `, best baseline ${digits(number(depth.baseline_accuracy))} (${label("baseline", depth.baseline)})`;
  return [`${centre}${peak}${baseline}.`];
}
