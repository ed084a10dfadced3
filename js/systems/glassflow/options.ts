/** Options of pipelines, and their checks. No message shows an access token. */
import {
  type ClientOptions,
  checkClientOptions,
  checkOptionNames,
  checkSignal,
  checkTimeout,
  checkedUrl,
} from "../../client/options.js";
import { HIDDEN, mustBe } from "../../engine/messages.js";
import { checkToken, TOKEN_TYPE, type TokenOption } from "./token.js";

/** The pipeline, and how to reach it. */
export interface PipelineOptions extends ClientOptions {
  /** Id of the pipeline. @default the environment variable `PIPELINE_ID`, where the runtime has an environment */
  pipelineId?: string;
  /**
   * The access token of the pipeline, or a function that returns it and is called before each request. A token in a web
   * page is public: fetch a short-lived one with a function, or let a proxy add it.
   *
   * @default the environment variable `PIPELINE_ACCESS_TOKEN`, where the runtime has an environment
   */
  pipelineAccessToken?: TokenOption;
  /** URL that `/pipelines` is appended to. @default "https://api.glassflow.dev/v1" */
  baseUrl?: string | URL;
}

/** Options of one call. */
export interface PipelineCallOptions {
  /** Aborts this call. */
  signal?: AbortSignal;
  /** Time limit of each request, in milliseconds. @default the `timeoutMs` of the client */
  timeoutMs?: number;
}

/** Options of a pipeline after their check. */
export interface CheckedPipelineOptions {
  id: string;
  token: TokenOption;
  /** Without a slash at the end. */
  baseUrl: string;
}

const DEFAULT_BASE_URL = "https://api.glassflow.dev/v1";

/**
 * Checks the options of a client and reads the missing ones from the environment.
 *
 * @param owner the client, for messages
 * @param names the options that the client has besides those of every pipeline
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkPipelineOptions(
  owner: string,
  options: PipelineOptions,
  names: readonly string[],
): CheckedPipelineOptions {
  checkClientOptions(owner, options, ["pipelineId", "pipelineAccessToken", "baseUrl", ...names]);
  const {
    pipelineId: id = fromEnvironment("PIPELINE_ID"),
    pipelineAccessToken: token = fromEnvironment("PIPELINE_ACCESS_TOKEN"),
  } = options;
  if (typeof id !== "string") throw mustBe("pipelineId", "a string", id, adviceFor(id, "PIPELINE_ID"));
  if (token === undefined)
    throw mustBe("pipelineAccessToken", TOKEN_TYPE, undefined, adviceFor(undefined, "PIPELINE_ACCESS_TOKEN"));
  if (typeof token !== "function") checkToken("pipelineAccessToken", token);
  return { id, token, baseUrl: checkedBaseUrl(options.baseUrl) };
}

/**
 * The URL that paths are appended to, without a slash at its end.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkedBaseUrl(given: string | URL | undefined): string {
  const base = new URL(checkedUrl(given ?? DEFAULT_BASE_URL, "baseUrl"));
  if (base.search || base.hash)
    throw mustBe("baseUrl", "a URL without a query and a fragment", HIDDEN, "paths are appended to it");
  return base.href.replace(/\/+$/, "");
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkCallOptions(owner: string, options: PipelineCallOptions): PipelineCallOptions {
  checkOptionNames(owner, options, ["signal", "timeoutMs"]);
  checkSignal(options.signal);
  checkTimeout(options.timeoutMs);
  return options;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` unless the value is an integer from 1 to `max` */
export function checkCount(name: string, value: unknown, max: number): void {
  if (!(Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max))
    throw mustBe(name, `an integer from 1 to ${max}`, value);
}

function adviceFor(value: unknown, variable: string): string | undefined {
  return value === undefined ? `pass the option or set the environment variable ${variable}` : undefined;
}

/** Reads an environment variable. Browsers and some edge runtimes have none, and Deno may deny access. */
function fromEnvironment(name: string): string | undefined {
  const { process, Deno } = globalThis as {
    process?: { env?: Record<string, string | undefined> };
    Deno?: { env?: { get(name: string): string | undefined } };
  };
  for (const read of [() => process?.env?.[name], () => Deno?.env?.get(name)]) {
    try {
      const value = read();
      if (typeof value === "string" && value !== "") return value;
    } catch {
      // Access denied.
    }
  }
  return undefined;
}
