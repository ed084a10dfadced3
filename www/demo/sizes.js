// The table of download sizes. Its figures are those of the guide, where a test holds them to what is measured.
const GUIDE = "docs/performance.md";

/** The rows of the first table between the marks of the sizes: what is imported, and its sizes. */
export function sizeRows(markdown) {
  const part = /<!-- size -->([^]*?)<!-- \/size -->/.exec(markdown)?.[1] ?? "";
  return [...part.matchAll(/^\| (.*) \| ([\d.]+ KB) \| ([\d.]+ KB) \|$/gm)].map(([, what, brotli, gzip]) => ({
    what,
    brotli,
    gzip,
  }));
}

/** Fills the body of the table. */
export async function showSizes(body) {
  const answer = await fetch(GUIDE);
  const rows = sizeRows(await answer.text());
  body.replaceChildren(
    ...rows.map(({ what, brotli, gzip }) => {
      const row = document.createElement("tr");
      const title = document.createElement("th");
      title.scope = "row";
      // What is between backticks is code.
      title.append(...what.split("`").map((piece, at) => (at % 2 === 0 ? piece : code(piece))));
      row.append(title, cell(brotli), cell(gzip));
      row.dataset.own = String(what.includes("eventferry"));
      return row;
    }),
  );
}

function code(text) {
  const element = document.createElement("code");
  element.textContent = text;
  return element;
}

function cell(text) {
  const element = document.createElement("td");
  element.textContent = text;
  return element;
}
