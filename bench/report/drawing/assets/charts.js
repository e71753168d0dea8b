// ---- figures that answer to choices, hovering and clicks: Vega-Lite, which the page carries

let vega = null;
const library = () => (vega ??= unpacked("vega").then((text) => import(`data:text/javascript,${encodeURIComponent(text)}`)).then(() => window.vegaEmbed));

const tone = (name) => {
  const probe = made("i", { style: `color: var(--${name})` });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

const KINDS = ["ids", "text", "beams", "search", "counted"];

function theme() {
  const [ink, soft, line] = ["ink", "soft", "line"].map(tone);
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12, labelLimit: 260 },
    legend: { labelColor: ink, titleColor: soft, labelFontSize: 12, symbolSize: 90, labelLimit: 300 },
    header: { labelColor: ink, titleColor: soft },
    view: { stroke: null },
    text: { fill: ink },
    range: { category: KINDS.map(tone) },
  };
}

// Names beside their marks, where they cover nothing; Vega finds the places, and hovering tells the rest.
function named(spec, layer, ink) {
  const find = (group) => group?.flatMap((mark) => [mark, ...find(mark.marks ?? [])]) ?? [];
  const base = find(spec.marks).find((mark) => mark.name?.includes(layer));
  if (!base) return spec;
  const holder = find([{ marks: spec.marks }]).find((mark) => mark.marks?.includes(base)) ?? spec;
  holder.marks.push({
    type: "text",
    from: { data: base.name },
    interactive: false,
    encode: { enter: { text: { signal: "datum.datum.few ? datum.datum.name : ''" }, fontSize: { value: 12 }, fill: { value: ink } } },
    transform: [
      {
        type: "label",
        sort: { field: "datum.datum.few", order: "descending" }, // an empty name takes a place, too
        size: { signal: "[width, height]" },
        anchor: ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"],
        offset: [7],
        padding: 0,
      },
    ],
  });
  return spec;
}

const figures = [...document.querySelectorAll("figure[data-live]")].map((figure) => ({
  figure,
  box: figure.querySelector(".live"),
  picked: figure.querySelector("output"),
  ...JSON.parse(figure.querySelector("script").textContent),
  view: null,
  seen: false,
}));

const drawable = (one) => (row) => isChosen(row) && (!row.under || row.under.includes(choice.decoder ?? ""));

async function draw(one) {
  const embed = await library();
  const rows = one.rows.filter(drawable(one));
  const width = Math.max(240, one.figure.clientWidth - 24);
  const ink = tone("ink");
  const spec = { ...one.spec, width, autosize: { type: "fit", contains: "padding" }, data: { values: rows } };
  if (one.spec.facet) delete spec.width;
  one.view?.finalize();
  one.view = await embed(one.box, spec, {
    actions: false,
    renderer: "svg",
    ast: false,
    config: theme(),
    tooltip: { theme: "custom" },
    patch: (compiled) => (one.labels ? named(compiled, one.labels, ink) : compiled),
  });
  one.view.view.addEventListener("click", (_, item) => pick(one, item?.datum));
  const drawn = one.box.querySelector("svg");
  drawn?.setAttribute("role", "img");
  drawn?.setAttribute("aria-label", `${one.figure.querySelector("figcaption").textContent.split(".")[0]}: ${rows.length} marks of the choice above; the table beside holds their numbers.`);
  one.box.dataset.marks = rows.length;
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
dark.addEventListener("change", redraw);
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(redraw, 150);
});
