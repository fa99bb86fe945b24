// Where a number comes from: its curve in full, its layer's numbers, its record and how to audit it.

/** Show the details of a curve at a layer, by default that of its peak. */
function showDetails(curve, layer = layerAt(curve, number(curve.depth.peak_depth)) ?? 0) {
  const dialog = document.getElementById("details");
  const focused = document.activeElement?.id;
  const close = element("button", { type: "button", id: "details.close", click: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    element("h2", {}, inFull(curve)),
    element("dl", {}, ...detailsOf(curve, layer).flatMap(([term, said]) => [element("dt", {}, term), element("dd", {}, said)])),
    element("div", { class: "row" }, ...stepsTo(curve, layer), close),
  );
  if (!dialog.open) return dialog.showModal();
  const again = document.getElementById(focused);
  (again && !again.disabled ? again : close).focus();
}

function detailsOf(curve, layer) {
  const scores = Object.entries(run.labels.score).filter(([name]) => curve.scores[name]);
  const low = curve.low?.[layer] ?? null, high = curve.high?.[layer] ?? null;
  const said = (name) => (name === "accuracy" ? withInterval(curve.scores.accuracy[layer], low, high, 3) : digits(curve.scores[name][layer], 3));
  return [
    ["Layer", `${layer} of ${curve.n_layers}, relative depth ${digits(layer / curve.n_layers)}`],
    ...scores.map(([name, words]) => [words, said(name)]),
    ["Probes of this layer that converged", `${percent(curve.converged[layer])} of ${curve.n_splits}`],
    ["Probes of all layers that converged", percent(number(curve.depth.converged))],
    ["Tested statements", `${curve.n_test} in each of ${curve.n_splits} ${curve.n_splits === 1 ? "split" : "splits"}`],
    ["Scores", element("code", {}, curve.file)],
    ["Record", element("code", {}, curve.record)],
    ["To audit", element("code", {}, run.audit.replace("{file}", curve.file))],
  ];
}

/** Make the buttons that go on from a number: to the layers beside it, and to its statements. */
function stepsTo(curve, layer) {
  const step = (words, to) => element("button", { type: "button", id: `details.${words}`, disabled: to < 0 || to >= curve.n_layers, click: () => showDetails(curve, to) }, words);
  const statements = curve.statements && element("button", { type: "button", click: () => { document.getElementById("details").close(); showStatements(curve, layer); } }, "Which statements it gets wrong");
  return [step("← layer before", layer - 1), step("layer after →", layer + 1), statements || null];
}

/** Go to the statements of a curve at a layer. */
function showStatements(curve, layer) {
  for (const axis of AXES) state.chosen[axis].add(curve[axis]);
  Object.assign(state.picked, { curve: curve.key, layer: String(layer), show: "wrong" });
  state.view = "statements";
  draw();
  document.getElementById("view").focus();
}
