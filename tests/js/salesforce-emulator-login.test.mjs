// The login of the Salesforce emulator: grants, accounts, refresh tokens, JWT.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEmulator } from "eventferry/testing";
import { isError, login, ORIGIN, overLoopback, PASSWORD } from "./salesforce-emulator-fixtures.mjs";
import { virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

describe("the token endpoint", () => {
  test("supports the password flow, and returns the service as the instance", async () => {
    const { fetch, salesforce } = createEmulator();
    const answer = await login(fetch, PASSWORD);
    assert.equal(answer.status, 200);
    assert.deepEqual(Object.keys(answer).sort(), [
      "access_token",
      "id",
      "instance_url",
      "issued_at",
      "scope",
      "signature",
      "status",
      "token_type",
    ]);
    assert.equal(answer.instance_url, `${ORIGIN}/salesforce`);
    assert.equal(answer.token_type, "Bearer");
    assert.match(answer.access_token, /^00D\w{12}!AQ[\w.]{48}$/);
    assert.equal((await login(fetch, PASSWORD, { base: ORIGIN })).instance_url, ORIGIN);
    assert.deepEqual(salesforce.logins[0], {
      grantType: "password",
      username: "u@example.com",
      consumerKey: "key",
      error: undefined,
    });
    const userInfo = await fetch(`${ORIGIN}/salesforce/services/oauth2/userinfo`, {
      headers: { authorization: `Bearer ${answer.access_token}` },
    });
    assert.equal((await userInfo.json()).username, "u@example.com");
    assert.equal((await fetch(answer.id)).status, 403);
  });

  test("returns the host name that the client used, over a socket", () =>
    overLoopback(async (_emulator, url) => {
      const { instance_url } = await login(fetch, PASSWORD, {
        base: `${url.replace("127.0.0.1", "localhost")}/salesforce`,
      });
      assert.equal(instance_url, `${url.replace("127.0.0.1", "localhost")}/salesforce`);
    }));

  test("signs tokens with the consumer secret", async () => {
    const { fetch } = createEmulator();
    const { id, issued_at, signature } = await login(fetch, PASSWORD);
    const { createHmac } = await import("node:crypto");
    assert.equal(
      signature,
      createHmac("sha256", "secret")
        .update(id + issued_at)
        .digest("base64"),
    );
  });

  test("refuses requests without the fields of their flow", async () => {
    const { fetch, salesforce } = createEmulator();
    const cases = [
      [{}, "invalid_request", "grant type is missing"],
      [{ grant_type: "magic" }, "unsupported_grant_type", "grant type not supported"],
      [{ ...PASSWORD, client_id: "" }, "invalid_client_id", "client identifier invalid"],
      [{ ...PASSWORD, client_secret: "" }, "invalid_client", "invalid client credentials"],
      [{ ...PASSWORD, password: "" }, "invalid_grant", "authentication failure"],
      [{ grant_type: "refresh_token", client_id: "key" }, "invalid_grant", "expired access/refresh token"],
      [
        { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: "a.b" },
        "invalid_grant",
        "invalid assertion",
      ],
    ];
    for (const [fields, error, error_description] of cases)
      assert.deepEqual(await login(fetch, fields), { status: 400, error, error_description });
    assert.equal(salesforce.logins.at(-1).error, "invalid_grant");
    assert.equal((await fetch(`${ORIGIN}/salesforce/services/oauth2/token`)).status, 405);
    const noForm = await fetch(`${ORIGIN}/salesforce/services/oauth2/token`, {
      method: "POST",
      body: JSON.stringify(PASSWORD),
      headers: { "content-type": "application/json" },
    });
    assert.equal((await noForm.json()).error, "invalid_request");
  });

  test("accepts only the configured accounts", async () => {
    const account = {
      username: "u@example.com",
      password: "pw",
      securityToken: "TOKEN",
      consumerKey: "key",
      consumerSecret: "secret",
      refreshToken: "r1",
    };
    const { fetch } = createEmulator({ salesforce: { accounts: [account] } });
    const error = async (fields) => (await login(fetch, fields)).error;
    const good = { ...PASSWORD, password: "pwTOKEN" };
    assert.equal(await error(good), undefined);
    assert.equal(await error(PASSWORD), "invalid_grant");
    assert.equal(await error({ ...good, username: "other" }), "invalid_grant");
    assert.equal(await error({ ...good, client_id: "other" }), "invalid_client_id");
    assert.equal(await error({ ...good, client_secret: "other" }), "invalid_client");
    const refresh = { grant_type: "refresh_token", client_id: "key", refresh_token: "r1" };
    assert.equal(await error(refresh), undefined);
    assert.equal(await error({ ...refresh, client_secret: "other" }), "invalid_client");
    assert.equal(await error({ ...refresh, refresh_token: "r2" }), "invalid_grant");
    assert.equal(
      await error({ grant_type: "client_credentials", client_id: "key", client_secret: "secret" }),
      undefined,
    );
    assert.throws(() => createEmulator({ salesforce: { accounts: [{}] } }), isError("ERR_INVALID_ARGUMENT"));
  });

  test("accepts refresh tokens until they are revoked or replaced, and client credentials in HTTP Basic", async () => {
    const { fetch } = createEmulator({ salesforce: { rotateRefreshTokens: true } });
    const refresh = (token) =>
      login(
        fetch,
        { grant_type: "refresh_token", refresh_token: token },
        { headers: { authorization: `Basic ${btoa("a%20key:secret")}` } },
      );
    const first = await refresh("r1");
    assert.equal(first.status, 200);
    assert.equal((await refresh("r1")).error, "invalid_grant");
    const second = await refresh(first.refresh_token);
    assert.equal(second.status, 200);
    const revoke = (token) =>
      fetch(`${ORIGIN}/salesforce/services/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token }) });
    assert.equal((await revoke(second.refresh_token)).status, 200);
    assert.equal((await revoke("unknown")).status, 400);
    assert.equal((await refresh(second.refresh_token)).error, "invalid_grant");
  });

  test("accepts a JWT that the connected app has signed", async () => {
    const { publicKey, privateKey } = await crypto.subtle.generateKey(
      { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
      true,
      ["sign", "verify"],
    );
    const account = {
      username: "u@example.com",
      consumerKey: "key",
      publicKey: await crypto.subtle.exportKey("jwk", publicKey),
    };
    const { fetch } = createEmulator({ salesforce: { accounts: [account] } });
    const seconds = virtualClock().unixNow() / 1000;
    const errorOf = async (changes = {}, { header = { alg: "RS256" }, spoil = false } = {}) => {
      const claims = {
        iss: "key",
        sub: "u@example.com",
        aud: "https://login.salesforce.com",
        exp: seconds + 180,
        ...changes,
      };
      const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
      const signature = Buffer.from(
        await crypto.subtle.sign("RSASSA-PKCS1-v1_5", privateKey, Buffer.from(spoil ? `${text} ` : text)),
      ).toString("base64url");
      const { status, error_description } = await login(fetch, {
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: `${text}.${signature}`,
      });
      return error_description ?? status;
    };
    assert.equal(await errorOf(), 200);
    assert.equal(await errorOf({ aud: `${ORIGIN}/salesforce` }), 200);
    assert.equal(await errorOf({ aud: "https://elsewhere.example" }), "Audience validation failed");
    assert.equal(await errorOf({ exp: seconds }), "invalid assertion");
    assert.equal(await errorOf({ exp: seconds + 3600 }), "invalid assertion");
    assert.equal(await errorOf({ iss: "other" }), "client identifier invalid");
    assert.equal(await errorOf({ sub: "other" }), "user hasn't approved this consumer");
    assert.equal(await errorOf({}, { spoil: true }), "invalid assertion");
    assert.equal(await errorOf({}, { header: { alg: "none" } }), "invalid assertion");
  });
});
