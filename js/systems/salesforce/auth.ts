/** How to log in to Salesforce. Requests and answers are read and written in `src/salesforce/auth.rs`; here is what needs the platform: signing. */
import { FerryError } from "../../engine/errors.js";
import { checkNames, checkedUrl } from "../../client/options.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** Where to log in. */
export interface LoginHost {
  /** Log in at test.salesforce.com. @default false */
  sandbox?: boolean;
  /** The host to log in at instead: My Domain, an Experience Cloud site, or a proxy. Without a path, or the whole address of the token endpoint. */
  loginUrl?: string | URL;
}

export interface PasswordOptions extends LoginHost {
  consumerKey: string;
  consumerSecret: string;
  username: string;
  password: string;
  /** Appended to the password, as Salesforce wants it from addresses that it does not trust. */
  securityToken?: string;
}

export interface RefreshTokenOptions extends LoginHost {
  consumerKey: string;
  /** Public clients have none. */
  consumerSecret?: string;
  refreshToken: string;
  /** Salesforce may replace the refresh token at each login; the one before does not work any more then. Keep the new one. */
  onRefreshToken?(refreshToken: string): void;
}

export interface ClientCredentialsOptions extends LoginHost {
  consumerKey: string;
  consumerSecret: string;
  /** My Domain: the general hosts do not take this flow. */
  loginUrl: string | URL;
}

export interface JwtBearerOptions extends LoginHost {
  consumerKey: string;
  username: string;
  /** The RSA key whose certificate the connected app has: PKCS #8 in PEM, or a key that may sign with RSASSA-PKCS1-v1_5 and SHA-256. */
  privateKey: string | CryptoKey;
  /** @default the general login host, which is right unless the organisation is in a government cloud or logs in at a site */
  audience?: string;
}

export interface SessionOptions {
  accessToken: string;
  instanceUrl: string | URL;
}

/** Numbers of the flows in `src/wasm/config.rs`. */
const FLOWS = { password: 0, refreshToken: 1, clientCredentials: 2, jwtBearer: 3, session: 4 } as const;

interface Inside {
  config: Record<string, unknown>;
  privateKey?: string | CryptoKey;
  onRefreshToken?: ((refreshToken: string) => void) | undefined;
}

const insides = new WeakMap<SalesforceAuth, Inside>();

/** A way to log in. It shows nothing of what is in it. */
export class SalesforceAuth {
  readonly flow: keyof typeof FLOWS;

  /** @internal */
  constructor(flow: keyof typeof FLOWS, inside: Inside) {
    this.flow = flow;
    insides.set(this, { ...inside, config: { ...inside.config, flow: FLOWS[flow] } });
    Object.freeze(this);
  }
}

/** What is in it, for the client. */
export function insideOf(auth: unknown): Inside {
  const inside = insides.get(auth as SalesforceAuth);
  if (!inside)
    throw invalidArgument(
      "auth is what passwordAuth, refreshTokenAuth, clientCredentialsAuth, jwtBearerAuth or sessionAuth give",
    );
  return inside;
}

/** User name and password: simple, discouraged by Salesforce, and blocked in many organisations. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function passwordAuth(options: PasswordOptions): SalesforceAuth {
  checkNames("passwordAuth", options, [
    "consumerKey",
    "consumerSecret",
    "username",
    "password",
    "securityToken",
    "sandbox",
    "loginUrl",
  ]);
  checkTexts(options, ["consumerKey", "consumerSecret", "username", "password"], ["securityToken"]);
  const { consumerKey, consumerSecret, username, password, securityToken = "" } = options;
  return new SalesforceAuth("password", {
    config: { consumerKey, consumerSecret, username, token: password + securityToken, tokenUrl: tokenUrl(options) },
  });
}

/** A refresh token of an earlier login in a browser. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function refreshTokenAuth(options: RefreshTokenOptions): SalesforceAuth {
  checkNames("refreshTokenAuth", options, [
    "consumerKey",
    "consumerSecret",
    "refreshToken",
    "onRefreshToken",
    "sandbox",
    "loginUrl",
  ]);
  checkTexts(options, ["consumerKey", "refreshToken"], ["consumerSecret"]);
  const { consumerKey, consumerSecret, refreshToken: token, onRefreshToken } = options;
  if (onRefreshToken !== undefined && typeof onRefreshToken !== "function")
    throw invalidArgument(`onRefreshToken is a function, not ${formatValue(onRefreshToken)}`);
  return new SalesforceAuth("refreshToken", {
    config: { consumerKey, consumerSecret, token, tokenUrl: tokenUrl(options) },
    onRefreshToken,
  });
}

/** The connected app itself, as the user that it is set up to run as. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function clientCredentialsAuth(options: ClientCredentialsOptions): SalesforceAuth {
  checkNames("clientCredentialsAuth", options, ["consumerKey", "consumerSecret", "loginUrl", "sandbox"]);
  checkTexts(options, ["consumerKey", "consumerSecret"], []);
  if (options.loginUrl === undefined)
    throw invalidArgument(
      "clientCredentialsAuth needs loginUrl, the address of My Domain: the general login hosts do not take this flow",
    );
  const { consumerKey, consumerSecret } = options;
  return new SalesforceAuth("clientCredentials", {
    config: { consumerKey, consumerSecret, tokenUrl: tokenUrl(options) },
  });
}

/** A statement signed with a key: no password, no person. The key is used by the crypto of the platform and never leaves it. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function jwtBearerAuth(options: JwtBearerOptions): SalesforceAuth {
  checkNames("jwtBearerAuth", options, ["consumerKey", "username", "privateKey", "audience", "sandbox", "loginUrl"]);
  checkTexts(options, ["consumerKey", "username"], ["audience"]);
  const { consumerKey, username, privateKey, audience, sandbox } = options;
  if (
    typeof privateKey === "string"
      ? !/-----BEGIN PRIVATE KEY-----/.test(privateKey)
      : (privateKey as CryptoKey | undefined)?.type !== "private"
  ) {
    throw invalidArgument(
      "privateKey is an RSA key in PEM (PKCS #8, it begins with -----BEGIN PRIVATE KEY-----) or a private CryptoKey",
    );
  }
  return new SalesforceAuth("jwtBearer", {
    config: { consumerKey, username, audience: audience ?? generalHost(sandbox), tokenUrl: tokenUrl(options) },
    privateKey,
  });
}

/** A session that somebody else has made. When it ends, so does the client. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function sessionAuth(options: SessionOptions): SalesforceAuth {
  checkNames("sessionAuth", options, ["accessToken", "instanceUrl"]);
  checkTexts(options, ["accessToken"], []);
  return new SalesforceAuth("session", {
    config: { token: options.accessToken, instanceUrl: checkedUrl(options.instanceUrl, "instanceUrl") },
  });
}

/** Signs claims as a JWT with RS256. */
export async function sign(claims: string, privateKey: string | CryptoKey): Promise<string> {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key =
    typeof privateKey === "string"
      ? await crypto.subtle.importKey("pkcs8", pemBytes(privateKey), algorithm, false, ["sign"])
      : privateKey;
  const head = `${base64url(encoder.encode('{"alg":"RS256"}'))}.${base64url(encoder.encode(claims))}`;
  const signature = await crypto.subtle.sign(algorithm, key, encoder.encode(head));
  return `${head}.${base64url(new Uint8Array(signature))}`;
}

const encoder = new TextEncoder();

function pemBytes(pem: string): Uint8Array<ArrayBuffer> {
  const base64 = /-----BEGIN PRIVATE KEY-----([^-]*)-----END/.exec(pem)?.[1] ?? "";
  return Uint8Array.from(atob(base64.replace(/\s/g, "")), (char) => char.charCodeAt(0));
}

function base64url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

/** The values are secrets: they are not shown. */
function checkTexts(options: object, required: readonly string[], optional: readonly string[]): void {
  const all = options as Record<string, unknown>;
  for (const name of [...required, ...optional]) {
    const isGood = typeof all[name] === "string" && all[name] !== "";
    if (!isGood && (required.includes(name) || all[name] !== undefined))
      throw new FerryError("ERR_INVALID_ARGUMENT", `${name} is a string that is not empty`);
  }
  const { sandbox } = options as LoginHost;
  if (sandbox !== undefined && typeof sandbox !== "boolean")
    throw invalidArgument(`sandbox is true or false, not ${formatValue(sandbox)}`);
}

function generalHost(sandbox: boolean | undefined): string {
  return sandbox ? "https://test.salesforce.com" : "https://login.salesforce.com";
}

function tokenUrl({ loginUrl, sandbox }: LoginHost): string {
  const url = new URL(checkedUrl(loginUrl ?? generalHost(sandbox), "loginUrl"));
  if (url.pathname.endsWith("/token")) return url.href;
  return `${url.origin}${url.pathname.replace(/\/$/, "")}/services/oauth2/token`;
}
