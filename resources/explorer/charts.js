// How charts look and are drawn: Vega-Lite in the colours of the page.

/** The palette of Okabe and Ito, which readers with any colour vision can tell apart; its black is that of the text. */
const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "var(--text)"];

/** Beyond eight curves the line tells those of one colour apart. */
const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3], [14, 4], [4, 6], [14, 3, 2, 3, 2, 3]];

/** More marks than this are drawn as a picture: elements of their own would be slow. */
const MOST_ELEMENTS = 1500;

/** The charts that are drawn, for their end and for tests. */
let charts = [];

/** Return the colour and the dashes of a curve by its number among those that are shown. */
function look(index) {
  const dashes = DASHES[Math.floor(index / PALETTE.length) % DASHES.length];
  return { colour: resolved(PALETTE[index % PALETTE.length]), dashes };
}

function resolved(colour) {
  const variable = /^var\((.*)\)$/.exec(colour);
  return variable ? css(variable[1]) : colour;
}

function css(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}

/** Return what all charts have in common. */
function config() {
  const text = css("--text"), faint = css("--faint"), line = css("--line");
  const font = css("--font");
  return {
    background: "transparent",
    font,
    view: { stroke: null },
    // A chart says what it is in one sentence; its numbers are read better in tables than mark by mark.
    mark: { aria: false },
    axis: { labelColor: text, titleColor: text, gridColor: line, domainColor: faint, tickColor: faint, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
    axisY: { titleAnchor: "end", titleAngle: 0, titleAlign: "left", titleY: -10, titleX: -28 },
    legend: { labelColor: text, titleColor: text, labelFontSize: 12, titleFontSize: 12 },
    title: { color: text, anchor: "start", fontSize: 13 },
    header: { labelColor: text, titleColor: text },
  };
}

/**
 * Draw a chart into an element that is in the page.
 *
 * `clicked` gets the datum of the mark that is clicked. Charts of a view that was left meanwhile end at once.
 */
async function drawChart(place, spec, { words, marks = 0, clicked } = {}) {
  const turn = drawn;
  const renderer = marks > MOST_ELEMENTS ? "canvas" : "svg";
  const whole = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit-x", contains: "padding" }, description: words, config: config(), ...spec };
  const made = await vegaEmbed(place, whole, { actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false }, renderer });
  if (turn !== drawn) return made.finalize();
  if (clicked) made.view.addEventListener("click", (event, item) => item?.datum && clicked(item.datum));
  place.querySelector("summary")?.setAttribute("aria-label", "Save this chart");
  charts.push(made);
  return made;
}

/** Return the axis of layers, as a person wants it. */
function acrossLayers() {
  const depth = state.across === "depth";
  const title = depth ? "relative depth (layer / number of layers)" : "layer";
  return { field: state.across, type: "quantitative", title, scale: { nice: false, ...(depth ? { domain: [0, 1] } : {}) } };
}

/** Return the axis of a chart with a row for each of `values`, in their order. */
function rowAxis(values) {
  return { field: "row", type: "nominal", title: null, sort: [...new Set(values.map(({ row }) => row))], axis: { labelLimit: narrow() ? 130 : 320, grid: true, domain: false, ticks: false } };
}

/** Return the pixels that a chart with a row for each of `values` is high. */
function heightOf(values) {
  return 28 * new Set(values.map(({ row }) => row)).size;
}

/** Return the marks of those of `values` that have an interval: none at all if there is none, or Vega complains. */
function bars(values, mark, encoding) {
  const found = values.filter(({ low, high }) => low !== null && high !== null);
  return found.length ? [{ data: { values: found }, mark: { type: "rule", strokeWidth: 3, opacity: 0.45, ...mark }, encoding }] : [];
}

/** Tell whether the page is as narrow as a phone. */
function narrow() {
  return window.innerWidth < 700;
}

/** End the charts of a view that is left. */
function endCharts() {
  for (const chart of charts) chart.finalize();
  charts = [];
}

/** Make the legend of curves below or above their panels. */
function legendOf(names, extra = []) {
  const items = names.map((name, index) => {
    const { colour, dashes } = look(index);
    return element("li", {}, swatch(colour, dashes), name);
  });
  return element("ul", { class: "legend" }, ...items, ...extra.map(({ words, dashes, colour }) => element("li", {}, swatch(colour ?? css("--faint"), dashes), words)));
}

function swatch(colour, dashes) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [key, value] of Object.entries({ width: 28, height: 10, "aria-hidden": "true" })) picture.setAttribute(key, value);
  const properties = { x1: 0, x2: 28, y1: 5, y2: 5, stroke: colour, "stroke-width": 3, "stroke-dasharray": dashes.join(" ") };
  for (const [key, value] of Object.entries(properties)) line.setAttribute(key, value);
  picture.append(line);
  return picture;
}

/** Return the encoding of numbers that a mark shows when a mouse or finger is over it. */
function tooltips(fields) {
  return Object.entries(fields).map(([field, title]) => ({ field, title, type: "nominal" }));
}
