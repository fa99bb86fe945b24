// Elements of the page. Text only ever becomes text: nothing of the data is read as HTML.

/** Make an element; properties that are functions listen to their event. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make a note below or in the place of a chart. */
function note(text) {
  return element("p", { class: "note" }, text);
}

/** Make a list to choose one of; `options` are pairs of value and words. */
function chooser(words, options, value, choose) {
  const list = element(
    "select",
    // With an id the list keeps the focus when all is drawn anew, so that a keyboard can go on through it.
    { id: `choose.${words}`, change: (event) => choose(event.target.value), "aria-label": words },
    ...options.map(([name, text]) => element("option", { value: name, selected: name === value }, text)),
  );
  return element("label", { class: "chooser" }, element("span", {}, words), list);
}

/** Make a button that offers a text as a file. */
function download(words, name, text) {
  return element("button", { type: "button", class: "download", click: () => offer(name, text) }, words);
}

function offer(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/**
 * Make a table that is sorted by a click on the head of a column.
 *
 * `columns` are {name, words, text, value}: what is shown of a row, and what it is sorted by. `sorted` is what the
 * state remembers of it, "name" or "-name".
 */
function sortableTable(caption, columns, rows, { sorted, sort, most = 100, attributes = () => ({}) }) {
  const name = sorted?.replace(/^-/, "");
  const column = columns.find((other) => other.name === name);
  const downwards = sorted?.startsWith("-");
  const ordered = column ? [...rows].sort((a, b) => compared(column.value(a), column.value(b), downwards)) : rows;
  const body = element("tbody", {});
  const fill = (count) =>
    body.replaceChildren(
      ...ordered.slice(0, count).map((row) =>
        element("tr", attributes(row), ...columns.map((other) => element("td", { class: other.kind }, other.text(row)))),
      ),
    );
  fill(most);
  const heads = columns.map((other) => {
    const direction = other === column ? (downwards ? "descending" : "ascending") : "none";
    const next = other === column && !downwards ? `-${other.name}` : other.name;
    const button = element("button", { type: "button", id: `sort.${other.name}`, title: other.title, click: () => sort(next) }, other.words);
    return element("th", { scope: "col", "aria-sort": direction, class: other.kind }, button);
  });
  const table = element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...heads)), body);
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
  if (ordered.length <= most) return scroll;
  const more = element(
    "button",
    { type: "button", click: () => { fill(ordered.length); more.remove(); } },
    `Show all ${ordered.length.toLocaleString("en")} rows`,
  );
  return element("div", {}, scroll, more);
}

/** Order two values, missing ones last whichever way. */
function compared(a, b, downwards) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  return downwards ? -order : order;
}
