// The code of a one-time link stands behind the # of the address, which no browser sends and no log keeps.
const field = document.getElementById("code");
if (location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
