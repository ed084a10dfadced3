// Signed web hooks: the libraries of the services sign for `webhook`, and check what our signer signs.
import assert from "node:assert/strict";
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign as nodeSign,
  verify as nodeVerify,
} from "node:crypto";
import { sign as octokitSign } from "@octokit/webhooks-methods";
import { Webhooks } from "@octokit/webhooks";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import * as eventferry from "../../dist/entries/cloudevents.js";
import { Tally } from "../tally.mjs";

const { discord, github, hmac, shopify, slack, standardWebhooks, stripe, webhook } = eventferry;
const tally = new Tally();
const event = new eventferry.CloudEvent({ type: "com.example.made", source: "/shops/7", data: { text: "Euro € 😀" } });
const { headers: eventHeaders, body } = eventferry.toStructured(event);

/** The status for a delivery with these headers, and the reason if it was refused. */
async function deliver(verify, headers, text = body) {
  const seen = [];
  const handle = webhook({
    verify,
    onEvent: (event) => void seen.push(event.id),
    onRejected: ({ message }) => seen.push(message),
  });
  const request = new Request("https://example.com/", {
    method: "POST",
    headers: { ...eventHeaders, ...headers },
    body: text,
  });
  const { status } = await handle(request);
  return [status, seen[0]];
}
const accepted = [204, event.id];
const secret = `whsec_${randomBytes(32).toString("base64")}`;
const oldSecret = `whsec_${randomBytes(24).toString("base64")}`;
const seconds = () => Math.floor(Date.now() / 1000);

for (const [name, Library, prefix] of [
  ["standardwebhooks", StandardWebhook, "webhook"],
  ["svix", SvixWebhook, "svix"],
]) {
  await tally.check(`${name} signs, eventferry verifies`, async () => {
    const library = new Library(secret);
    const at = new Date();
    const headers = {
      [`${prefix}-id`]: "msg_1",
      [`${prefix}-timestamp`]: String(Math.floor(at.getTime() / 1000)),
      [`${prefix}-signature`]: library.sign("msg_1", at, body),
    };
    assert.deepEqual(await deliver(standardWebhooks(secret), headers), accepted);
    assert.deepEqual(await deliver(standardWebhooks([oldSecret, secret]), headers), accepted);
    assert.equal((await deliver(standardWebhooks(oldSecret), headers))[0], 401);
    assert.equal((await deliver(standardWebhooks(secret), headers, body.replace("Euro", "Dime")))[0], 401);
  });

  await tally.check(`eventferry signs, ${name} verifies`, async () => {
    const headers = await standardWebhooks([oldSecret, secret]).sign({ id: "msg_1", body: Buffer.from(body) });
    for (const key of [oldSecret, secret]) assert.deepEqual(new Library(key).verify(body, headers), JSON.parse(body));
    assert.throws(() => new Library(secret).verify(`${body} `, headers));
  });
}

await tally.check("v1a: Node's Ed25519 signs and verifies what eventferry verifies and signs", async () => {
  const seed = randomBytes(32);
  const privateKey = createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
    format: "der",
    type: "pkcs8",
  });
  const publicKey = createPublicKey(privateKey);
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
  const content = (timestamp) => Buffer.from(`msg_1.${timestamp}.${body}`);
  const timestamp = String(seconds());
  const signature = nodeSign(null, content(timestamp), privateKey).toString("base64");
  const headers = { "webhook-id": "msg_1", "webhook-timestamp": timestamp, "webhook-signature": `v1a,${signature}` };
  const forms = [`whpk_${raw.toString("base64")}`, `whsk_${seed.toString("base64")}`];
  forms.push(`whsk_${Buffer.concat([seed, raw]).toString("base64")}`);
  for (const key of forms) assert.deepEqual(await deliver(standardWebhooks(key), headers), accepted);
  const changed = { ...headers, "webhook-id": "msg_2" };
  for (const key of forms) assert.equal((await deliver(standardWebhooks(key), changed))[0], 401);
  for (const key of forms.slice(1)) {
    const signed = await standardWebhooks(key).sign({ id: "msg_1", body: Buffer.from(body) });
    const [version, base64] = signed["webhook-signature"].split(",");
    assert.equal(version, "v1a");
    const bytes = content(signed["webhook-timestamp"]);
    assert.ok(nodeVerify(null, bytes, publicKey, Buffer.from(base64, "base64")));
  }
  // The public key as the secret of a signature of the other version.
  const forged = createHmac("sha256", raw).update(content(timestamp)).digest("base64");
  const confusion = { ...headers, "webhook-signature": `v1,${forged}` };
  assert.equal((await deliver(standardWebhooks(forms[0]), confusion))[0], 401);
});

await tally.check("@octokit/webhooks signs, eventferry verifies", async () => {
  const webhooks = new Webhooks({ secret: "It's a secret" });
  const headers = { "x-hub-signature-256": await webhooks.sign(body) };
  assert.equal(headers["x-hub-signature-256"], await octokitSign("It's a secret", body));
  assert.deepEqual(await deliver(github("It's a secret"), headers), accepted);
  assert.deepEqual(await deliver(github(["new", "It's a secret"]), headers), accepted);
  assert.equal((await deliver(github("another"), headers))[0], 401);
  const old = createHmac("sha1", "It's a secret").update(body).digest("hex");
  assert.equal((await deliver(github("It's a secret"), { "x-hub-signature": `sha1=${old}` }))[0], 401);
});

await tally.check("stripe signs, eventferry verifies", async () => {
  const library = new Stripe("sk_test_invented");
  const header = (timestamp) => library.webhooks.generateTestHeaderString({ payload: body, secret, timestamp });
  assert.deepEqual(await deliver(stripe(secret), { "stripe-signature": header(seconds()) }), accepted);
  assert.deepEqual(await deliver(stripe([oldSecret, secret]), { "stripe-signature": header(seconds()) }), accepted);
  const both = `${header(seconds())},v1=${"0".repeat(64)},v0=${"1".repeat(64)}`;
  assert.deepEqual(await deliver(stripe(secret), { "stripe-signature": both }), accepted);
  for (const [timestamp, reason] of [
    [seconds() - 301, /older/],
    [seconds() + 310, /future/],
  ]) {
    const [status, message] = await deliver(stripe(secret), { "stripe-signature": header(timestamp) });
    assert.equal(status, 401);
    assert.match(message, reason);
  }
});

await tally.check("signatures as Shopify, Slack and Discord document them", async () => {
  const digest = (key, text, encoding, algorithm = "sha256") =>
    createHmac(algorithm, key).update(text).digest(encoding);
  assert.deepEqual(
    await deliver(shopify("shpss_x"), { "x-shopify-hmac-sha256": digest("shpss_x", body, "base64") }),
    accepted,
  );
  const timestamp = String(seconds());
  const signed = `v0=${digest("slack-secret", `v0:${timestamp}:${body}`, "hex")}`;
  const headers = { "x-slack-request-timestamp": timestamp, "x-slack-signature": signed };
  assert.deepEqual(await deliver(slack("slack-secret"), headers), accepted);
  assert.equal((await deliver(slack("slack-secret"), { ...headers, "x-slack-request-timestamp": "1" }))[0], 401);
  const custom = hmac({ secret: "k", header: "X-Signature", algorithm: "SHA-512", encoding: "base64", prefix: "s=" });
  assert.deepEqual(await deliver(custom, { "x-signature": `s=${digest("k", body, "base64", "sha512")}` }), accepted);

  const seed = Buffer.alloc(32, 7);
  const key = createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
    format: "der",
    type: "pkcs8",
  });
  const publicKey = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x, "base64url").toString("hex");
  const bytes = nodeSign(null, Buffer.from(timestamp + body), key).toString("hex");
  const discordHeaders = { "x-signature-timestamp": timestamp, "x-signature-ed25519": bytes };
  assert.deepEqual(await deliver(discord(publicKey), discordHeaders), accepted);
  assert.equal((await deliver(discord(publicKey), discordHeaders, `${body} `))[0], 401);
});

tally.finish();
