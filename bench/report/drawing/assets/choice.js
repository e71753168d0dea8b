// ---- what is chosen: dataset, batch, device, dtype, decoder; it stands in the address

const choices = await embedded("choices-data");
const COMBINED = choices?.combining ?? [];
const choice = { ...choices?.chosen };
const onChoice = [];

function offers(facet, value) {
  return choices.offered[facet]?.includes(value) || (facet === "decoder" && value === "");
}

for (const [facet, value] of choices ? new URLSearchParams(location.search) : []) if (offers(facet, value)) choice[facet] = value;
if (choices) settle("dataset");

// Not every combination was measured: the nearest one that keeps what was just chosen is taken.
function settle(kept) {
  const near = (one) => COMBINED.reduce((sum, facet, place) => sum + (one[place] === choice[facet] ? 1 : 0), 0);
  const able = choices.combined.filter((one) => one[COMBINED.indexOf(kept)] === choice[kept] || kept === "decoder");
  const best = [...able].sort((a, b) => near(b) - near(a))[0];
  COMBINED.forEach((facet, place) => (choice[facet] = best[place]));
}

// A row without a facet is about all of its values.
const isChosen = (facets) =>
  !choices ||
  (COMBINED.every((facet) => !facets[facet] || facets[facet] === choice[facet]) &&
    (!choice.decoder || !facets.decoder || facets.decoder === choice.decoder));

const chosenWords = () =>
  COMBINED.filter((facet) => choices.offered[facet].length > 1)
    .map((facet) => (facet === "batch" ? `batch ${choice.batch}` : choice[facet]))
    .concat(choice.decoder ? [choice.decoder] : [])
    .join(", ");

function showChoice(form) {
  for (const input of form.querySelectorAll("input")) {
    input.checked = choice[input.name] === input.value;
    const here = COMBINED.map((facet) => (facet === input.name ? input.value : choice[facet]));
    const measured = input.name === "decoder" || choices.combined.some((one) => one.every((value, place) => value === here[place]));
    input.parentElement.classList.toggle("absent", !measured);
    input.parentElement.title = measured ? "" : "not measured with the rest of this choice: picks the nearest that was";
  }
  for (const select of form.querySelectorAll("select")) select.value = choice[select.name];
}

// What else had to change, since it was not measured together.
const moved = document.getElementById("moved");
function tellMoved(before, kept) {
  const others = COMBINED.filter((facet) => facet !== kept && before[facet] !== choice[facet]);
  moved.textContent = others.length ? `${others.map((facet) => `${facet} is now ${choice[facet]}`).join(", ")}: the nearest that was measured with ${choice[kept]}.` : "";
}

function choose(facet, value) {
  const before = { ...choice };
  choice[facet] = value;
  settle(facet);
  if (moved) tellMoved(before, facet);
  const asked = new URLSearchParams();
  for (const [name, chosen] of Object.entries(choice)) if (choices.offered[name].length > 1 && chosen) asked.set(name, chosen);
  history.replaceState(null, "", `${location.pathname}${asked.size ? `?${asked}` : ""}${location.hash}`);
  onChoice.forEach((one) => one());
}

const chips = document.getElementById("choice");
if (chips) {
  chips.addEventListener("change", (event) => {
    choose(event.target.name, event.target.value);
    showChoice(chips);
  });
  chips.addEventListener("submit", (event) => event.preventDefault());
  showChoice(chips);
  chips.hidden = chips.childElementCount === 0;
}
