/**
 * The OAuth endpoints of Salesforce: tokens for the four flows that need no page, with the refusals of the real ones.
 *
 * ```text
 *   POST /services/oauth2/token        grant_type = password | refresh_token | client_credentials | …:jwt-bearer
 *   POST /services/oauth2/revoke       token
 *   GET  /services/oauth2/userinfo     and /id/<organization>/<user>: who a token is of
 * ```
 *
 * Without accounts everybody may come in who names what the flow needs. Secrets are compared and never kept.
 */
import { readBody } from "../../systems/cloudevents/body.js";
import { FerryError } from "../../engine/errors.js";
import { USER_ID } from "./channels.js";
import { json } from "./json.js";
import { ORGANIZATION_ID, type AccessToken, type Tokens, identityUrl } from "./tokens.js";
import { formatValue } from "../../engine/messages.js";

/** Who may log in, and with what. What is left out is not asked for. */
export interface SalesforceAccount {
  username: string;
  password?: string;
  /** Appended to the password by those who log in. */
  securityToken?: string;
  /** Key of the connected app: `client_id`, and the issuer of a JWT. */
  consumerKey?: string;
  consumerSecret?: string;
  /** Good until it is revoked, or replaced where refresh tokens rotate. */
  refreshToken?: string;
  /** Checks the signature of a JWT: an RSASSA-PKCS1-v1_5 SHA-256 key as JSON Web Key. */
  publicKey?: JsonWebKey;
}

/** A request for a token, as it was kept. */
export interface SalesforceLogin {
  readonly grantType: string;
  readonly username: string | undefined;
  readonly consumerKey: string | undefined;
  /** Why it was refused: `invalid_grant` and the like. */
  readonly error: string | undefined;
}

interface Admitted {
  username: string;
  /** Where refresh tokens rotate. */
  refreshToken?: string;
}

/** A refusal as the endpoint words it. */
class Refusal extends Error {
  readonly code: string;
  constructor(code: string, description: string) {
    super(description);
    this.code = code;
  }
}

const JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** Salesforce wants three minutes; clocks differ. */
const MAX_ASSERTION_SECONDS = 5 * 60;
const AUDIENCES: readonly string[] = ["https://login.salesforce.com", "https://test.salesforce.com"];
/** Whose tokens are that the emulator does not know, where everybody may come in. */
const STRANGER = "user@example.com";
const MAX_LOGINS = 1000;
const MAX_BODY_BYTES = 32 * 1024;

/** The endpoints below `/services/oauth2`. */
export class OAuth {
  readonly #accounts: readonly SalesforceAccount[] | undefined;
  readonly #rotates: boolean;
  readonly #tokens: Tokens;
  readonly #now: () => number;
  readonly logins: SalesforceLogin[] = [];

  constructor(accounts: readonly SalesforceAccount[] | undefined, rotates: boolean, tokens: Tokens, now: () => number) {
    this.#accounts = accounts?.map((account) => {
      if (typeof account?.username !== "string" || account.username === "")
        throw new FerryError(
          "ERR_INVALID_ARGUMENT",
          `an account has a username, not ${formatValue(account?.username)}`,
        );
      return { ...account };
    });
    this.#rotates = rotates;
    this.#tokens = tokens;
    this.#now = now;
    for (const { username, refreshToken } of this.#accounts ?? [])
      if (refreshToken !== undefined) tokens.issueRefresh(username, refreshToken);
  }

  /** Answers what is below `/services/oauth2/` and `/id/`. `base` is where the service stands for this caller. */
  async handle(request: Request, endpoint: string, base: string): Promise<Response> {
    if (endpoint === "userinfo" || endpoint === "id") return this.#whoIs(request, base);
    if (request.method !== "POST")
      return json(405, { error: "invalid_request", error_description: "must use HTTP POST" }, { allow: "POST" });
    const form = await formOf(request);
    if (endpoint === "revoke") {
      return this.#tokens.revoke(form.get("token") ?? "")
        ? new Response(null, { status: 200 })
        : json(400, { error: "unsupported_token_type", error_description: "this token is not supported" });
    }
    return this.#token(form, request, base);
  }

  async #token(form: URLSearchParams, request: Request, base: string): Promise<Response> {
    const [basicKey, basicSecret] = basic(request.headers.get("authorization"));
    const grantType = form.get("grant_type") ?? "";
    const consumerKey = form.get("client_id") ?? basicKey;
    const attempt = { grantType, username: form.get("username") ?? undefined, consumerKey };
    try {
      const secret = form.get("client_secret") ?? basicSecret;
      const { username, refreshToken } = await this.#admit(form, consumerKey, secret, base);
      this.#note({ ...attempt, username, error: undefined });
      return json(200, await tokenAnswer(this.#tokens.issue(username), base, secret, refreshToken));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#note({ ...attempt, error: error.code });
      return json(400, { error: error.code, error_description: error.message });
    }
  }

  async #admit(
    form: URLSearchParams,
    consumerKey: string | undefined,
    secret: string | undefined,
    base: string,
  ): Promise<Admitted> {
    const grantType = form.get("grant_type");
    if (!grantType) throw new Refusal("invalid_request", "grant type is missing");
    if (grantType === JWT_GRANT) return { username: await this.#assertion(form.get("assertion") ?? "", base) };
    if (!["password", "refresh_token", "client_credentials"].includes(grantType))
      throw new Refusal("unsupported_grant_type", "grant type not supported");

    const accounts = this.#accounts;
    const ofApp = accounts?.filter(
      (account) => account.consumerKey === undefined || account.consumerKey === consumerKey,
    );
    if (!consumerKey || ofApp?.length === 0) throw new Refusal("invalid_client_id", "client identifier invalid");
    // A public client refreshes without a secret.
    const isPublic = grantType === "refresh_token" && secret === undefined;
    const known = isPublic
      ? ofApp
      : ofApp?.filter((account) => account.consumerSecret === undefined || account.consumerSecret === secret);
    if ((!secret && !isPublic) || known?.length === 0)
      throw new Refusal("invalid_client", "invalid client credentials");

    if (grantType === "client_credentials") return { username: known?.[0]?.username ?? STRANGER };
    if (grantType === "refresh_token") return this.#refresh(form.get("refresh_token") ?? "", known);
    const username = form.get("username") ?? "";
    const password = form.get("password") ?? "";
    const isGood = known
      ? known.some((account) => account.username === username && fits(account, password))
      : username !== "" && password !== "";
    if (!isGood) throw new Refusal("invalid_grant", "authentication failure");
    return { username };
  }

  #refresh(refreshToken: string, known: readonly SalesforceAccount[] | undefined): Admitted {
    const username = refreshToken === "" ? undefined : this.#tokens.userOf(refreshToken, known ? undefined : STRANGER);
    if (username === undefined || (known && !known.some((account) => account.username === username)))
      throw new Refusal("invalid_grant", "expired access/refresh token");
    if (!this.#rotates) return { username };
    this.#tokens.revoke(refreshToken);
    return { username, refreshToken: this.#tokens.issueRefresh(username) };
  }

  /** The user of a JWT that a connected app has signed for them. */
  async #assertion(assertion: string, base: string): Promise<string> {
    const invalid = new Refusal("invalid_grant", "invalid assertion");
    const [head, body, signature, ...more] = assertion.split(".");
    if (!head || !body || !signature || more.length > 0) throw invalid;
    let claims: { iss?: unknown; sub?: unknown; aud?: unknown; exp?: unknown };
    try {
      if (JSON.parse(utf8(base64Url(head))).alg !== "RS256") throw invalid;
      claims = JSON.parse(utf8(base64Url(body)));
    } catch {
      throw invalid;
    }
    const seconds = this.#now() / 1000;
    if (typeof claims.exp !== "number" || claims.exp <= seconds || claims.exp > seconds + MAX_ASSERTION_SECONDS)
      throw invalid;
    if (![base, new URL(base).origin, ...AUDIENCES].includes(String(claims.aud)))
      throw new Refusal("invalid_grant", "Audience validation failed");
    const known = this.#accounts?.filter(
      (account) => account.consumerKey === undefined || account.consumerKey === claims.iss,
    );
    if (typeof claims.iss !== "string" || known?.length === 0)
      throw new Refusal("invalid_client_id", "client identifier invalid");
    const account = known?.find(({ username }) => username === claims.sub);
    if (typeof claims.sub !== "string" || (known && !account))
      throw new Refusal("invalid_grant", "user hasn't approved this consumer");
    if (account?.publicKey && !(await isSigned(account.publicKey, `${head}.${body}`, signature))) throw invalid;
    return claims.sub;
  }

  #whoIs(request: Request, base: string): Response {
    const token = this.#tokens.find(request.headers.get("authorization") ?? "");
    if (!token)
      return new Response("Bad_OAuth_Token", { status: 403, headers: { "content-type": "text/html;charset=UTF-8" } });
    return json(200, {
      id: identityUrl(base),
      user_id: USER_ID,
      organization_id: ORGANIZATION_ID,
      username: token.username,
      preferred_username: token.username,
    });
  }

  #note(login: SalesforceLogin): void {
    this.logins.push(login);
    if (this.logins.length > MAX_LOGINS) this.logins.shift();
  }
}

function fits({ password, securityToken = "" }: SalesforceAccount, sent: string): boolean {
  return password === undefined || sent === password + securityToken;
}

async function tokenAnswer(
  { accessToken, issuedAt }: AccessToken,
  base: string,
  secret: string | undefined,
  refreshToken: string | undefined,
): Promise<object> {
  const id = identityUrl(base);
  return {
    access_token: accessToken,
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    signature: await signature(secret, id + issuedAt),
    scope: "api refresh_token",
    instance_url: base,
    id,
    token_type: "Bearer",
    issued_at: String(issuedAt),
  };
}

/** HMAC-SHA256 in Base64; of an empty secret there is none. */
async function signature(secret: string | undefined, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode(secret || "none"),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)))));
}

async function isSigned(publicKey: JsonWebKey, text: string, signature: string): Promise<boolean> {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("jwk", publicKey, algorithm, false, ["verify"]);
  try {
    return await crypto.subtle.verify(algorithm, key, base64Url(signature), new TextEncoder().encode(text));
  } catch {
    return false; // no Base64
  }
}

async function formOf(request: Request): Promise<URLSearchParams> {
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(request.headers.get("content-type") ?? "");
  const body = utf8(await readBody(request, { maxBytes: MAX_BODY_BYTES }));
  return new URLSearchParams(isForm ? body : "");
}

/** Key and secret of HTTP Basic. */
function basic(authorization: string | null): (string | undefined)[] {
  const [, encoded] = /^basic\s+(\S+)$/i.exec(authorization ?? "") ?? [];
  if (encoded === undefined) return [];
  try {
    const [, key, secret] = /^([^:]*):(.*)$/s.exec(atob(encoded)) ?? [];
    return [key && decodeURIComponent(key), secret && decodeURIComponent(secret)];
  } catch {
    return [];
  }
}

function base64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
