// What the page does beyond being read: dark figures, tables that sort, filter and copy, what fits, prices.
// Without scripts everything but these stands there.

const dark = matchMedia("(prefers-color-scheme: dark)");
const shade = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", shade);
shade();

const source = document.getElementById("datatables").textContent.trim();
const packed = new Blob([Uint8Array.from(atob(source), (sign) => sign.charCodeAt(0))]);
const script = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
const { default: DataTable } = await import(`data:text/javascript,${encodeURIComponent(script)}`);

// ---- what prices change, kept before tables are paged

const paid = document.getElementById("prices-data");
const costs = document.querySelector("#cost table.data");
const priced = costs && [...costs.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "per million users");
const bills = paid && [...costs.tBodies[0].rows].map((row) => row.cells[priced]);

// ---- tables

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
    titleAttr: `Copy this table as ${title}`,
    customize: (_, __, table) => {
      const { header, body } = table.buttons.exportData({ modifier: { page: "all", search: "applied", order: "applied" } });
      const escaped = (row) => row.map((cell) => escapes[kind](String(cell)));
      return written[kind](escaped(header), body.map(escaped));
    },
  };
}

function enhance(table, more = {}) {
  const rows = table.tBodies[0].rows.length;
  if (rows < 2 && !more.always) return null;
  const label = table.closest("[aria-label]").getAttribute("aria-label");
  const paged = rows > PAGE || Boolean(more.always);
  const made = new DataTable(table, {
    autoWidth: false,
    columnDefs: [{ targets: "number", type: "quantity" }],
    order: [],
    paging: paged,
    pageLength: PAGE,
    lengthMenu: [PAGE, 200, { label: "all", value: -1 }],
    info: paged,
    orderClasses: false,
    layout: {
      topStart: { buttons: [copyAs("csv", "CSV"), copyAs("markdown", "Markdown"), copyAs("latex", "LaTeX")] },
      topEnd: { search: { text: "filter", placeholder: "" } },
      bottomStart: paged ? "info" : null,
      bottomEnd: paged ? "paging" : null,
    },
  });
  if (paged) {
    addEventListener("beforeprint", () => made.page.len(-1).draw());
    addEventListener("afterprint", () => made.page.len(PAGE).draw());
  }
  made.table().container().querySelector(".dt-search input")?.setAttribute("aria-label", `Filter ${label}`);
  return made;
}

const tables = new Map();
for (const table of document.querySelectorAll(".scroll > table.data")) {
  if (table.closest("#fits")) continue;
  const box = table.parentElement;
  const made = enhance(table);
  if (!made) continue;
  tables.set(table, made);
  // The controls stay in view while the table scrolls: only the table stays in the scrolling box.
  const container = made.table().container();
  box.before(container);
  table.parentElement.append(box);
  box.append(table);
}

// ---- what fits

const digits = (value) =>
  value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const dollars = (value) =>
  value === 0 ? "0 USD" : `${value.toLocaleString("en", { minimumSignificantDigits: 2, maximumSignificantDigits: 2 })} USD`;
const paidPerHour = (device) =>
  Number.parseFloat([...document.querySelectorAll("#prices input")].find((one) => one.name === device)?.value);
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function paretoFront(cases, time) {
  const found = [];
  const ordered = [...cases].sort((a, b) => a[time] - b[time] || b.quality[0] - a.quality[0]);
  for (const one of ordered) if (!found.length || one.quality[0] > found.at(-1).quality[0]) found.push(one);
  return found;
}

function draw(box, axes, cases, time, budget, fitting) {
  box.innerHTML = axes.svg;
  const frame = box.querySelector("svg");
  frame.setAttribute("role", "img");
  const log = axes.ms.map(Math.log);
  const x = (ms) => axes.x[0] + ((Math.log(ms) - log[0]) / (log[1] - log[0])) * (axes.x[1] - axes.x[0]);
  const y = (value) =>
    axes.y[0] + ((value - axes.quality[0]) / (axes.quality[1] - axes.quality[0])) * (axes.y[1] - axes.y[0]);
  const shown = cases.filter((one) => one.quality && one[time] !== null);
  const layer = svg("g", { "font-family": "DejaVu Sans, Verdana, sans-serif", "font-size": 8 });
  if (budget && budget > axes.ms[0] && budget < axes.ms[1]) {
    const place = x(budget);
    layer.append(svg("line", { x1: place, x2: place, y1: axes.y[0], y2: axes.y[1], stroke: "#b3400a", "stroke-dasharray": "4 3" }));
  }
  const front = paretoFront(shown.filter((one) => !one.cautions.length), time);
  if (front.length) {
    let path = `M${x(front[0][time])},${axes.y[0]}V${y(front[0].quality[0])}`;
    for (const one of front.slice(1)) path += `H${x(one[time])}V${y(one.quality[0])}`;
    layer.append(svg("path", { d: `${path}H${axes.x[1]}`, fill: "none", stroke: "#555555" }));
  }
  const most = Math.max(...shown.map((one) => one.memory ?? 0), 1);
  for (const one of [...shown].sort((a, b) => (b.memory ?? 0) - (a.memory ?? 0))) {
    const dot = svg("circle", {
      cx: x(one[time]),
      cy: y(one.quality[0]),
      r: 2.5 + 5 * Math.sqrt((one.memory ?? 0) / most),
      fill: one.colour,
      stroke: "#ffffff",
      "fill-opacity": fitting.has(one) ? 0.9 : 0.25,
    });
    layer.append(dot);
    dot.append(svg("title", {}, `${one.name}: ${one.quality[0].toFixed(4)} at ${digits(one[time])} ms`));
    layer.append(svg("text", { x: x(one[time]), y: y(one.quality[0]) + 2.2, "text-anchor": "middle", "font-size": 6, fill: "#000000" }, one.mark));
  }
  // Names of the front only, each beside its own mark where it covers nothing; without room the number has to do.
  const taken = shown.map((one) => ({ left: x(one[time]) - 6, right: x(one[time]) + 6, top: y(one.quality[0]) + 4 }));
  for (const one of front) {
    const width = 4.9 * one.name.length;
    const [after, before, height] = [x(one[time]) + 8, x(one[time]) - 8 - width, y(one.quality[0])];
    const places = [height - 6, height + 12].flatMap((top) => [{ left: after, top }, { left: before, top }]);
    const free = ({ left, top }) =>
      left >= axes.x[0] && left + width <= axes.x[1] && top >= axes.y[1] + 6 && top <= axes.y[0] - 2 &&
      !taken.some((other) => Math.abs(other.top - top) < 10 && left < other.right && left + width > other.left);
    const place = places.find(free);
    if (!place) continue;
    taken.push({ ...place, right: place.left + width });
    layer.append(svg("text", { x: place.left, y: place.top, fill: "#1c1c1c" }, one.name));
  }
  frame.append(layer);
  const told = front.map((one) => `${one.name}, ${one.quality[0].toFixed(4)} at ${digits(one[time])} ms`);
  frame.setAttribute("aria-label", `${told.length ? "Nothing is both faster and better than: " : ""}${told.join("; ")}`);
}

function whatFits(section) {
  const { settings, cases, quality } = JSON.parse(document.getElementById("fits-data").textContent);
  const form = section.querySelector("form");
  const table = section.querySelector("table");
  const made = enhance(table, { always: true });
  const scroll = section.querySelector(".scroll");
  scroll.before(made.table().container());
  table.parentElement.append(scroll);
  scroll.append(table);
  const read = (name) => form.elements[name];
  const option = (value, text = value) => new Option(text, value);

  read("setting").append(...settings.map((one, place) => option(place, one.name)));

  function offerBatches() {
    const here = cases.filter((one) => one.setting === Number(read("setting").value));
    const sizes = [...new Set(here.map((one) => one.batch))].sort((a, b) => a - b);
    const before = read("batch").value;
    read("batch").replaceChildren(...sizes.map((size) => option(size)));
    if (sizes.includes(Number(before))) read("batch").value = before;
  }

  function answer() {
    const place = Number(read("setting").value);
    const time = read("time").value;
    const bound = (name) => (read(name).value === "" ? null : Number.parseFloat(read(name).value));
    const [budget, memory, rate] = [bound("budget"), bound("memory"), bound("rate")];
    const within = (Number.parseFloat(read("within").value) || 0) / 100;
    const here = cases.filter((one) => one.setting === place && one.batch === Number(read("batch").value));
    for (const one of here.filter((service) => service.curve)) {
      const at = one.curve.find(([offered]) => offered >= (rate ?? 0));
      one.carried = at ? at[0] : null;
      [one.p50, one.p95, one.p99] = at ? at.slice(1) : [null, null, null];
    }
    const fitting = new Set(
      here.filter(
        (one) =>
          (rate === null || (one.carried ?? null) !== null) &&
          (budget === null || (one[time] !== null && one[time] <= budget)) &&
          (memory === null || (one.memory !== null && one.memory <= memory)),
      ),
    );
    const ranked = [...fitting].filter((one) => one.quality && !one.cautions.length).sort((a, b) => b.quality[0] - a.quality[0]);
    const best = ranked[0];
    const timed = ranked.filter((one) => one[time] !== null);
    const near = best && timed.filter((one) => one.quality[0] >= (1 - within) * best.quality[0]).sort((a, b) => a[time] - b[time])[0];
    const said = (one) => `${one.name} (${quality} ${one.quality[0].toFixed(4)}${one[time] === null ? "" : `, ${digits(one[time])} ms`})`;
    let text = "Nothing measured here fits.";
    if (best && near && near !== best) text = `Best that fits: ${said(best)}. Fastest within ${100 * within} % of it: ${said(near)}.`;
    else if (best) text = `Best that fits: ${said(best)}${near ? `; nothing faster comes within ${100 * within} % of it` : ""}.`;
    else if ([...fitting].some((one) => one.quality)) text = "Only recommenders with cautions fit.";
    else if (fitting.size) {
      const fastest = [...fitting].filter((one) => one[time] !== null && !one.cautions.length).sort((a, b) => a[time] - b[time])[0];
      text = fastest ? `No quality was measured here; the fastest that fits is ${fastest.name}, ${digits(fastest[time])} ms.` : `No case here has a ${time}.`;
    }
    section.querySelector("output").textContent = text;

    const value = (number, shown) => ({ display: number === null ? "n/a" : shown(number), order: number ?? "" });
    made.clear();
    const order = [...here].sort((a, b) => fitting.has(b) - fitting.has(a) || (b.quality?.[0] ?? -1) - (a.quality?.[0] ?? -1));
    order.forEach((one, place) => (one.mark = place + 1));
    for (const one of order) {
      const bill = one.hours === null ? Number.NaN : paidPerHour(one.device) * one.hours;
      const row = document.createElement("tr");
      row.className = fitting.has(one) ? "fits" : "misses";
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = one.name;
      row.append(head);
      const cells = [
        value(one.mark, String),
        value(one.quality && one.quality[0], () => `${one.quality[0].toFixed(4)} [${one.quality[1].toFixed(4)}, ${one.quality[2].toFixed(4)}]`),
        ...["p50", "p95", "p99"].map((name) => value(one[name], (ms) => `${digits(ms)} ms`)),
        value(one.memory, (size) => `${digits(size)} MiB`),
        value(Number.isNaN(bill) ? null : bill, dollars),
      ];
      for (const cell of cells) {
        const data = document.createElement("td");
        data.className = "number";
        data.textContent = cell.display;
        data.dataset.order = cell.order;
        row.append(data);
      }
      const cautions = document.createElement("td");
      cautions.textContent = [fitting.has(one) ? "" : "does not fit", one.carried ? `at ${digits(one.carried)} users/s` : "", ...one.cautions, ...one.notes].filter(Boolean).join("; ") || "none";
      row.append(cautions);
      made.row.add(row);
    }
    made.draw();
    const box = section.querySelector("figure");
    const { axes } = settings[place];
    box.hidden = !axes;
    if (axes) draw(box, axes, here, time, budget, fitting);
  }

  read("setting").addEventListener("change", () => {
    offerBatches();
    answer();
  });
  form.addEventListener("input", answer);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("prices")?.addEventListener("input", answer);
  document.getElementById("prices")?.addEventListener("reset", () => setTimeout(answer));
  offerBatches();
  answer();
  section.hidden = false;
}

const fits = document.getElementById("fits");
if (fits) whatFits(fits);

// ---- prices

if (paid) {
  const rows = JSON.parse(paid.textContent);
  const form = document.getElementById("prices");
  const listed = document.querySelectorAll("#cost [aria-label='Cost: Prices'] tbody tr");
  const reckon = () => {
    for (const input of form.querySelectorAll("input")) {
      const price = Number.parseFloat(input.value === "" ? input.defaultValue : input.value);
      if (!(price >= 0)) continue;
      rows.forEach((one, place) => {
        if (!one || one.device !== input.name) return;
        bills[place].textContent = dollars(price * one.hours);
        bills[place].dataset.order = price * one.hours;
      });
      for (const row of listed) if (row.cells[0].textContent === input.name) row.cells[1].textContent = price;
    }
    tables.get(costs)?.rows().invalidate("dom").draw(false);
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", reckon);
  form.addEventListener("reset", () => setTimeout(reckon));
}

document.documentElement.dataset.ready = "yes";
