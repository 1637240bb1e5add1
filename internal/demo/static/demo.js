// What the demo's page does beside htmx: arrow keys, going where the story is, saying that the demo has ended.

import { renew } from "/static/stream.js";

const says = document.getElementById("says");
let heard = Date.now();
let hundreds = 0;

// A world that was made anew, or has just opened, is another page.
function follow() {
  const live = document.getElementById("live");
  if (!live) return;
  const opening = live.hasAttribute("data-opening");
  if (opening !== here.opening || (!opening && live.dataset.made !== here.made)) location.assign("/");
  const count = live.querySelector(".panel.off [data-count]");
  if (count) {
    const n = Math.floor(Number(count.textContent.replaceAll(",", "")) / 100);
    if (n > hundreds) says.textContent = count.textContent;
    hundreds = n;
  }
}
const first = document.getElementById("live");
const here = { opening: first.hasAttribute("data-opening"), made: first.dataset.made };

document.addEventListener("htmx:sse:before:message", () => { heard = Date.now(); });
document.addEventListener("htmx:sse:after:message", follow);
setInterval(() => {
  const silent = Date.now() - heard;
  renew(heard);
  const bar = document.getElementById("offline");
  bar.hidden = silent < 8000;
  if (!bar.hidden) bar.firstElementChild.textContent = document.body.dataset.lost.replace("{0}", Math.round(silent / 1000));
  document.body.classList.toggle("offline", !bar.hidden);
}, 1000);

document.addEventListener("keydown", (e) => {
  if (e.isComposing || e.ctrlKey || e.metaKey || e.altKey || e.shiftKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
  const next = document.querySelector("[data-next]");
  const back = document.querySelector("[data-back]");
  if (e.key === "ArrowRight" && next) next.click();
  else if (e.key === "ArrowLeft" && back) back.click();
  else if (e.key === "Enter" && next && (document.activeElement === document.body || document.activeElement.id === "main")) next.click();
  else return;
  e.preventDefault();
});
document.querySelector(".dpath .now")?.scrollIntoView({ inline: "center", block: "nearest" }); // the path is longer than a narrow window
document.body.dataset.ready = "1";
