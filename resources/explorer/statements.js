// Statements: which of them a layer gets right, and how far each is on which side.

/** Which statements are listed; one that half of the splits get right is not right in most. */
const SHOWN = [["wrong", "wrong in half of the splits or more"], ["right", "right in most splits"], ["all", "all tested"]];

/** Show the statements of a curve at a layer. */
function drawStatements(view) {
  const curves = run.curves.filter((curve) => curve.statements && isChosen(curve) && !isSecondName(curve));
  if (!curves.length) return view.append(note("This page carries the statements of none of the chosen curves."));
  const curve = curves.find(({ key }) => key === state.picked.curve) ?? curves[0];
  const { layers } = curve.statements;
  const layer = layers.includes(Number(state.picked.layer)) ? Number(state.picked.layer) : layerToStartAt(curve);
  const show = SHOWN.some(([name]) => name === state.picked.show) ? state.picked.show : "wrong";
  const options = curves.map((other) => [other.key, [label("dataset", other.dataset), called(other, ["dataset"])].join(" · ")]);
  view.append(
    element("div", { class: "row" },
      chooser("Curve", options, curve.key, (value) => { state.picked.curve = value; delete state.picked.layer; draw(); }),
      layerChooser(curve, layer),
      chooser("Show", SHOWN, show, (value) => pick("show", value)),
      searchBox(),
    ),
    ...statementTable(curve, layer, show),
  );
}

/** Return the layer that a person asks about first: the first above the baselines, else the one of the peak. */
function layerToStartAt(curve) {
  const { layers } = curve.statements;
  const wanted = layerAt(curve, number(curve.depth.first_above_baseline)) ?? layerAt(curve, number(curve.depth.peak_depth)) ?? 0;
  return layers.reduce((best, layer) => (Math.abs(layer - wanted) < Math.abs(best - wanted) ? layer : best), layers[0]);
}

/** Make the slider of layers; it goes through those that the page carries. */
function layerChooser(curve, layer) {
  const { layers } = curve.statements;
  const words = (number) => `Layer ${number} of ${curve.n_layers}`;
  const said = element("span", {}, words(layer));
  const slider = element("input", {
    type: "range", id: "picked.layer", min: 0, max: layers.length - 1, value: layers.indexOf(layer), "aria-label": "Layer", "aria-valuetext": words(layer),
    input: (event) => {
      said.textContent = words(layers[event.target.value]);
      event.target.setAttribute("aria-valuetext", said.textContent);
    },
    change: (event) => pick("layer", String(layers[event.target.value])),
  });
  return element("label", { class: "chooser" }, said, slider);
}

function searchBox() {
  const box = element("input", { type: "search", id: "picked.search", value: state.picked.search ?? "", placeholder: "text, id or group", "aria-label": "Find", change: (event) => pick("search", event.target.value) });
  return element("label", { class: "chooser" }, element("span", {}, "Find"), box);
}

/** Return each tested statement of a curve with what a layer makes of it. */
function statementsAt(curve, layer) {
  const { tested, n_tested: splits, layers, scale } = curve.statements;
  const of = run.statements[curve.dataset];
  const start = layers.indexOf(layer) * tested.length;
  const { right, decision } = unpacked(curve);
  return tested.map((index, place) => ({
    index, place,
    id: of.ids[index], group: of.groups[index], text: of.texts?.[index] ?? null,
    class: run.classes[curve.dataset][of.labels[index]],
    splits: splits[place],
    right: right[start + place],
    decision: decision ? (decision[start + place] / 127) * scale[layers.indexOf(layer)] : null,
  }));
}

/** Read the bytes of a curve's statements once. */
function unpacked(curve) {
  const packed = curve.statements;
  packed.bytes ??= {
    right: bytesOf(packed.right),
    decision: packed.decision ? new Int8Array(bytesOf(packed.decision).buffer) : null,
  };
  return packed.bytes;
}

function isRight({ right, splits }) {
  return 2 * right > splits;
}

function statementTable(curve, layer, show) {
  const every = statementsAt(curve, layer);
  const wrong = every.filter((statement) => !isRight(statement));
  const words = (state.picked.search ?? "").toLowerCase();
  const matches = ({ id, group, text }) => [id, group, text ?? ""].some((field) => String(field).toLowerCase().includes(words));
  const rows = { wrong, right: every.filter(isRight), all: every }[show].filter(matches);
  const [class0, class1] = run.classes[curve.dataset];
  const hasTexts = run.statements[curve.dataset].texts !== null;
  const columns = [
    { name: "text", words: hasTexts ? "Statement" : "Id", text: (row) => row.text ?? row.id, value: (row) => row.text ?? row.id, kind: "text" },
    { name: "group", words: "Group", text: (row) => row.group, value: (row) => row.group, kind: "words" },
    { name: "class", words: "Is", text: (row) => row.class, value: (row) => row.class },
    { name: "right", words: "Right in", title: "In how many of the splits that tested it", text: (row) => `${row.right} of ${row.splits}`, value: (row) => row.right / row.splits, kind: "number" },
    { name: "decision", words: `Decision (− ${class0}, + ${class1})`, title: "What the probe adds up to, mean over splits: its sign is the class that it tells, its size how surely", text: (row) => digits(row.decision, 3), value: (row) => row.decision, kind: "number" },
    { name: "layers", words: "Right by layer", text: (row) => strip(curve, row, layer), value: (row) => rightLayers(curve, row) },
  ].filter(({ name }) => name !== "decision" || curve.statements.decision);
  const said = `Layer ${layer} gets ${wrong.length.toLocaleString("en")} of ${every.length.toLocaleString("en")} tested statements wrong, in half or more of the splits that tested them.`;
  const { note: about } = run.statements[curve.dataset];
  return [
    element("p", { class: "said" }, said),
    sortableTable(`${rows.length.toLocaleString("en")} statements of ${label("dataset", curve.dataset)}, layer ${layer}`, columns, rows, { sorted: state.picked.sortStatements, sort: (value) => pick("sortStatements", value), most: 60 }),
    note([about, run.kept].filter(Boolean).join(" ")),
  ];
}

function rightLayers(curve, { place, splits }) {
  const { tested, layers } = curve.statements;
  return layers.filter((_, number) => isRight({ right: unpacked(curve).right[number * tested.length + place], splits })).length;
}

/** Draw a small strip of layers: full where the statement is right in all splits, empty where in none. */
function strip(curve, statement, chosen) {
  const { tested, layers } = curve.statements;
  const place = element("canvas", { class: "strip", width: 4 * layers.length, height: 14, role: "img", "aria-label": `right at ${rightLayers(curve, statement)} of ${layers.length} layers` });
  const pen = place.getContext("2d");
  layers.forEach((layer, number) => {
    pen.globalAlpha = 1;
    pen.fillStyle = css("--line");
    pen.fillRect(4 * number, 2, 3, 10);
    pen.globalAlpha = unpacked(curve).right[number * tested.length + statement.place] / statement.splits;
    pen.fillStyle = look(0).colour;
    pen.fillRect(4 * number, 2, 3, 10);
    pen.globalAlpha = 1;
    pen.fillStyle = css("--text");
    if (layer === chosen) pen.fillRect(4 * number, 13, 3, 1);
  });
  return place;
}
