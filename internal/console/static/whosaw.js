// What the pages do beside htmx: keys, the connection, copying. No state is kept here that the server does not have.

import { renew } from "./stream.js";

const body = document.body;
const $ = (sel, root = document) => root.querySelector(sel);

// The code of a one-time link stands behind the # of the address, which no browser sends and no log keeps.
const code = document.getElementById("code");
if (code) {
  if (location.hash.length > 1) {
    code.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
  code.focus();
}

// The connection. Silence is never Quiet: after eight seconds without a word from the server the plate is Blind.
const patience = 8000;
const steady = matchMedia("(prefers-reduced-motion: reduce)");
let heard = Date.now();
let stepped = 0;
let clock = document.getElementById("clock")?.querySelector("b").textContent.trim() ?? "";
let lost = false;

function level() {
  const plate = document.getElementById("plate");
  if (!plate) return;
  const now = plate.dataset.level;
  if (body.dataset.level !== now) {
    body.dataset.level = now;
    document.getElementById("icon").href = `/static/level-${now}.svg`;
    const head = $(".head");
    head.classList.add("fade");
    setTimeout(() => head.classList.remove("fade"), 450);
  }
  document.title = plate.dataset.lit + body.dataset.title;
  if (plate.dataset.open !== undefined) document.querySelectorAll("[data-open]").forEach((el) => { if (el !== plate) el.textContent = plate.dataset.open; });
}

function setLost(is) {
  lost = is;
  body.classList.toggle("offline", is);
  const bar = document.getElementById("offline");
  if (bar) bar.hidden = !is;
  document.querySelectorAll(".needs").forEach((el) => { is ? el.setAttribute("aria-disabled", "true") : el.removeAttribute("aria-disabled"); });
  if (is) {
    const plate = document.getElementById("plate");
    const blind = document.getElementById("plate-lost");
    if (plate && blind) plate.replaceWith(blind.content.cloneNode(true));
    // What the head said was true when it was said.
    document.getElementById("nowhead")?.replaceChildren(document.getElementById("head-lost").content.cloneNode(true));
    level();
  }
}

if (document.getElementById("stream")) {
  document.addEventListener("htmx:sse:before:message", (e) => {
    heard = Date.now();
    const text = e.detail.message.data;
    const changes = !text.includes(`data-level="${body.dataset.level}"`);
    if (steady.matches && !lost && !changes && heard - stepped < 10000) {
      e.preventDefault();
      return;
    }
    stepped = heard;
    if (lost) setLost(false);
  });
  document.addEventListener("htmx:sse:after:message", () => { level(); clock = document.getElementById("clock")?.querySelector("b").textContent.trim() ?? ""; });
  setInterval(() => {
    const silent = Date.now() - heard;
    renew(heard);
    if (silent > patience && !lost) setLost(true);
    if (lost) {
      const bar = document.querySelector("#offline span");
      if (bar) bar.textContent = body.dataset.lost.replace("{0}", Math.round(silent / 1000)).replace("{1}", clock);
    }
  }, 1000);
  document.addEventListener("click", (e) => { if (lost && e.target.closest(".needs")) e.preventDefault(); }, true);
}

// Keys. A letter never fires in a field, can be turned off, and on a page its own key wins over the menu's.
function typing(el) {
  return el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName));
}
function press(key) {
  const mine = document.querySelector(`main [data-key="${CSS.escape(key)}"]`) || document.querySelector(`.head [data-key="${CSS.escape(key)}"]`) || document.querySelector(`.rail [data-key="${CSS.escape(key)}"]`);
  if (!mine || mine.closest("[hidden]")) return false;
  if (mine.tagName === "INPUT" || mine.tagName === "TEXTAREA" || mine.dataset.focus !== undefined) mine.focus(); else mine.click();
  return true;
}
function rows(step) {
  const list = [...document.querySelectorAll("[data-rows] [data-row]")];
  if (!list.length) return false;
  const at = list.indexOf(document.activeElement?.closest("[data-row]"));
  const next = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
  (next.querySelector("a,button") || next).focus();
  return true;
}
document.addEventListener("keydown", (e) => {
  if (e.isComposing) return;
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
    // Whoever writes in another form means that form, and a key that is held down means one act.
    const act = document.querySelector("[data-act]:not([disabled])");
    if (act && !lost && !e.repeat && (!typing(e.target) || e.target.form === act.form)) { e.preventDefault(); act.click(); }
    return;
  }
  if (e.key === "Escape" && typing(document.activeElement)) { document.activeElement.blur(); return; }
  if (e.key === "Escape") { document.querySelectorAll("details.add[open]").forEach((d) => { d.open = false; $("summary", d).focus(); }); return; }
  if (typing(e.target) || e.ctrlKey || e.metaKey || e.altKey || body.dataset.letters === "off" || document.querySelector("dialog[open]")) return;
  if (e.key === "?") { e.preventDefault(); document.getElementById("keys")?.showModal(); return; }
  if (e.key === "Enter") {
    if (document.activeElement === body && press("Enter")) e.preventDefault();
    return;
  }
  if ((e.key === "j" && rows(1)) || (e.key === "k" && document.querySelector("[data-rows] [data-row]:focus-within") && rows(-1)) || press(e.key)) e.preventDefault();
});

// A plot is one stop; arrow keys read its columns.
document.addEventListener("keydown", (e) => {
  const plot = e.target.closest?.("[data-plot]");
  if (!plot || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(e.key)) return;
  e.preventDefault();
  const cols = [...plot.querySelectorAll("[data-says]")];
  if (!cols.length) return;
  let at = cols.findIndex((c) => c.classList.contains("read"));
  at = e.key === "Home" ? 0 : e.key === "End" ? cols.length - 1 : Math.max(0, Math.min(cols.length - 1, at + (e.key === "ArrowRight" ? 1 : -1)));
  cols.forEach((c, i) => c.classList.toggle("read", i === at));
  document.getElementById("says").textContent = cols[at].dataset.says;
});

// Copying: what is copied is what the element names, and it is said.
document.addEventListener("click", async (e) => {
  const el = e.target.closest("[data-copy]");
  if (!el) return;
  const from = document.querySelector(el.dataset.copy);
  if (!from) return;
  try {
    await navigator.clipboard.writeText(from.textContent.replace(/\s+/g, " ").trim());
    const was = el.firstChild.textContent;
    el.firstChild.textContent = body.dataset.copied;
    setTimeout(() => { el.firstChild.textContent = was; }, 1500);
  } catch { getSelection().selectAllChildren(from); }
});

// A form that is under way is not sent again by a second click. What htmx sends is its own affair, and an export leaves the page where it is.
const underway = 10000;
document.addEventListener("submit", (e) => {
  const form = e.target;
  if (e.defaultPrevented || form.method !== "post" || form.getAttribute("action")?.endsWith("/export")) return;
  if (Date.now() - (form.dataset.sent ?? 0) < underway) e.preventDefault();
  else form.dataset.sent = Date.now();
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// A popup closes when somebody looks elsewhere.
document.addEventListener("click", (e) => {
  document.querySelectorAll("details.add[open]").forEach((d) => { if (!d.contains(e.target)) d.open = false; });
});
document.addEventListener("toggle", (e) => {
  // The event comes later than the click: whoever types already is not taken away from the field.
  if (e.target.matches?.("details.add[open]") && !e.target.querySelector(".pop")?.contains(document.activeElement)) e.target.querySelector("input,select")?.focus();
}, true);

// The button repeats the figures of what is chosen.
document.addEventListener("change", (e) => {
  const cut = e.target.closest("input[name=cut]");
  if (!cut) return;
  document.querySelector("#cutgo span").textContent = cut.dataset.button;
  document.getElementById("cutsays").textContent = cut.dataset.says;
});

body.dataset.ready = "yes";
