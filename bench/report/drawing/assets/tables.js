// ---- tables: sorted by value, filtered by choice and by words, copied whole

carried("own").before(made("style", {}, await unpacked(carried("datatables-style"))));
const { default: DataTable } = await import(`data:text/javascript,${encodeURIComponent(await unpacked(carried("datatables")))}`);
const PAGE = 50;

// Quantities sort by their value; what was not measured comes last either way.
const missing = (value) => value === "" || value === null || Number.isNaN(Number(value));
const ordered = (sign) => (a, b) => missing(a) - missing(b) || (missing(a) ? 0 : sign * (Number(a) - Number(b)));
DataTable.ext.type.order["quantity-asc"] = ordered(1);
DataTable.ext.type.order["quantity-desc"] = ordered(-1);

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

function copyAs(kind, title) {
  return {
    extend: "copy",
    text: title,
    titleAttr: `Copy the rows shown, all columns, as ${title}`,
    customize: (_, __, table) => {
      const { header, body } = table.buttons.exportData({ modifier: { page: "all", search: "applied", order: "applied" } });
      const escaped = (row) => row.map((cell) => escapes[kind](String(cell)));
      return written[kind](escaped(header), body.map(escaped));
    },
  };
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

DataTable.ext.search.push((settings, _, index) => {
  const request = asked.get(settings.nTable);
  return !request || request.holds(settings.aoData[index].nTr);
});

function enhance(table, more = {}) {
  const rows = table.tBodies[0].rows.length;
  const label = table.closest("[aria-label]").getAttribute("aria-label");
  const paged = rows > PAGE && !more.whole;
  const grid = new DataTable(table, {
    autoWidth: false,
    columnDefs: [
      { targets: "number", type: "quantity" },
      { targets: "high", orderSequence: ["desc", "asc", ""] },
    ],
    order: [],
    paging: paged,
    pageLength: PAGE,
    lengthMenu: [PAGE, 200, { label: "all", value: -1 }],
    info: false,
    orderClasses: false,
    language: { zeroRecords: "No row of this choice.", emptyTable: "No row." },
    layout: {
      topStart: { buttons: [copyAs("csv", "CSV"), copyAs("markdown", "Markdown"), copyAs("latex", "LaTeX")] },
      topEnd: null,
      bottomStart: null,
      bottomEnd: paged ? "paging" : null,
    },
  });
  if (paged) {
    addEventListener("beforeprint", () => grid.page.len(-1).draw());
    addEventListener("afterprint", () => grid.page.len(PAGE).draw());
  }
  const container = grid.table().container();
  const box = table.closest(".scroll");
  // The controls stay in view while the table scrolls: only the table stays in the scrolling box.
  if (!box.contains(container)) throw new Error("a table lost its box");
  box.before(container);
  table.parentElement.append(box);
  box.append(table);
  tools(table, grid, container, box, label, rows);
  return grid;
}

// Above each table: a filter, how much of it is shown and by which choice, what unfolds, and whether it goes on to the right.
function tools(table, grid, container, box, label, rows) {
  const filter = made("input", { type: "search", "aria-label": `Filter ${label}` });
  const told = made("span", { "aria-live": "polite" });
  const all = made("button", { type: "button" });
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
    const shown = grid.rows({ search: "applied" }).count();
    const why = !request.all && choices && shown < rows ? `: ${chosenWords()}` : "";
    told.textContent = `${shown} of ${rows} rows${why}`;
    all.hidden = !request.all && shown === rows;
    all.textContent = request.all ? "only what is chosen" : "all rows";
    container.toggleAttribute("data-empty", shown === 0);
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
  if (columns.length) line.append(wide);
  line.append(cut);
  const bar = made("div", { class: "tools" }, made("label", {}, "filter ", filter));
  const buttons = container.querySelector(".dt-buttons");
  if (buttons) bar.append(buttons);
  container.querySelector(".dt-layout-row")?.remove();
  if (rows > 1) container.prepend(bar);
  box.after(line);
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
