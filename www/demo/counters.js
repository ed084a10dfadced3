// Counters that outlive the page and are shared by its tabs. Each tab adds to numbers of its own, so that no two write the
// same one; what is shown is the sum over all.
const PREFIX = "eventferry-demo.";
const tab = crypto.randomUUID();
let own = {};

/** Adds to a counter. */
export function add(name, count = 1) {
  own[name] = (own[name] ?? 0) + count;
  localStorage.setItem(`${PREFIX}tab.${tab}`, JSON.stringify(own));
}

/** The sums over all tabs, open or closed, by the name of the counter. */
export function totals() {
  const sums = {};
  for (let at = 0; at < localStorage.length; at++) {
    const key = localStorage.key(at);
    if (!key.startsWith(`${PREFIX}tab.`)) continue;
    for (const [name, count] of Object.entries(JSON.parse(localStorage.getItem(key))))
      sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

/** A setting that all tabs share. */
export function setting(name, initial, onChange) {
  const key = `${PREFIX}${name}`;
  window.addEventListener("storage", (event) => {
    if (event.key === key) onChange(event.newValue ?? initial);
  });
  return {
    get: () => localStorage.getItem(key) ?? initial,
    set(value) {
      localStorage.setItem(key, value);
      onChange(value);
    },
  };
}

/** Forgets all counters. Other tabs begin anew with their next event. */
export function clear() {
  own = {};
  for (const key of Object.keys(localStorage)) if (key.startsWith(`${PREFIX}tab.`)) localStorage.removeItem(key);
}
window.addEventListener("storage", (event) => {
  if (event.key === `${PREFIX}tab.${tab}` && event.newValue === null) own = {};
});
