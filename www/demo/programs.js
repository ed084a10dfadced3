// The programs that can be edited and run: one for each system behind tabs, and the signed web hook.
import { copy } from "./copy.js";
import { EXAMPLES, SIGNED_HOOK } from "./examples.js";
import { run } from "./runner.js";

const FIRST_GUIDE = EXAMPLES[0].guide;

/** Connects an editor with its buttons and its output. `original()` is the program as it was. */
function connect(prefix, original) {
  const part = (name) => document.getElementById(`${prefix}-${name}`);
  const output = part("output");
  part("run").addEventListener("click", async () => {
    const button = part("run");
    button.disabled = true;
    part("error").textContent = "";
    output.textContent = "";
    output.dataset.state = "running";
    try {
      await run(part("code").value, (line) => {
        output.textContent += `${line}\n`;
      });
      output.dataset.state = "done";
    } catch (error) {
      output.dataset.state = "failed";
      part("error").textContent = `${error.name}: ${error.message}`;
      part("code").setAttribute("aria-invalid", "true");
    } finally {
      button.disabled = false;
    }
  });
  part("code").addEventListener("input", () => part("code").removeAttribute("aria-invalid"));
  part("reset").addEventListener("click", () => {
    part("code").value = original();
    part("code").removeAttribute("aria-invalid");
    part("error").textContent = "";
  });
  part("copy").addEventListener("click", () => void copy(part("copy"), part("code")));
}

export function startPrograms() {
  const tabs = [...document.querySelectorAll('#systems [role="tab"]')];
  const edited = new Map();
  const code = document.getElementById("system-code");
  // The site has its pages elsewhere than the package.
  const guide = document.getElementById("system-guide").getAttribute("href");
  let current;
  const select = (id) => {
    if (current) edited.set(current.id, code.value);
    current = EXAMPLES.find((example) => example.id === id);
    for (const tab of tabs) {
      const isSelected = tab.dataset.system === id;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
      if (isSelected) document.getElementById("system-panel").setAttribute("aria-labelledby", tab.id);
    }
    code.value = edited.get(id) ?? current.code;
    code.removeAttribute("aria-invalid");
    document.getElementById("system-text").textContent = current.text;
    document.getElementById("system-guide").href = guide.replace(FIRST_GUIDE, current.guide);
    document.getElementById("system-guide").textContent = `Guide: ${current.title}`;
    document.getElementById("system-error").textContent = "";
    const output = document.getElementById("system-output");
    output.textContent = "";
    output.dataset.state = "ready";
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => select(tab.dataset.system));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      next.focus();
      select(next.dataset.system);
    });
  }
  select(EXAMPLES[0].id);
  connect("system", () => current.code);

  const hook = document.getElementById("hook-code");
  hook.value = SIGNED_HOOK;
  connect("hook", () => SIGNED_HOOK);
}
