// What the scripts in the page begin with: they wait for conditions, and set what they need whatever was set before.
export const HELPERS = `
  const counts = () => Object.fromEntries([...document.querySelectorAll("[data-count]")].map((cell) =>
    [cell.dataset.count, Number(cell.textContent.replaceAll(",", ""))]));
  const $ = (id) => document.getElementById(id);
  const until = async (condition, what = condition) => {
    for (const end = performance.now() + 60_000; performance.now() < end; ) {
      const result = await condition();
      if (result) return result;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("not in 60 s: " + what + " " + JSON.stringify(counts()));
  };
  const network = (mode) => document.querySelector('input[name="network"][value="' + mode + '"]').click();
  const sending = (wanted) => {
    if (($("run").getAttribute("aria-pressed") === "true") !== wanted) $("run").click();
  };
  const type = (id, text) => {
    $(id).value = text;
    $(id).dispatchEvent(new Event("input", { bubbles: true }));
  };
`;
