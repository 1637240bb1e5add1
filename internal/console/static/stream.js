// The stream of a page. htmx takes up again what was cut, but not what never came about, as when the first request failed or was lost. So it is begun
// anew when nothing was heard for long.

const patience = 12000;
const first = document.getElementById("stream");
const names = first ? first.getAttributeNames().filter((n) => n.startsWith("hx-") || n === "hidden" || n === "id") : [];
let begun = Date.now();

// renew begins the stream anew if the last word is older than it may be.
export function renew(heard) {
  const now = Date.now();
  if (!first || now - heard < patience || now - begun < patience) return;
  begun = now;
  const fresh = document.createElement("div");
  for (const n of names) fresh.setAttribute(n, first.getAttribute(n));
  document.getElementById("stream")?.remove();
  document.body.append(fresh);
  htmx.process(fresh);
}
