// The look-up: the code stays in this browser. It asks for one bucket, which says nothing to who has no code, and compares by itself. What it
// asks for does not depend on the answer.

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const text = s => new TextEncoder().encode(s);
const join = (...parts) => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) { out.set(p, at); at += p.length; }
  return out;
};
const unhex = s => Uint8Array.from(s.match(/../g) ?? [], b => parseInt(b, 16));
const number = n => { const b = new Uint8Array(8); new DataView(b.buffer).setBigUint64(0, BigInt(n)); return b; };

// decode reads what somebody typed: 20 bytes, or null.
function decode(typed) {
  const plain = typed.toUpperCase().replace(/[\s\-\u00a0\u2010\u2011]/g, "").replaceAll("0", "O").replaceAll("8", "B");
  if (plain.length !== 32) return null;
  const out = new Uint8Array(20);
  let bits = 0, have = 0, at = 0;
  for (const c of plain) {
    const v = letters.indexOf(c);
    if (v < 0) return null;
    bits = bits << 5 | v; have += 5;
    if (have >= 8) { have -= 8; out[at++] = bits >> have; bits &= (1 << have) - 1; }
  }
  return out;
}

// same compares without ending at the first difference.
const same = (a, b) => a.reduce((d, v, i) => d | v ^ b[i], 0) === 0;

// look gives slip, gone, fail, not, or found with the places of the fields.
async function look(form, typed) {
  const d = form.dataset, secret = decode(typed);
  if (!secret) return { says: "slip" };
  const key = secret.slice(0, 16);
  const check = new Uint8Array(await crypto.subtle.digest("SHA-256", join(text("whosaw look-up check\0"), number(d.incident), unhex(d.key), key)));
  if (!same(secret.slice(16), check.slice(0, 4))) return { says: "slip" };
  const mac = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const sum = new Uint8Array(await crypto.subtle.sign("HMAC", mac, join(text("whosaw look-up entry\0"), unhex(d.salt))));
  const bits = Number(d.bits), place = new DataView(sum.buffer).getUint32(0);
  const bucket = bits === 0 ? 0 : place >>> (32 - bits);
  let answer;
  try {
    answer = await fetch(`/affected/${d.incident}/${d.salt}/${bucket.toString(16).padStart(Number(d.width), "0")}`, { cache: "no-store", credentials: "omit" });
    if (answer.status === 410) return { says: "gone" };
    if (!answer.ok) return { says: "fail" };
    answer = new Uint8Array(await answer.arrayBuffer());
  } catch {
    return { says: "fail" };
  }
  if (answer.length !== Number(d.length)) return { says: "fail" };
  const tag = sum.slice(4, 12), veil = sum.slice(12, 20);
  let mine = null;
  for (let i = 0; i < answer.length; i += 16) {
    if (same(tag, answer.subarray(i, i + 8))) mine = answer.slice(i + 8, i + 16).map((v, j) => v ^ veil[j]);
  }
  if (!mine) return { says: "not" };
  if (mine[0] !== 0xa5) return { says: "fail" };
  return { says: "found", has: i => (mine[1 + (i >> 3)] >> (i & 7)) & 1 };
}

function show(result) {
  const answers = document.getElementById("answers");
  const part = document.getElementById("t-" + result.says).content.cloneNode(true);
  if (result.has) [...part.querySelectorAll(".fields li")].forEach((li, i) => { if (!result.has(Math.min(i, 55))) li.remove(); });
  answers.replaceChildren(part);
  answers.focus();
}

// fromLink takes a code out of the address, and out of the address bar with it.
function fromLink() {
  const code = decodeURIComponent(location.hash.slice(1));
  if (!code || code === "main") return "";
  history.replaceState(null, "", location.pathname + location.search);
  return code;
}

const form = document.getElementById("look"), check = document.getElementById("check");
if (form && crypto.subtle) {
  document.getElementById("with").hidden = false;
  document.getElementById("without").hidden = true;
  const field = document.getElementById("secret");
  const go = async () => {
    form.setAttribute("aria-busy", "true");
    show(await look(form, field.value));
    form.removeAttribute("aria-busy");
  };
  form.addEventListener("submit", e => { e.preventDefault(); go(); });
  const code = fromLink();
  if (code) { field.value = code; go(); }
}
if (check) {
  const code = fromLink();
  if (code) { document.getElementById("code").value = code; check.requestSubmit(); }
}
document.getElementById("answer")?.focus();
document.body.dataset.ready = "1";
