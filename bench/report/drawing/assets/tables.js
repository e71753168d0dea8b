// ---- tables: sorted by value, filtered by choice and by words, copied whole

const PAGE = 50;

// Quantities sort by their value, words as words; what was not measured comes last either way.
const sortedBy = (cell) => ("order" in cell.dataset ? (cell.dataset.order === "" ? null : Number(cell.dataset.order)) : cell.textContent.trim());
const compared = (a, b) => (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b), "en", { numeric: true }) : a - b);
function inOrder(rows, place, sign) {
  const keyed = rows.map((row) => [sortedBy(row.cells[place]), row]);
  const missing = ([key]) => Number(key === null || Number.isNaN(key));
  keyed.sort((a, b) => missing(a) - missing(b) || (missing(a) ? 0 : sign * compared(a[0], b[0])));
  return keyed.map(([, row]) => row);
}

// A spreadsheet takes what begins so for a program; numbers stay as they are.
const harmless = (text) => (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);

const escapes = {
  csv: (text) => (/[",\n]/.test(text) ? `"${harmless(text).replaceAll('"', '""')}"` : harmless(text)),
  markdown: (text) =>
    text.replaceAll("\n", " ").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replace(/[\\|`*_~]/g, (sign) => `\\${sign}`),
  latex: (text) =>
    text.replace(/[\\{}$&#%_^~µ±]/g, (sign) =>
      ({ "\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}", µ: "\\textmu{}", "±": "$\\pm$" })[sign] ?? `\\${sign}`,
    ),
};
const written = {
  csv: (head, rows) => [head, ...rows].map((row) => row.join(",")).join("\n"),
  markdown: (head, rows) => [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n"),
  latex: (head, rows) =>
    [
      `\\begin{tabular}{${"l".repeat(head.length)}}`,
      "\\toprule",
      `${head.join(" & ")} \\\\`,
      "\\midrule",
      ...rows.map((row) => `${row.join(" & ")} \\\\`),
      "\\bottomrule",
      "\\end{tabular}",
    ].join("\n"),
};

function words(cell) {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walk.nextNode()) texts.push(walk.currentNode.data.trim());
  return texts.filter(Boolean).join(" ");
}

// Pages on disk have no other way to the clipboard in every browser.
function copy(text) {
  const field = made("textarea", { "aria-hidden": "true", style: "position: fixed; opacity: 0" });
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function copier(kind, title, grid) {
  const button = made("button", { type: "button", title: `Copy the rows shown, all columns, as ${title}` }, title);
  button.addEventListener("click", () => {
    const escaped = (row) => [...row.cells].map((cell) => escapes[kind](words(cell)));
    copy(written[kind](escaped(grid.table.tHead.rows[0]), grid.found.map(escaped)));
    button.textContent = "copied";
    setTimeout(() => (button.textContent = title), 1200);
  });
  return button;
}

// What is asked of each table: words, and whether rows of another choice are shown, too.
const asked = new Map();

// "batch 32" is one thing to look for, as are a beam's width, a seed and the length of lists; other words may stand anywhere.
const COUNTED = /\b(batch|beam|top|seed) (\d+)\b/gi;
function wanted(query) {
  const counted = [...query.matchAll(COUNTED)].map(([, name, count]) => [name.toLowerCase(), count]);
  return { counted, words: query.replace(COUNTED, " ").toLowerCase().split(/\s+/).filter(Boolean) };
}
function tells(row, { counted, words }) {
  const facets = row.dataset;
  const text = [...row.cells].filter((cell) => !("order" in cell.dataset)).map((cell) => cell.textContent);
  const whole = [...text, facets.dataset, facets.device, facets.dtype, facets.decoder].filter(Boolean).join(" ").toLowerCase();
  return (
    counted.every(([name, count]) => (name === "batch" && facets.batch ? facets.batch === count : new RegExp(`\\b${name} ${count}\\b`).test(whole))) &&
    words.every((word) => whole.includes(word))
  );
}

// Names of columns are buttons that sort by them: best or least first, the other way round, and as it was.
function sorter(grid, head, place) {
  const sequence = head.classList.contains("high") ? ["descending", "ascending"] : ["ascending", "descending"];
  head.replaceChildren(made("button", { type: "button" }, ...head.childNodes));
  head.addEventListener("click", () => {
    const next = sequence[sequence.indexOf(head.getAttribute("aria-sort")) + 1];
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    if (next) head.setAttribute("aria-sort", next);
    grid.order = next ? { place, sign: next === "ascending" ? 1 : -1 } : null;
    grid.draw();
  });
}

function enhance(table, more = {}) {
  const box = table.closest(".scroll");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const empty = made("tr", {}, made("td", { colspan: table.tHead.rows[0].cells.length }, "No row of this choice."));
  const grid = {
    table,
    order: null,
    found: rows,
    least: more.whole || rows.length <= PAGE ? Infinity : PAGE,
    draw() {
      const chosen = rows.filter((row) => asked.get(table)?.holds(row) ?? true);
      grid.found = grid.order ? inOrder(chosen, grid.order.place, grid.order.sign) : chosen;
      body.replaceChildren(...(chosen.length ? grid.found.slice(0, grid.least) : [empty]));
    },
  };
  [...table.tHead.rows[0].cells].forEach((head, place) => sorter(grid, head, place));
  const container = made("div", { class: "grid" });
  box.replaceWith(container);
  container.append(box);
  tools(grid, container, box, rows.length);
  return grid;
}

// Above each table: a filter, how much of it is shown and by which choice, what unfolds, and whether it goes on to the right.
function tools(grid, container, box, rows) {
  const { table } = grid;
  const label = box.getAttribute("aria-label");
  const filter = made("input", { type: "search", "aria-label": `Filter ${label}` });
  const told = made("span", { "aria-live": "polite" });
  const all = made("button", { type: "button" });
  const rest = made("button", { type: "button" });
  const columns = [...table.tHead.rows[0].cells].filter((cell) => cell.classList.contains("more"));
  const wide = made("button", { type: "button", "aria-expanded": "false" });
  const cut = made("span", { class: "cut" });
  const request = asked.get(table) ?? { all: false, few: false };
  Object.assign(request, {
    query: wanted(""),
    holds: request.holds ?? ((row) => (request.all || isChosen(row.dataset)) && tells(row, request.query)),
  });
  asked.set(table, request);
  const sign = () => {
    const over = box.scrollWidth > box.clientWidth + 1;
    box.toggleAttribute("data-cut", over);
    cut.textContent = over ? "scroll for what lies to the right →" : "";
  };
  const show = () => {
    grid.draw();
    const shown = grid.found.length;
    rest.hidden = shown <= grid.least;
    rest.textContent = `the other ${shown - grid.least} rows`;
    const why = !request.all && choices && shown < rows ? `: ${chosenWords()}` : "";
    told.textContent = `${shown} of ${rows} rows${why}`;
    all.hidden = !request.all && shown === rows;
    all.textContent = request.all ? "only what is chosen" : "all rows";
    sign();
  };
  filter.addEventListener("input", () => {
    request.query = wanted(filter.value);
    // Who asks for another dataset or batch by its name is not held to what is chosen.
    if (request.query.counted.length || Object.values(choices?.offered ?? {}).flat().some((name) => filter.value.toLowerCase().includes(name.split(" ")[0].toLowerCase()))) request.all = true;
    if (!filter.value) request.all = false;
    show();
  });
  all.addEventListener("click", () => {
    request.all = !request.all;
    show();
  });
  const unpaged = (least) => () => {
    grid.least = least;
    show();
  };
  rest.addEventListener("click", unpaged(Infinity));
  if (grid.least === PAGE) {
    addEventListener("beforeprint", unpaged(Infinity));
    addEventListener("afterprint", unpaged(PAGE));
  }
  wide.addEventListener("click", () => {
    const open = table.classList.toggle("unfolded");
    wide.setAttribute("aria-expanded", String(open));
    name();
    sign();
  });
  const name = () => {
    const names = columns.map((cell) => cell.textContent.trim());
    const count = `${columns.length} more column${columns.length > 1 ? "s" : ""}`;
    wide.textContent = table.classList.contains("unfolded") ? "fewer columns" : `${count}: ${names.slice(0, 4).join(", ")}${names.length > 4 ? " …" : ""}`;
  };
  name();
  const line = made("div", { class: "told" }, told, all);
  if (grid.least === PAGE) line.append(rest);
  if (columns.length) line.append(wide);
  line.append(cut);
  const copies = [copier("csv", "CSV", grid), copier("markdown", "Markdown", grid), copier("latex", "LaTeX", grid)];
  if (rows > 1) container.prepend(made("div", { class: "tools" }, made("label", {}, "filter ", filter), ...copies));
  container.append(line);
  new ResizeObserver(sign).observe(box);
  onChoice.push(show);
  request.show = show;
  show();
}

const tables = new Map();
// Tables are made when they are first seen: what is folded costs nothing.
function enhanceWithin(place) {
  for (const table of place.querySelectorAll(".scroll > table.data"))
    if (table.id !== "first" && !tables.has(table)) tables.set(table, enhance(table));
}
for (const fold of document.querySelectorAll("details.chapter")) {
  fold.addEventListener("toggle", () => fold.open && enhanceWithin(fold));
  if (fold.open) enhanceWithin(fold);
}
for (const place of document.querySelectorAll("main > section")) enhanceWithin(place);
