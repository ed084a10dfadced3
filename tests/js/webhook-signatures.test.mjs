// Web hooks whose deliveries are signed: what is let in, what is refused, and what is said about it.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import {
  CloudEvent,
  discord,
  FerryError,
  github,
  hmac,
  shopify,
  slack,
  standardWebhooks,
  stripe,
  toStructured,
  webhook,
} from "eventferry/cloudevents";
import { gzipSync } from "node:zlib";
import { replaceClock } from "../../dist/entries/node/internals.js";

const url = "https://hook.example/events";
const event = new CloudEvent({ id: "1", type: "t", source: "/s", data: { a: 1 } });
const { headers: eventHeaders, body } = toStructured(event);
const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const OTHER = `whsec_${Buffer.alloc(32, 2).toString("base64")}`;

/** A delivery with these headers: its status, the reasons for `onRejected`, and the errors for `onError`. */
async function deliver(options, headers = {}, text = body) {
  const seen = { received: [], reasons: [], errors: [] };
  const handle = webhook({
    onEvent: (event) => void seen.received.push(event.id),
    onRejected: (error) => seen.reasons.push(error),
    onError: (error) => seen.errors.push(error),
    ...options,
  });
  const request = new Request(url, {
    method: "POST",
    headers: [...Object.entries(eventHeaders), ...(Array.isArray(headers) ? headers : Object.entries(headers))],
    body: text,
    duplex: "half",
  });
  const response = await handle(request);
  return { ...seen, status: response.status, answer: await response.text() };
}

function signed({ id = "msg_1", timestamp = Math.floor(Date.now() / 1000), text = body, secret = SECRET } = {}) {
  const key = Buffer.from(secret.slice(6), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${text}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": `v1,${signature}` };
}

test("a signed delivery is handed on, with either prefix and in any place of the list", async () => {
  const headers = signed();
  const svix = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.replace("webhook", "svix"), value]),
  );
  const signature = headers["webhook-signature"];
  const lists = [`v1,${Buffer.alloc(32).toString("base64")} ${signature}`, `v9,x ${signature}`, `${signature} v1,`];
  for (const one of [headers, svix, ...lists.map((list) => ({ ...headers, "webhook-signature": list }))]) {
    const { status, received } = await deliver({ verify: standardWebhooks(SECRET) }, one);
    assert.deepEqual([status, received], [204, ["1"]]);
  }
});

test("a signature that is missing or does not verify is refused with 401 and a reason", async () => {
  const good = signed();
  const now = Math.floor(Date.now() / 1000);
  const with_ = (changes) => ({ ...good, ...changes });
  const without = (name) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
  const base64 = good["webhook-signature"].slice(3);
  const cases = [
    [{}, /webhook-signature is missing/],
    [without("webhook-id"), /webhook-id is missing/],
    [without("webhook-timestamp"), /webhook-timestamp is missing/],
    [with_({ "webhook-signature": "" }), /webhook-signature is missing/],
    [with_({ "webhook-id": "msg_2" }), /no signature .* matches/],
    [signed({ text: `${body} ` }), /no signature .* matches/],
    [signed({ secret: OTHER }), /no signature .* matches/],
    [signed({ timestamp: now - 301 }), /older/],
    [signed({ timestamp: now + 320 }), /future/],
    [signed({ timestamp: "" }), /webhook-timestamp is missing/],
    [signed({ timestamp: `${now}.5` }), /not a number of seconds/],
    [signed({ timestamp: "1e9" }), /not a number of seconds/],
    [signed({ timestamp: "9".repeat(30) }), /not a number of seconds/],
    [with_({ "webhook-signature": Buffer.from(base64, "base64").toString("hex") }), /no signature of a version/],
    [
      with_({ "webhook-signature": `v1,${Buffer.from(base64, "base64").toString("hex")}` }),
      /no signature of a version/,
    ],
    [with_({ "webhook-signature": `v1,${base64.slice(0, -4)}` }), /no signature of a version/],
    [with_({ "webhook-signature": `v1,${base64.replace("=", "")}` }), /no signature of a version/],
    [with_({ "webhook-signature": `v2,${base64}` }), /no signature of a version/],
    [with_({ "webhook-signature": `v1a,${base64}` }), /no signature of a version/],
    [with_({ "webhook-signature": `v1,${"A".repeat(100_000)}` }), /longer than 4096/],
    [with_({ "webhook-signature": Array(17).fill(`v1,${base64}`).join(" ") }), /more than 16/],
    [with_({ "webhook-id": "x".repeat(10_000) }), /longer than 4096/],
    ...Object.entries(good).map((pair) => [[...Object.entries(good), pair], /is repeated/]),
    [
      { ...signed(), "svix-signature": "v1,x", "webhook-signature": `v1,${Buffer.alloc(32).toString("base64")}` },
      /matches/,
    ],
  ];
  for (const [headers, reason] of cases) {
    const { status, received, reasons, errors, answer } = await deliver({ verify: standardWebhooks(SECRET) }, headers);
    assert.deepEqual([status, received, reasons.length, errors.length], [401, [], 1, 0], String(reason));
    assert.match(reasons[0].message, reason);
    assert.deepEqual([reasons[0].code, reasons[0].status], ["ERR_UNAUTHORIZED", 401]);
    // Who is not authorized is not told why.
    assert.equal(answer, "the signature was rejected\n");
  }
});

test("no reason has a secret, a signature or a body in it", async () => {
  const raw = "a-very-secret-value";
  const verifiers = [standardWebhooks(SECRET), github(raw), stripe(raw), slack(raw), shopify(raw)];
  const headers = {
    ...signed({ secret: OTHER }),
    "x-hub-signature-256": `sha256=${"ab".repeat(32)}`,
    "stripe-signature": `t=${Math.floor(Date.now() / 1000)},v1=${"ab".repeat(32)}`,
    "x-slack-request-timestamp": String(Math.floor(Date.now() / 1000)),
    "x-slack-signature": `v0=${"ab".repeat(32)}`,
    "x-shopify-hmac-sha256": Buffer.alloc(32, 3).toString("base64"),
  };
  const { reasons, answer } = await deliver({ verify: verifiers }, headers);
  const told = JSON.stringify([reasons[0].message, String(reasons[0].cause), answer]);
  for (const name of ["standardWebhooks", "github", "stripe", "slack", "shopify"]) assert.ok(told.includes(name), name);
  for (const hidden of [raw, SECRET.slice(6), "abab", headers["webhook-signature"].slice(3), '"a":1'])
    assert.ok(!told.includes(hidden), hidden);
});

test("signatures of other services are refused with 401 in every wrong form", async () => {
  const at = Math.floor(Date.now() / 1000);
  const hex = (key, text) => createHmac("sha256", key).update(text).digest("hex");
  const key = "k";
  const good = hex(key, body);
  const slackGood = `v0=${hex(key, `v0:${at}:${body}`)}`;
  const cases = [
    [github(key), { "x-hub-signature-256": `sha256=${good}` }, 204],
    [github(key), { "x-hub-signature-256": `sha256=${good.toUpperCase()}` }, 204],
    [github(key), { "x-hub-signature-256": good }, 401],
    [github(key), { "x-hub-signature-256": `sha256=${good}00` }, 401],
    [github(key), { "x-hub-signature-256": `sha256=${good.slice(2)}zz` }, 401],
    [github(key), { "x-hub-signature-256": "sha256=" }, 401],
    [github(key), { "x-hub-signature": `sha1=${createHmac("sha1", key).update(body).digest("hex")}` }, 401],
    [github(key), { "x-hub-signature-256": `sha256=${"0".repeat(1_000_000)}` }, 401],
    [stripe(key), { "stripe-signature": `t=${at},v1=${hex(key, `${at}.${body}`)}` }, 204],
    [stripe(key), { "stripe-signature": `t=${at},v1=${good}` }, 401],
    [stripe(key), { "stripe-signature": `v1=${good}` }, 401],
    [stripe(key), { "stripe-signature": `t=${at},t=${at},v1=${hex(key, `${at}.${body}`)}` }, 401],
    [stripe(key), { "stripe-signature": `t=${at},v0=${hex(key, `${at}.${body}`)}` }, 401],
    [stripe(key), { "stripe-signature": `t=${at},${`v1=${good},`.repeat(20)}` }, 401],
    [stripe(key), { "stripe-signature": "=,,=t,t,v1" }, 401],
    [
      stripe(key, { toleranceMs: 1e6 }),
      { "stripe-signature": `t=${at - 900},v1=${hex(key, `${at - 900}.${body}`)}` },
      204,
    ],
    [slack(key), { "x-slack-request-timestamp": String(at), "x-slack-signature": slackGood }, 204],
    [slack(key), { "x-slack-request-timestamp": String(at + 1), "x-slack-signature": slackGood }, 401],
    [slack(key), { "x-slack-signature": slackGood }, 401],
    [shopify(key), { "x-shopify-hmac-sha256": Buffer.from(good, "hex").toString("base64") }, 204],
    [shopify(key), { "x-shopify-hmac-sha256": good }, 401],
    [discord("ab".repeat(32)), { "x-signature-ed25519": "00".repeat(64), "x-signature-timestamp": String(at) }, 401],
    [discord("ab".repeat(32)), { "x-signature-timestamp": String(at) }, 401],
  ];
  for (const [verify, headers, expected] of cases) {
    const { status, reasons } = await deliver({ verify }, headers);
    assert.equal(status, expected, `${verify.name} ${JSON.stringify(headers).slice(0, 200)} ${reasons[0]?.message}`);
  }
});

test("any verifier of the list and authorize must agree", async () => {
  const headers = { "x-hub-signature-256": `sha256=${createHmac("sha256", "k").update(body).digest("hex")}` };
  const verify = [standardWebhooks(SECRET), github("k")];
  assert.equal((await deliver({ verify }, headers)).status, 204);
  assert.equal((await deliver({ verify, authorize: () => true }, headers)).status, 204);
  assert.equal((await deliver({ verify, authorize: () => false }, headers)).status, 401);
  let asked = 0;
  const authorize = () => ++asked > 0;
  assert.equal((await deliver({ verify: github("other"), authorize }, headers)).status, 401);
  assert.equal(asked, 0);
});

test("a verifier of the application lets in only with true, and a broken one is a failure", async () => {
  for (const result of [undefined, false, 1, "true", {}]) {
    const { status } = await deliver({ verify: { name: "own", verify: async () => result } });
    assert.equal(status, 401);
  }
  const refuse = () => {
    throw new FerryError("ERR_UNAUTHORIZED", "not today");
  };
  const refused = await deliver({ verify: { name: "own", verify: refuse } });
  assert.deepEqual([refused.status, refused.reasons[0].message], [401, "not today"]);
  const broken = { name: "own", verify: async () => Promise.reject(new Error("no network")) };
  const failed = await deliver({ verify: broken });
  assert.deepEqual([failed.status, failed.errors[0].message], [500, "no network"]);
  const other = { name: "other", verify: async () => true };
  assert.equal((await deliver({ verify: [broken, other] })).status, 204);
});

test("the signature is that of the body without its content encoding", async () => {
  const { status } = await deliver(
    { verify: standardWebhooks(SECRET) },
    { ...signed(), "content-encoding": "gzip" },
    gzipSync(body),
  );
  assert.equal(status, 204);
});

test("the body is bounded before it is verified: 413 for too much, 400 for what cannot be read", async () => {
  let verified = 0;
  const verify = { name: "own", verify: async () => ++verified > 0 };
  const endless = () => new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(65_536)) });
  const cases = [
    [413, {}, "x".repeat(1001)],
    [413, {}, endless()],
    [413, { "content-encoding": "gzip" }, gzipSync("x".repeat(100_000))],
    [400, { "content-encoding": "gzip" }, "no gzip"],
  ];
  for (const [expected, headers, text] of cases) {
    const { status, reasons } = await deliver({ verify, maxBytes: 1000 }, headers, text);
    assert.deepEqual([status, reasons.length], [expected, 1]);
  }
  assert.equal(verified, 0);
  const invalid = await deliver({ verify }, { "content-type": "application/cloudevents+json" }, "{");
  assert.deepEqual([invalid.status, verified], [400, 1]);
});

test("a body that does not end is given up after timeoutMs", async () => {
  const timers = [];
  let cancelled = false;
  replaceClock({
    unixNow: () => Date.now(),
    monotonicNow: () => performance.now(),
    startTimer: (callback, delayMs) => timers.push([callback, delayMs]),
    stopTimer: () => undefined,
  });
  try {
    const slow = new ReadableStream({
      start: (stream) => stream.enqueue(new Uint8Array(10)),
      cancel: () => void (cancelled = true),
    });
    const answer = deliver({ verify: standardWebhooks(SECRET), timeoutMs: 5000 }, signed(), slow);
    while (timers.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(timers[0][1], 5000);
    timers[0][0]();
    const { status, reasons } = await answer;
    assert.deepEqual([status, reasons[0].code, cancelled], [400, "ERR_TIMEOUT", true]);
  } finally {
    replaceClock();
  }
});

test("options of verifiers are checked when they are created, and secrets are not shown", () => {
  const base64 = (bytes) => Buffer.alloc(bytes, 7).toString("base64");
  const bad = [
    () => standardWebhooks(),
    () => standardWebhooks([]),
    () => standardWebhooks(Array(17).fill(SECRET)),
    () => standardWebhooks("whsec_tooshort"),
    () => standardWebhooks(`whsec_${base64(23)}`),
    () => standardWebhooks(`whsec_${base64(65)}`),
    () => standardWebhooks(base64(32)),
    () => standardWebhooks("whsec_!!!not base64!!!"),
    () => standardWebhooks(`whpk_${base64(31)}`),
    () => standardWebhooks(`whsk_${base64(33)}`),
    () => standardWebhooks(SECRET, { toleranceMs: "5" }),
    () => standardWebhooks(SECRET, { toleranceMs: 0 }),
    () => github(),
    () => github(""),
    () => github([]),
    () => github(undefined),
    () => github(`whpk_${base64(32)}`),
    () => hmac(),
    () => hmac({ secret: "the-secret", header: "x", encodng: "base64" }),
    () => hmac({ secret: "the-secret", header: "a b" }),
    () => hmac({ secret: "the-secret", header: "x", algorithm: "SHA-1" }),
    () => hmac({ secret: "the-secret", header: "x", encoding: "base32" }),
    () => hmac({ secret: "the-secret", header: "x", prefix: 1 }),
    () => hmac({ secret: "the-secret", header: "x", payload: "body" }),
    () => discord("ab"),
    () => webhook({ verify: [], onEvent() {} }),
    () => webhook({ verify: "the-secret", onEvent() {} }),
    () => webhook({ verify: github, onEvent() {} }),
    () => webhook({ verify: github("s"), onEvent() {}, timeoutMs: 0 }),
  ];
  for (const make of bad)
    assert.throws(make, (error) => {
      assert.equal(error.code, "ERR_INVALID_ARGUMENT");
      assert.doesNotMatch(error.message, /BwcHBw|tooshort|not base64/);
      return true;
    });
});

test("without WebCrypto or Ed25519 a verifier says so when it is created", () => {
  const key = `whpk_${Buffer.alloc(32, 7).toString("base64")}`;
  const { crypto } = globalThis;
  const { SubtleCrypto } = globalThis;
  try {
    Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
    assert.throws(() => github("k"), { code: "ERR_INVALID_ARGUMENT", message: /WebCrypto/ });
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
    globalThis.SubtleCrypto = { supports: (_operation, algorithm) => algorithm !== "Ed25519" };
    assert.throws(() => standardWebhooks(key), { code: "ERR_INVALID_ARGUMENT", message: /Ed25519/ });
    assert.ok(standardWebhooks(SECRET));
  } finally {
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
    globalThis.SubtleCrypto = SubtleCrypto;
  }
});

test("where only a try shows that there is no Ed25519, a delivery is a failure that says so", async (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  const unknown = Object.assign(new Error("Unrecognized name"), { name: "NotSupportedError" });
  t.mock.method(crypto.subtle, "importKey", async () => Promise.reject(unknown));
  const verify = standardWebhooks(`whpk_${Buffer.alloc(32, 8).toString("base64")}`);
  await new Promise((resolve) => setImmediate(resolve));
  assert.match(warn.mock.calls[0].arguments[0], /no Ed25519/);
  const signature = `v1a,${Buffer.alloc(64).toString("base64")}`;
  const { status, errors } = await deliver({ verify }, { ...signed(), "webhook-signature": signature });
  assert.equal(status, 500);
  assert.match(errors[0].message, /no Ed25519/);
});

test("a secret in a page is warned of once", (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  globalThis.document = {};
  try {
    for (let at = 0; at < 3; at++) standardWebhooks(SECRET);
    assert.equal(warn.mock.callCount(), 1);
    assert.match(warn.mock.calls[0].arguments[0], /secret/);
  } finally {
    delete globalThis.document;
  }
});
