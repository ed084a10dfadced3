// The batch lab, in the page.
import assert from "node:assert/strict";

export async function checkLab({ page, check }) {
  await check("the filter is read as it is typed: which events match, or the place of the error", async () => {
    const [first, problem, mark, invalid, second, json] = await page(`
      const look = () => [$("lab-result").textContent, [...$("lab-rows").querySelectorAll('[data-match="true"]')].map((row) => row.textContent)];
      $("lab-sample").click();
      await until(() => $("lab-rows").childElementCount === 6);
      const first = look();
      type("lab-filter", "type LIKE '%.paid' AND priority >");
      await until(() => $("lab-filter-error").textContent);
      const broken = [$("lab-filter-error").textContent, $("lab-filter-mark").textContent, $("lab-filter").getAttribute("aria-invalid")];
      type("lab-filter", "type LIKE '%.paid'");
      await until(() => !$("lab-filter-error").textContent);
      const second = look();
      $("lab-dialect").value = "json";
      $("lab-dialect").dispatchEvent(new Event("change"));
      type("lab-filter", '{ "exakt": {} }');
      await until(() => $("lab-filter-error").textContent);
      const json = $("lab-filter-error").textContent;
      $("lab-dialect").value = "sql";
      $("lab-dialect").dispatchEvent(new Event("change"));
      return [first, ...broken, second, json];
    `);
    assert.equal(first[0], "2 of 6 events match.");
    assert.match(problem, /at position 33: expected an attribute/);
    assert.match(mark, /\n +\^$/);
    assert.equal(invalid, "true");
    assert.equal(second[0], "2 of 6 events match.");
    for (const row of second[1]) assert.match(row, /^✓ {2}[15] {2}com\.example\.order\.paid/);
    assert.match(json, /exactly one of exact, prefix/);
  });
  await check("events that are not valid are explained beside their field", async () => {
    const [place, left] = await page(`
      const event = (id) => '{"specversion":"1.0","id":"' + id + '","source":"/s","type":"t"}';
      type("lab-events", "[" + event(1) + ',\\n{"specversion":');
      await until(() => $("lab-events-error").textContent);
      const place = $("lab-events-error").textContent;
      type("lab-events", event(1) + '\\n{"specversion":"1.0","id":"2","type":"t"}');
      await until(() => /left out/.test($("lab-events-error").textContent));
      const left = $("lab-events-error").textContent;
      $("lab-sample").click();
      return [place, left];
    `);
    assert.match(place, /: line 2, column \d+$/);
    assert.match(left, /^1 event is left out\. Event 1: .*"source"/);
  });
  await check("a thousand events are filtered, and the speed of all three is measured", async () => {
    const [rows, status] = await page(`
      $("lab-1000").click();
      await until(() => /of 1,000 events/.test($("lab-result").textContent));
      $("lab-measure").click();
      await until(() => /Measured/.test($("lab-speed-status").textContent));
      return [["eventferry", "plain", "sdk"].map((id) => [...$("speed-" + id).querySelectorAll("td")].map((cell) => cell.textContent)),
        $("lab-speed-status").textContent];
    `);
    assert.match(status, /^Measured with 1,000 events, \d+ KB\.$/);
    for (const cells of rows) for (const cell of cells) assert.ok(Number(cell.replaceAll(",", "")) > 0, cell);
    return `ms a batch: eventferry ${rows[0][0]}, JSON.parse ${rows[1][0]}, npm cloudevents ${rows[2][0]}`;
  });
  await check("the sizes are those of the guide", async () => {
    const names = await page(`
      await until(() => $("sizes").childElementCount > 0);
      return [...$("sizes").rows].map((row) => row.cells[0].textContent);
    `);
    assert.ok(names.length >= 15, names.join());
    assert.ok(names.some((name) => name.startsWith("npm cloudevents")));
  });
}
