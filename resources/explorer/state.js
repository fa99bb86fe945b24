// What a person chose. It stands behind the # of the address, so that a view can be linked to and comes back.

let run = null;

/** The state of the page: a view, a score, what is chosen of each axis, and what each view lets choose (`picked`). */
const state = { chosen: {} };

const OVERLAYS_AT_FIRST = ["intervals", "baselines", "published"];

/** What is chosen at first: every concept and model, and the first of all else. */
function resetState() {
  Object.assign(state, { view: "curves", score: "accuracy", across: "depth", overlays: new Set(OVERLAYS_AT_FIRST), picked: {} });
  for (const axis of AXES) {
    const values = run.values[axis];
    const all = axis === "dataset" || axis === "model";
    state.chosen[axis] = new Set(all ? values.slice(0, MOST_AT_FIRST) : values.slice(0, 1));
  }
}

const MOST_AT_FIRST = 9;

/** Put the state behind the # of the address, without a step in the history. */
function rememberState() {
  const words = new URLSearchParams({ view: state.view, score: state.score, across: state.across });
  words.set("overlays", [...state.overlays].join(","));
  for (const axis of AXES) words.set(axis, [...state.chosen[axis]].join(","));
  for (const [name, value] of Object.entries(state.picked)) words.set(`${PICKED}${name}`, value);
  try {
    history.replaceState(null, "", `#${words}`);
  } catch {
    // A page in a frame without an address of its own has no history.
  }
}

const PICKED = "picked.";

/** Take the state from the address, as far as this run has what is named there; all else is as at first. */
function recallState() {
  resetState();
  const words = new URLSearchParams(location.hash.slice(1));
  if (VIEWS.some((view) => view.name === words.get("view") && view.has())) state.view = words.get("view");
  if (Object.hasOwn(run.labels.score, words.get("score"))) state.score = words.get("score");
  if (words.get("across") === "layer") state.across = "layer";
  if (words.has("overlays")) state.overlays = new Set(words.get("overlays").split(","));
  for (const axis of AXES) {
    const known = (words.get(axis) ?? "").split(",").filter((value) => run.values[axis].includes(value));
    if (known.length) state.chosen[axis] = new Set(known);
  }
  for (const [name, value] of words) if (name.startsWith(PICKED)) state.picked[name.slice(PICKED.length)] = value;
}

/** Return the chosen curves; one of the same tokens under another name only if its first name is not chosen. */
function chosenCurves() {
  return run.curves.filter((curve) => isChosen(curve) && !isSecondName(curve));
}

function isSecondName(curve) {
  return curve.same_tokens_as && curve.same_tokens_as !== curve.position && state.chosen.position.has(curve.same_tokens_as);
}

/** Tell whether all that a row names is chosen; what no curve has, as the position of a baseline, cannot be. */
function isChosen(row) {
  return areChosen(row, AXES);
}

function areChosen(row, axes) {
  return axes.every((axis) => state.chosen[axis].has(row[axis]) || !run.values[axis].includes(row[axis]));
}

/** Return a curve in words: all that tells it from the others that are shown, but what stands elsewhere. */
function called(curve, without = []) {
  const varied = AXES.filter((axis) => !without.includes(axis) && state.chosen[axis].size > 1);
  const names = varied.map((axis) => label(axis, curve[axis]));
  return names.length ? names.join(", ") : label("model", curve.model);
}

/** Return all names of a curve, in words. */
function inFull(curve) {
  return READING_ORDER.map((axis) => label(axis, curve[axis])).join(" · ");
}
