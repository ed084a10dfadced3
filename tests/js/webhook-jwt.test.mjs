// Web hooks whose sender shows a JSON Web Token, as Google Pub/Sub push and Entra ID do.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { CloudEvent, toStructured, webhook } from "eventferry/cloudevents";
import { jwt } from "eventferry/jwt";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const ISSUER = "https://accounts.example";
const AUDIENCE = "https://hook.example/events";
const { headers: eventHeaders, body } = toStructured(new CloudEvent({ id: "1", type: "t", source: "/s", data: 1 }));

const issuer = await keyOf("k1");
const stranger = await keyOf("k1");
const jwks = { keys: [issuer.jwk] };

async function keyOf(kid, alg = "RS256") {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

function token(claims = {}, { key = issuer, header = {}, seconds = 300 } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: ISSUER, aud: AUDIENCE, iat: now, exp: now + seconds, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
}

async function deliver(verifier, authorization) {
  const seen = { received: [], reasons: [], errors: [] };
  const handle = webhook({
    verify: verifier,
    onEvent: (event) => void seen.received.push(event.id),
    onRejected: (error) => seen.reasons.push(error.message),
    onError: (error) => seen.errors.push(error),
  });
  const headers = { ...eventHeaders, ...(authorization !== undefined && { authorization }) };
  const response = await handle(new Request(AUDIENCE, { method: "POST", headers, body }));
  return { ...seen, status: response.status };
}

const options = { issuer: ISSUER, audience: AUDIENCE, jwks };

test("a delivery with a token of the issuer is handed on", async () => {
  const { status, received } = await deliver(jwt(options), `Bearer ${await token()}`);
  assert.deepEqual([status, received], [204, ["1"]]);
  const several = jwt({ ...options, issuer: ["https://other.example", ISSUER], audience: ["x", AUDIENCE] });
  assert.equal((await deliver(several, `bearer ${await token()}`)).status, 204);
  const elliptic = await keyOf("k2", "ES256");
  const both = jwt({ ...options, jwks: { keys: [issuer.jwk, elliptic.jwk] } });
  assert.equal((await deliver(both, `Bearer ${await token({}, { key: elliptic })}`)).status, 204);
});

test("a token that is not the expected one is refused with its reason, and without the token", async () => {
  const claims = { email: "push@example.com", email_verified: true };
  const good = { ...claims };
  const cases = [
    [undefined, "the header authorization is missing"],
    ["Basic dTpw", "the header authorization has no bearer token of the expected form"],
    ["Bearer a.b", "the header authorization has no bearer token of the expected form"],
    ["Bearer a.b.c", "the token is not a JSON Web Token"],
    [`Bearer ${"a".repeat(16_384)}.b.c`, "the header authorization is longer than 16384 characters"],
    [`Bearer ${await token(good, { key: stranger })}`, "the signature of the token does not match"],
    [`Bearer ${await token(good, { header: { kid: "k9" } })}`, "the issuer has no key for the token"],
    [`Bearer ${await token(good, { seconds: -120 })}`, "the token has expired"],
    [
      `Bearer ${await token({ ...good, exp: undefined })}`,
      "the claim exp of the token is missing or has another value",
    ],
    [`Bearer ${await token({ ...good, iss: "x" })}`, "the claim iss of the token is missing or has another value"],
    [`Bearer ${await token({ ...good, aud: "x" })}`, "the claim aud of the token is missing or has another value"],
    [`Bearer ${await token({ ...good, email: "x" })}`, "the claim email of the token is missing or has another value"],
    [
      `Bearer ${await token({ ...good, email_verified: "true" })}`,
      "the claim email_verified of the token is missing or has another value",
    ],
    [`Bearer ${await token({ ...good, nbf: Math.floor(Date.now() / 1000) + 120 })}`, "the token is not valid yet"],
  ];
  for (const [authorization, reason] of cases) {
    const result = await deliver(jwt({ ...options, claims }), authorization);
    assert.deepEqual([result.status, result.received, result.reasons], [401, [], [reason]], reason);
  }
  assert.equal(
    (await deliver(jwt({ ...options, claims }), `Bearer ${await token(good, { seconds: -30 })}`)).status,
    204,
  );
});

test("a token that is signed with a shared secret or not at all is refused", async () => {
  const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from("{}").toString("base64url")}.AA`;
  const secret = new TextEncoder().encode(JSON.stringify(issuer.jwk));
  const shared = await new SignJWT({ iss: ISSUER, aud: AUDIENCE })
    .setProtectedHeader({ alg: "HS256", kid: "k1" })
    .setExpirationTime("5m")
    .sign(secret);
  for (const one of [none, shared]) {
    const { status, reasons } = await deliver(jwt(options), `Bearer ${one}`);
    assert.deepEqual([status, reasons], [401, ["the algorithm of the token is not allowed"]]);
  }
});

test("keys are fetched once, and a delivery is answered with 500 while they cannot be fetched", async () => {
  let status = 503;
  let requests = 0;
  const server = createServer((_, response) => {
    requests++;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(jwks));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const verifier = jwt({ ...options, jwks: `http://127.0.0.1:${server.address().port}/keys` });
    const bearer = `Bearer ${await token()}`;
    const failed = await deliver(verifier, bearer);
    assert.deepEqual([failed.status, failed.received, failed.errors.length], [500, [], 1]);
    status = 200;
    for (let turn = 0; turn < 3; turn++) assert.equal((await deliver(verifier, bearer)).status, 204);
    assert.equal(requests, 2);
  } finally {
    server.close();
  }
});

test("keys are fetched with the given fetch", async () => {
  const urls = [];
  const fetch = async (url) => {
    urls.push(String(url));
    return Response.json(jwks);
  };
  const verifier = jwt({ ...options, jwks: "https://accounts.example/keys", fetch });
  assert.equal((await deliver(verifier, `Bearer ${await token()}`)).status, 204);
  assert.deepEqual(urls, ["https://accounts.example/keys"]);
});

test("a time limit with a fraction of a millisecond does not refuse every delivery", async () => {
  const fetch = async () => Response.json(jwks);
  const verifier = jwt({ ...options, jwks: "https://accounts.example/keys", fetch, timeoutMs: 999.5 });
  assert.equal((await deliver(verifier, `Bearer ${await token()}`)).status, 204);
});

test("a fetch that never answers fails its delivery, and the keys are fetched again for the next", async () => {
  let requests = 0;
  const fetch = () => (requests++ === 0 ? new Promise(() => undefined) : Promise.resolve(Response.json(jwks)));
  const verifier = jwt({ ...options, jwks: "https://accounts.example/keys", fetch, timeoutMs: 20 });
  const bearer = `Bearer ${await token()}`;
  const failed = await deliver(verifier, bearer);
  assert.deepEqual([failed.status, failed.received, failed.errors.length], [500, [], 1]);
  assert.equal((await deliver(verifier, bearer)).status, 204);
});

test("bad options of jwt are refused by name", () => {
  const cases = [
    [{ issuer: undefined }, /^issuer must be a non-empty string or a non-empty list of them/],
    [{ audience: [] }, /^audience must be/],
    [{ jwks: "http://accounts.example/keys" }, /^jwks must be an https URL/],
    [{ jwks: { keys: [] } }, /^jwks must be the URL of a JSON Web Key Set/],
    [{ algorithms: ["HS256"] }, /^each of algorithms must be one of RS256/],
    [{ claims: null }, /^claims must be an object/],
    [{ claims: { email: undefined } }, /^claims\.email must be a string, a number or a boolean/],
    [{ claims: { groups: ["a"] } }, /^claims\.groups must be/],
    [{ toleranceMs: -1 }, /^toleranceMs must be/],
    [{ toleranceMs: Infinity }, /^toleranceMs must be/],
    [{ timeoutMs: 0 }, /^timeoutMs must be/],
    [{ fetch: 1 }, /^fetch must be a function/],
    [{ jwk: jwks }, /did you mean "jwks"\?/],
  ];
  for (const [change, message] of cases)
    assert.throws(() => jwt({ ...options, ...change }), { code: "ERR_INVALID_ARGUMENT", message }, String(message));
});
