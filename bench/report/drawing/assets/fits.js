// ---- the first screen: rows of the choice, what fits a budget, prices

const first = document.getElementById("first");
const prices = document.getElementById("prices");
const bills = await embedded("prices-data");
const paidPerHour = (device) =>
  Number.parseFloat([...(prices?.querySelectorAll("input") ?? [])].map((one) => (one.name === device ? one.value || one.defaultValue : "")).find(Boolean));

if (first) {
  const { cases, quality } = choices;
  const lines = [...first.tBodies[0].rows];
  lines.forEach((row) => (row.hidden = false));
  const caseOf = (row) => cases[Number(row.dataset.row)];
  const here = (one) => isChosen(one.facets) && one.under.includes(choice.decoder);
  asked.set(first, { all: false, few: false, holds: (row) => here(caseOf(row)) && (asked.get(first).all || caseOf(row).few) });
  const grid = enhance(first, { whole: true });
  const container = first.closest(".grid");
  const line = container.querySelector(".told");
  container.querySelector(".tools label")?.remove();

  const card = document.getElementById("fits");
  const form = card?.querySelector("form");
  const read = (name) => form?.elements[name]?.value ?? "";
  const bound = (name) => (read(name) === "" ? null : Number.parseFloat(read(name)));

  const TIMES = ["p50", "p95", "p99"];

  function judge() {
    const time = read("time") || "p50";
    const [budget, memory, users, within] = [bound("budget"), bound("memory"), bound("users"), (bound("within") ?? 0) / 100];
    const shown = cases.filter(here);
    // A service's times hang on the rate: the lowest that is no lower than what is asked for; where users are not
    // asked for, the highest within the budget; and where nothing is, the one that its row tells of.
    const place = 1 + TIMES.indexOf(time);
    for (const one of shown.filter((service) => service.curve)) {
      const able = one.curve.filter(([offered]) => offered >= (users ?? 0));
      const within = able.filter((point) => budget !== null && point[place] !== null && point[place] <= budget);
      const kept = able.find(([offered]) => offered === one.kept);
      const at = users !== null ? able[0] : budget !== null ? (within.at(-1) ?? able[0]) : (kept ?? able.at(-1));
      one.users = at ? at[0] : 0;
      TIMES.forEach((name, index) => (one[name] = at ? at[1 + index] : null));
    }
    const fitting = new Set(
      shown.filter(
        (one) =>
          !one.cautions.length &&
          (budget === null || (one[time] !== null && one[time] <= budget)) &&
          (users === null || one.users >= users) &&
          (memory === null || (one.memory !== null && one.memory <= memory)),
      ),
    );
    const ranked = [...fitting].filter((one) => one.quality).sort((a, b) => b.quality[0] - a.quality[0]);
    const best = ranked[0];
    const near = best && ranked.filter((one) => one[time] !== null && one.quality[0] >= (1 - within) * best.quality[0]).sort((a, b) => a[time] - b[time])[0];
    return { time, within, shown, fitting, best, near, asked: budget !== null || memory !== null || users !== null };
  }

  function said({ time, within, shown, fitting, best, near }) {
    const told = (one) => `${one.name} (${quality} ${one.quality[0].toFixed(4)}${one[time] === null ? "" : `, ${digits(one[time])} ms${one.curve ? ` at ${digits(one.users)} users/s` : ""}`})`;
    if (best && near && near !== best) return `Best that fits: ${told(best)}. Fastest within ${100 * within} % of it: ${told(near)}.`;
    if (best) return `Best that fits: ${told(best)}${near ? `; nothing faster comes within ${100 * within} % of it` : ""}.`;
    if (fitting.size) {
      const fastest = [...fitting].filter((one) => one[time] !== null).sort((a, b) => a[time] - b[time])[0];
      return fastest ? `No quality was measured here; the fastest that fits is ${fastest.name}, ${digits(fastest[time])} ms.` : `No case here has a ${time}.`;
    }
    return shown.some((one) => one.cautions.length) && !shown.some((one) => !one.cautions.length) ? "Only recommenders with cautions are here." : "Nothing measured here fits.";
  }

  const MONEY = [...first.tHead.rows[0].cells].findIndex((cell) => cell.textContent.startsWith("USD"));
  function answer() {
    const found = judge();
    for (const row of lines) {
      const one = caseOf(row);
      const fits = found.fitting.has(one);
      row.classList.toggle("fits", found.asked && fits);
      row.classList.toggle("misses", found.asked && !fits);
      const roles = [];
      if (one === found.best) roles.push(found.asked ? "best that fits" : "best quality");
      if (one === found.near && found.near !== found.best) roles.push(`fastest within ${100 * found.within} % of the best`);
      row.querySelector(".role").textContent = roles.join(", ");
      const price = paidPerHour(one.device);
      if (one.curve && one.users && found.asked) roles.push(`at ${digits(one.users)} users/s`);
      row.querySelector(".role").textContent = roles.join(", ");
      if (price >= 0 && one.hours !== null) {
        row.cells[MONEY].textContent = dollars(price * one.hours);
        row.querySelector(".money").textContent = `${dollars(price * one.hours)} per million users`;
        row.cells[MONEY].dataset.order = price * one.hours;
      }
    }
    asked.get(first).show();
    const every = cases.filter(here).length;
    line.firstChild.textContent = `${grid.found.length} of the ${every} rows of ${chosenWords() || "this setting"}`;
    line.children[1].hidden = grid.found.length === every && !asked.get(first).all;
    if (card) card.querySelector("output").textContent = said(found);
    if (!prices) return;
    const devices = new Set(found.shown.map((one) => one.device));
    for (const input of prices.querySelectorAll("input")) input.parentElement.hidden = devices.size > 0 && !devices.has(input.name);
  }
  line.children[1].addEventListener("click", answer);
  form?.addEventListener("input", answer);
  form?.addEventListener("submit", (event) => event.preventDefault());
  prices?.addEventListener("input", answer);
  prices?.addEventListener("reset", () => setTimeout(answer));
  onChoice.push(answer);
  answer();
  if (card) card.hidden = false;
}

// ---- prices change what the table of costs says

if (prices) {
  const costs = document.querySelector("#cost [aria-label='Cost'] table.data");
  const place = costs ? [...costs.tHead.rows[0].cells].findIndex((cell) => cell.textContent === "per million users") : -1;
  const cells = place < 0 ? [] : [...costs.tBodies[0].rows].map((row) => row.cells[place]);
  const listed = document.querySelectorAll("#cost [aria-label='Cost: Prices'] tbody tr");
  const reckon = () => {
    for (const input of prices.querySelectorAll("input")) {
      const price = paidPerHour(input.name);
      if (!(price >= 0)) continue;
      cells.forEach((cell, row) => {
        if (bills[row]?.device !== input.name) return;
        cell.textContent = dollars(price * bills[row].hours);
        cell.dataset.order = price * bills[row].hours;
      });
      for (const row of listed) if (row.cells[0].textContent === input.name) row.cells[1].textContent = price;
    }
    tables.get(costs)?.draw();
  };
  prices.hidden = false;
  prices.addEventListener("submit", (event) => event.preventDefault());
  prices.addEventListener("input", reckon);
  prices.addEventListener("reset", () => setTimeout(reckon));
}

unfold();
