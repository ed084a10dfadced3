/**
 * Forwards logins. Only known fields of the form go to Salesforce, and only known fields of the token response come
 * back, with the proxy as the instance.
 */
import { Secrets } from "../../../client/redact.js";
import { FerryError, isFerryError } from "../../../engine/errors.js";
import { jsonResponse, textResponse } from "./responses.js";
import { readText, type Upstream } from "./upstream.js";

/** The grant types that the proxy can forward (RFC 6749). */
export const GRANTS: readonly string[] = [
  "password",
  "refresh_token",
  "authorization_code",
  "urn:ietf:params:oauth:grant-type:jwt-bearer",
  "client_credentials",
];

/** Which logins are forwarded, and where to. */
export interface LoginOptions {
  loginUrl: string;
  instanceUrl: string;
  grants: readonly string[];
  /** Fields that the proxy sets, whatever the page sends. */
  fixedFields: Readonly<Record<string, string>>;
  maxRequestBytes: number;
}

const REQUEST_FIELDS = [
  "grant_type",
  "client_id",
  "client_secret",
  "username",
  "password",
  "refresh_token",
  "assertion",
  "code",
  "redirect_uri",
  "code_verifier",
] as const;
const RESPONSE_FIELDS = [
  "access_token",
  "refresh_token",
  "token_type",
  "id",
  "issued_at",
  "signature",
  "scope",
  "error",
  "error_description",
] as const;
const MAX_RESPONSE_BYTES = 64 * 1024;

/** The token endpoint. */
export class LoginProxy {
  readonly #upstream: Upstream;
  readonly #options: LoginOptions;

  constructor(upstream: Upstream, options: LoginOptions) {
    this.#upstream = upstream;
    this.#options = options;
  }

  /** Forwards one token request. `proxyUrl` becomes the instance in the response. */
  async forward(request: Request, proxyUrl: string, onError: (error: unknown) => void): Promise<Response> {
    const { grants, maxRequestBytes } = this.#options;
    if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers.get("content-type") ?? ""))
      return refusal(415, "invalid_request", "content-type must be application/x-www-form-urlencoded");
    let fields: URLSearchParams;
    try {
      fields = new URLSearchParams(await readText(request, maxRequestBytes));
    } catch (error) {
      return isFerryError(error, "ERR_TOO_LARGE")
        ? refusal(413, "invalid_request", "the login is too large")
        : refusal(400, "invalid_request", "the login could not be read");
    }
    if (!grants.includes(fields.get("grant_type") ?? ""))
      return refusal(400, "unsupported_grant_type", "the proxy does not allow this grant type");
    try {
      return await this.#exchange(fields, proxyUrl, request.signal);
    } catch (error) {
      onError(error);
      return isFerryError(error, "ERR_TIMEOUT")
        ? textResponse(504, "Salesforce did not answer in time")
        : textResponse(502, "the login could not be forwarded to Salesforce");
    }
  }

  async #exchange(fields: URLSearchParams, proxyUrl: string, signal: AbortSignal): Promise<Response> {
    const { loginUrl, instanceUrl, fixedFields } = this.#options;
    const form = new URLSearchParams();
    for (const name of REQUEST_FIELDS) {
      const value = fixedFields[name] ?? fields.get(name);
      if (value !== null) form.set(name, value);
    }
    const headers = { "content-type": "application/x-www-form-urlencoded", accept: "application/json" };
    const response = await this.#upstream.post(`${loginUrl}/services/oauth2/token`, headers, String(form), { signal });
    const { instance_url: instance, ...token } = fieldsOf(await readText(response, MAX_RESPONSE_BYTES));
    const forwarded: Record<string, unknown> = {};
    for (const name of RESPONSE_FIELDS) if (token[name] !== undefined) forwarded[name] = token[name];
    if (instance !== undefined) {
      // The page must not get a token of another organization, and that token must not be sent to this instance.
      if (String(instance).replace(/\/+$/, "") !== instanceUrl)
        throw new FerryError("ERR_REJECTED", "the login returned a token of another instance than instanceUrl", {
          status: response.status,
        });
      Object.assign(forwarded, { instance_url: proxyUrl });
    }
    // Salesforce may repeat what it was sent, and the page must not learn the secret of the proxy.
    const secrets = new Secrets();
    if (fixedFields["client_secret"] !== undefined) secrets.add(fixedFields["client_secret"]);
    const body = secrets.redact(JSON.stringify(forwarded));
    return jsonResponse(response.status, body, response.headers.get("retry-after"));
  }
}

function fieldsOf(body: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // The message does not quote the body, which may contain a token.
    throw new FerryError("ERR_UNAVAILABLE", "Salesforce answered the login with something other than JSON");
  }
  if (typeof value !== "object" || value === null)
    throw new FerryError("ERR_UNAVAILABLE", "Salesforce answered the login with something other than an object");
  return value as Record<string, unknown>;
}

function refusal(status: number, error: string, error_description: string): Response {
  return jsonResponse(status, JSON.stringify({ error, error_description }));
}
