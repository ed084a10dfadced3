/**
 * The connection to the management API: its options, and one request. `src/wasm/management.rs` builds the request and
 * reads the response. The personal access token appears in the requests and nowhere else.
 */
import { glassflowManagement } from "../../../engine/modules/glassflow-management.js";
import { aborted, type ClientOptions, checkClientOptions, headerLines } from "../../../client/options.js";
import { DEFAULT_TIMEOUT_MS } from "../../../client/options.js";
import { Secrets } from "../../../client/redact.js";
import { withLimits } from "../../../client/time-limit.js";
import { codeOf, FerryError, type FerryErrorCode, sentenceOf, traced } from "../../../engine/errors.js";
import { invalidArgument, mustBe } from "../../../engine/messages.js";
import { isPage } from "../../../platform/crypto.js";
import { fetchWhole } from "../../../platform/fetch.js";
import { warnOnce } from "../../../platform/warn.js";
import { TextEncoder } from "../../../platform/text.js";
import { checkCallOptions, checkedBaseUrl, type PipelineCallOptions } from "../options.js";
import { detailOf } from "../response-detail.js";
import { checkToken, resolveToken, TOKEN_TYPE, type TokenOption } from "../token.js";
import type { Operation } from "./operations.js";

/** How to reach the management API. For servers only: the token manages everything. */
export interface ManagementOptions extends ClientOptions {
  /**
   * The personal access token, or a function that returns it and is called before each request. It manages everything
   * that its owner has, so it must never reach a page.
   */
  personalAccessToken: TokenOption;
  /** Id of the organization. @default the home organization of the owner of the token */
  organizationId?: string;
  /** URL that `/pipelines`, `/spaces` and `/secrets` are appended to. @default "https://api.glassflow.dev/v1" */
  baseUrl?: string | URL;
}

/** Options of one call to the management API. */
export interface ManagementCallOptions extends PipelineCallOptions {}

/** What a call does, for its errors. */
export interface Action {
  /** `fetch pipeline "x"`. */
  what: string;
  /** Sentences instead of those of the codes. */
  sentences?: Partial<Record<FerryErrorCode, string>>;
  /** What the request has besides the token that no message may show. */
  secrets?: readonly string[];
}

/** The names of the options of a connection beside those of all clients. */
export const CONNECTION_OPTIONS = ["personalAccessToken", "organizationId", "baseUrl"] as const;

/** A larger response is not read. */
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;
const TOKEN = "personalAccessToken";

export class ManagementConnection {
  /** Without a slash at the end. */
  readonly baseUrl: string;
  readonly #options: ManagementOptions;

  /**
   * @param owner the class that has the options, for messages
   * @param names the options that the class has besides those of a connection
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  constructor(owner: string, options: ManagementOptions, names: readonly string[]) {
    checkClientOptions(owner, options, [...CONNECTION_OPTIONS, ...names]);
    const { personalAccessToken: token, organizationId } = options;
    if (token === undefined) throw mustBe(TOKEN, TOKEN_TYPE, undefined);
    if (typeof token !== "function") checkToken(TOKEN, token);
    if (organizationId !== undefined && (typeof organizationId !== "string" || organizationId === ""))
      throw mustBe("organizationId", "a non-empty string", organizationId);
    this.baseUrl = checkedBaseUrl(options.baseUrl);
    this.#options = { ...options };
    if (isPage())
      warnOnce(
        `${owner} is used in a page, where everybody can read its personalAccessToken, which manages all pipelines; ` +
          "use it on a server",
      );
  }

  /** The options that clients of a pipeline share with this connection. */
  get clientOptions(): ClientOptions & { baseUrl: string } {
    const { fetch, signal, timeoutMs, headers } = this.#options;
    return {
      baseUrl: this.baseUrl,
      ...(fetch && { fetch }),
      ...(signal && { signal }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(headers && { headers }),
    };
  }

  /**
   * Makes a request. Resolves with the response, whose shape follows from the operation.
   *
   * @throws {FerryError}
   */
  run<T>(action: Action, operation: Operation, options: ManagementCallOptions): Promise<T> {
    return traced(this.#run(action, operation, options));
  }

  async #run<T>(action: Action, operation: Operation, options: ManagementCallOptions): Promise<T> {
    checkCallOptions(`the call to ${action.what}`, options);
    const { signal: ownSignal, timeoutMs: ownTimeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const { signal, timeoutMs = ownTimeoutMs } = options;
    const signals = [ownSignal, signal].filter((signal) => signal !== undefined);
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    const controller = new AbortController();
    try {
      return await withLimits(
        `the request to ${action.what}`,
        this.#send<T>(action, operation, controller.signal),
        // A connection is not closed.
        { timeoutMs, signals, onClose: () => () => undefined },
      );
    } catch (error) {
      controller.abort();
      throw error;
    }
  }

  async #send<T>(action: Action, operation: Operation, signal: AbortSignal): Promise<T> {
    const { fetch, headers, organizationId, personalAccessToken } = this.#options;
    const token = await resolveToken(TOKEN, personalAccessToken);
    const lines = await headerLines([headers], { accept: "application/json", "personal-access-token": token });
    const secrets = new Secrets();
    secrets.addHeaders(lines);
    for (const secret of action.secrets ?? []) secrets.add(secret);
    const send = fetchWhole(fetch, MAX_RESPONSE_BYTES, () => this.#error(action, "ERR_TOO_LARGE", "", undefined));
    const { glue } = glassflowManagement;
    return new Promise<T>((resolve, reject) => {
      const settle = (code: number, status: number, value: unknown) => {
        if (code === 0) resolve(value as T);
        else reject(this.#failure(action, codeOf(code), status, value, secrets));
      };
      glassflowManagement.call(() =>
        glue.management_call(send, this.baseUrl, organizationId, lines, signal, operation, settle),
      );
    });
  }

  /** @param detail the body of the response, a sentence, or the error that `fetch` or the platform threw */
  #failure(action: Action, code: FerryErrorCode, status: number, detail: unknown, secrets: Secrets): FerryError {
    if (detail instanceof FerryError) return detail;
    if (status === 0 && code !== "ERR_INTERNAL") {
      const cause = secrets.redactError(detail);
      const text = cause instanceof Error ? cause.message : String(cause);
      return code === "ERR_INVALID_ARGUMENT"
        ? invalidArgument(`${action.what}: ${text}`)
        : this.#error(action, code, "", undefined, cause);
    }
    const text = secrets.redact(String(detail));
    return this.#error(action, code, detailOf(new TextEncoder().encode(text)), status || undefined);
  }

  #error(
    action: Action,
    code: FerryErrorCode,
    detail: string,
    status: number | undefined,
    cause?: unknown,
  ): FerryError {
    const sentence = action.sentences?.[code] ?? SENTENCES[code] ?? sentenceOf(code);
    const suffix = (status === undefined ? "" : ` (HTTP ${status})`) + (detail && `: ${detail}`);
    return new FerryError(code, `${action.what} at ${this.baseUrl}: ${sentence}${suffix}`, {
      status,
      cause,
    });
  }
}

/** Sentences that replace those of the error codes. */
const SENTENCES: Partial<Record<FerryErrorCode, string>> = {
  ERR_UNAUTHORIZED: "the personal access token was refused",
  ERR_INVALID_DATA: "the response is not what the API describes",
};
