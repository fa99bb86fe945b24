// The choices beside the view: what of each axis is shown, which score, what is drawn over curves.

/** What can be drawn over curves, where the run has it. */
const OVERLAYS = [
  { name: "intervals", words: "Intervals", has: () => run.curves.some((curve) => curve.low) },
  { name: "splits", words: "Range of splits", has: () => run.curves.some((curve) => curve.n_splits > 1) },
  { name: "baselines", words: "Baselines of words", has: () => Object.keys(run.baselines).length > 0 },
  { name: "controls", words: "Control targets", has: () => run.curves.some((curve) => Object.keys(curve.controls).length) },
  { name: "embedding", words: "Embedding", has: () => run.curves.some((curve) => curve.embedding) },
  { name: "published", words: "Published curves", has: () => run.published.length > 0 },
];

/** Draw the choices anew. */
function drawControls() {
  const form = document.querySelector("#controls form");
  const focused = document.activeElement?.id;
  const several = AXES.filter((axis) => run.values[axis].length > 1);
  form.replaceChildren(
    ...READING_ORDER.filter((axis) => several.includes(axis)).map(axisChoices),
    scoreChoices(),
    overlayChoices(),
    element("p", { class: "note" }, fixedInWords(several)),
  );
  if (focused) document.getElementById(focused)?.focus();
}

/** Make the boxes of an axis: at least one stays chosen. */
function axisChoices(axis) {
  const boxes = run.values[axis].map((value) => {
    const id = `${axis}.${value}`;
    const change = (event) => choose(axis, value, event.target.checked);
    const box = element("input", { type: "checkbox", id, checked: state.chosen[axis].has(value), change });
    return element("label", { for: id }, box, label(axis, value));
  });
  const all = state.chosen[axis].size === run.values[axis].length;
  const every = element(
    "button",
    { type: "button", id: `${axis}..all`, class: "plain", click: () => chooseAll(axis, all) },
    all ? "first only" : "all",
  );
  return element("fieldset", {}, element("legend", {}, AXIS_WORDS[axis], " ", every), ...boxes);
}

function choose(axis, value, chosen) {
  const values = state.chosen[axis];
  if (chosen) values.add(value);
  else if (values.size > 1) values.delete(value);
  // In the order of the run, whatever the order of clicks.
  state.chosen[axis] = new Set(run.values[axis].filter((other) => values.has(other)));
  draw();
}

function chooseAll(axis, all) {
  state.chosen[axis] = new Set(all ? run.values[axis].slice(0, 1) : run.values[axis]);
  draw();
}

function scoreChoices() {
  const scores = Object.entries(run.labels.score).filter(([name]) => run.curves.some((curve) => curve.scores[name]));
  const across = [["depth", "relative depth"], ["layer", "layer"]];
  return element(
    "fieldset",
    {},
    element("legend", {}, "Axes"),
    chooser("Score", scores, state.score, (value) => { state.score = value; draw(); }),
    chooser("Across", across, state.across, (value) => { state.across = value; draw(); }),
  );
}

function overlayChoices() {
  const boxes = OVERLAYS.filter((overlay) => overlay.has()).map(({ name, words }) => {
    const change = (event) => { state.overlays[event.target.checked ? "add" : "delete"](name); draw(); };
    const box = element("input", { type: "checkbox", id: `overlay.${name}`, checked: state.overlays.has(name), change });
    return element("label", { for: `overlay.${name}` }, box, words);
  });
  return boxes.length ? element("fieldset", {}, element("legend", {}, "Also drawn"), ...boxes) : null;
}

/** Say what all curves of the run have in common. */
function fixedInWords(several) {
  const fixed = AXES.filter((axis) => !several.includes(axis)).map((axis) => label(axis, run.values[axis][0]));
  return fixed.length ? `In all of this run: ${fixed.join(", ")}.` : "";
}
