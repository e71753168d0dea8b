// What the page does beyond being read: dark paper, choices, tables that sort, filter and copy, live figures, budgets.
// Without scripts everything but these stands there, folded.

document.documentElement.dataset.scripts = "yes";
const dark = matchMedia("(prefers-color-scheme: dark)");
const shade = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", shade);
shade();

async function unpacked(script) {
  const packed = new Blob([Uint8Array.from(atob(script.textContent.trim()), (sign) => sign.charCodeAt(0))]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const carried = (id) => document.getElementById(id);
const embedded = async (id) => (carried(id) ? JSON.parse(await unpacked(carried(id))) : null);
const digits = (value) => value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const dollars = (value) =>
  value === 0 ? "0 USD" : `${value.toLocaleString("en", { minimumSignificantDigits: 2, maximumSignificantDigits: 2 })} USD`;

function made(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

// A link to a folded section unfolds it.
function unfold() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target || null; one; one = one.parentElement?.closest("details")) if (one.tagName === "DETAILS") one.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", unfold);

// Paper has no folds.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => one.setAttribute("open", "print")));
addEventListener("afterprint", () => document.querySelectorAll("details[open=print]").forEach((one) => one.removeAttribute("open")));
