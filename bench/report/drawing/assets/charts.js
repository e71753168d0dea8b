// ---- figures that answer to choices, hovering and clicks: Vega, which the page carries

let vega = null;
const library = () => (vega ??= unpacked(carried("vega")).then((text) => import(`data:text/javascript,${encodeURIComponent(text)}`)).then(() => window.vega));

const figures = [...document.querySelectorAll("figure[data-live]")].map((figure) => ({
  figure,
  box: figure.querySelector(".live"),
  picked: figure.querySelector("output"),
  carried: null,
  view: null,
  seen: false,
}));

// Where there is something to draw, as far as that is one choice away.
function elsewhere(rows) {
  for (const facet of COMBINED) {
    const others = (row) => COMBINED.every((name) => name === facet || !row[name] || row[name] === choice[name]);
    const values = [...new Set(rows.filter((row) => !row.backdrop && row[facet] && others(row)).map((row) => row[facet]))];
    if (values.length && !values.includes(choice[facet])) return ` Choose ${facet} ${values.join(" or ")}.`;
  }
  return "";
}

const drawable = (row) => isChosen(row) && (!row.under || row.under.includes(choice.decoder ?? ""));

async function draw(one) {
  const { parse, View } = await library();
  const { spec, rows } = await (one.carried ??= unpacked(one.figure.querySelector("script.rows")).then(JSON.parse));
  const shown = rows.filter(drawable);
  const data = spec.data.map((source) => (source.name === "rows" ? { ...source, values: shown } : source));
  const width = Math.max(240, one.figure.clientWidth - 24);
  one.view?.finalize();
  const nothing = shown.every((row) => row.backdrop);
  one.box.dataset.marks = nothing ? 0 : shown.length;
  if (nothing) {
    one.view = null;
    one.box.replaceChildren(`Nothing to draw of ${chosenWords() || "this setting"}.${elsewhere(rows)}`);
    return;
  }
  one.view = new View(parse({ ...spec, width, data }), { renderer: "svg", container: one.box, hover: true, tooltip: tell });
  one.view.addEventListener("click", (_, item) => pick(one, item?.datum));
  await one.view.runAsync();
  const drawn = one.box.querySelector("svg");
  drawn?.setAttribute("role", "img");
  drawn?.setAttribute("aria-label", `${one.figure.querySelector("figcaption").textContent.split(".")[0]}: ${shown.length} marks of the choice above; the table beside holds their numbers.`);
}

// What hovering tells of a mark, a line each, beside the pointer.
const tip = made("div", { id: "tip", hidden: "" });
document.body.append(tip);
function tell(_, event, __, value) {
  tip.hidden = !value || typeof value !== "object";
  if (tip.hidden) return;
  tip.replaceChildren(...Object.entries(value).map(([name, said]) => made("div", {}, made("span", {}, `${name} `), said)));
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(0, Math.min(event.clientX + 12, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.max(0, event.clientY + 12 + height < innerHeight ? event.clientY + 12 : event.clientY - height - 8)}px`;
}

// A click names a case, and marks its row in every table.
function pick(one, datum) {
  const name = datum?.name ?? datum?.datum?.name;
  one.picked.textContent = name ? Object.entries(datum.told ?? {}).reduce((text, [key, value]) => `${text}; ${key} ${value}`, name) : "";
  for (const head of document.querySelectorAll("table.data tbody th")) {
    const own = (head.childNodes[1]?.nodeType === Node.TEXT_NODE ? head.childNodes[1] : head).textContent.trim();
    head.parentElement.classList.toggle("picked", Boolean(name) && own === name);
  }
}

const watch = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const one = figures.find((each) => each.figure === entry.target);
      if (!entry.isIntersecting || one.seen) continue;
      one.seen = true;
      draw(one);
    }
  },
  { rootMargin: "200px" },
);
for (const one of figures) watch.observe(one.figure);

const redraw = () => figures.filter((one) => one.seen).forEach((one) => (one.figure.checkVisibility() ? draw(one) : (one.seen = false, watch.unobserve(one.figure), watch.observe(one.figure))));
onChoice.push(redraw);
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(redraw, 150);
});

// Figures as they are printed are unpacked when there is time: those that answer to nothing, and what paper shows of the others.
const idle = () => new Promise((resolve) => (globalThis.requestIdleCallback ?? setTimeout)(resolve));
async function unpackFigures() {
  for (const source of document.querySelectorAll("figure > script.svg")) {
    await idle();
    source.insertAdjacentHTML("afterend", await unpacked(source));
  }
  document.documentElement.dataset.drawn = "yes";
}
