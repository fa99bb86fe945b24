// The views, and what draws them.

const VIEWS = [
  { name: "curves", words: "Curves", draw: drawCurves, has: () => true },
  { name: "depths", words: "Depths", draw: drawDepths, has: () => true },
  { name: "heat", words: "Heat map", draw: drawHeat, has: () => true },
  { name: "pairs", words: "Pairs", draw: drawDifferences, has: () => run.rows.depth_differences?.length > 0 },
  { name: "drift", words: "Drift", draw: drawDrift, has: () => run.rows.activation_drift?.length > 0 },
  { name: "variance", words: "Ways to read", draw: drawVariance, has: () => run.rows.depth_variance?.length > 0 },
  { name: "statements", words: "Statements", draw: drawStatements, has: () => run.curves.some((curve) => curve.statements) },
  { name: "claims", words: "Claims", draw: drawClaims, has: () => run.rows.claims?.length > 0 },
  { name: "tables", words: "Tables", draw: drawTables, has: () => true },
];

/** How many times the page was drawn: a chart that is ready too late is not kept. */
let drawn = 0;

/** Draw all that the state says. */
function draw() {
  drawn += 1;
  endCharts();
  const view = document.getElementById("view");
  const focused = document.activeElement?.id;
  view.replaceChildren();
  drawControls();
  drawTabs();
  drawAnswers();
  VIEWS.find(({ name }) => name === state.view).draw(view);
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus({ preventScroll: true });
  showTab();
  rememberState();
}

/** Choose something of a view. */
function pick(name, value) {
  state.picked[name] = value;
  draw();
}

function drawTabs() {
  const shown = VIEWS.filter((view) => view.has());
  const go = (name) => { state.view = name; draw(); document.getElementById(`tab.${name}`).focus(); };
  const tabs = shown.map(({ name, words }, index) => {
    const keydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) go(shown[(index + step + shown.length) % shown.length].name);
    };
    const selected = name === state.view;
    return element("button", { type: "button", role: "tab", id: `tab.${name}`, "aria-selected": String(selected), "aria-controls": "view", tabindex: selected ? 0 : -1, click: () => go(name), keydown }, words);
  });
  document.getElementById("tabs").replaceChildren(...tabs);
  document.getElementById("view").setAttribute("aria-labelledby", `tab.${state.view}`);
}

/** Scroll the tabs, which are wider than a phone, to the one that is chosen. */
function showTab() {
  const tabs = document.getElementById("tabs"), tab = document.getElementById(`tab.${state.view}`);
  tabs.scrollLeft = tab.offsetLeft - (tabs.clientWidth - tab.clientWidth) / 2 - tabs.offsetLeft;
}

/** Dark or light, as the machine has it until a person says otherwise. */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", (event) => { setTheme(event.matches ? "dark" : "light"); draw(); });
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    draw();
  });
}

/** Say what was left out, and name where statements whose texts stand here come from. */
function drawSources() {
  const notes = Object.entries(run.statements).filter(([, { texts, note }]) => texts && note);
  document.getElementById("sources").replaceChildren(
    ...[run.kept, ...notes.map(([name, { note }]) => `${label("dataset", name)}: ${note}`)].filter(Boolean).map((words) => element("li", {}, words)),
  );
}

async function start() {
  startTheme();
  if (narrow()) document.getElementById("controls").removeAttribute("open");
  run = await readData();
  recallState();
  drawSources();
  draw();
  addEventListener("hashchange", () => { recallState(); draw(); });
  // As a link it would put its own name where the address has what is chosen.
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); document.getElementById("view").focus(); });
  let width = window.innerWidth;
  addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });
  window.explorer = { run, state, charts: () => charts };
}

start().catch((error) => {
  document.getElementById("view").replaceChildren(note(`This page could not be drawn: ${error.message}. The same numbers are in results/tables/.`));
  throw error;
});
