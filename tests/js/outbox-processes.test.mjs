// When a process with an outbox ends. Child processes need real time, so this file has no virtual clock.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";

/** Runs a program and returns its exit code, its output and how long it took. */
const run = (code, ms = 4000) =>
  new Promise((resolve) => {
    const started = Date.now();
    execFile(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { Publisher, CloudEvent, memoryStore } from "eventferry"; const url = "http://127.0.0.1:9/"; const ok = async () => new Response(null, { status: 202 }); const event = new CloudEvent({ id: "1", type: "t", source: "/s" });${code}`,
      ],
      { timeout: ms },
      (error, out, err) =>
        resolve({ code: error ? (error.code ?? error.signal) : 0, out: out.trim(), err, ms: Date.now() - started }),
    );
  });

test("a process ends when there is nothing to do, with and without close", async () => {
  for (const code of [
    `new Publisher({ url, outbox: {} });`,
    `const p = new Publisher({ url, fetch: ok }); const s = p.session(); s.publish(event); await s.flush({ until: "delivered", deadlineMs: 60000 }); await p.outbox.drain({ deadlineMs: 60000 });`,
    `const p = new Publisher({ url, fetch: ok }); const s = p.session(); s.publish(event); const r = await s.flush(); p.close();`,
    `const p = new Publisher({ url, fetch: () => new Promise(() => {}) }); const s = p.session(); s.publish(event); s.flush(); await p.outbox.close();`,
    `const p = new Publisher({ url, fetch: async () => new Response(null, { status: 503 }) }); const s = p.session(); s.publish(event); await s.flush(); await p.outbox.drain({ deadlineMs: 50 }); await p.outbox.close();`,
    `const p = new Publisher({ url, fetch: ok, outbox: { store: { ...memoryStore(), kind: "mine", open: () => new Promise(() => {}) } } }); p.session().publish(event); setTimeout(() => p.outbox.purge().catch(() => {}), 5); setTimeout(() => p.close(), 20);`,
  ]) {
    const { code: exitCode, err, ms } = await run(code, 12_000);
    assert.equal(exitCode, 0, `${code}\n${err}`);
    assert.equal(err.replace(/^.*npm warn.*$/gm, "").trim(), "");
    assert.ok(ms < 11_500, `${ms} ms: ${code}`);
  }
});

test("a process stays alive until flushed events are delivered", async () => {
  const { out } = await run(
    `let turn = 0; const p = new Publisher({ url, fetch: async () => { console.log(++turn); return new Response(null, { status: turn < 3 ? 503 : 202 }); }, outbox: { retry: { baseMs: 20 } } }); const s = p.session(); s.publish(event); s.flush();`,
  );
  assert.equal(out, "1\n2\n3");
});
