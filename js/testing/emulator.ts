/**
 * The emulator: services behind one web-standard `fetch`. It picks the service by the path, and adds CORS, faults and a
 * server on loopback for all of them.
 *
 * ```text
 *   fetch ─> preflight? ─> fault? ─> service by prefix ─> CORS headers
 *   listen ─> node.ts ─> fetch
 * ```
 */
import { checkOptionNames } from "../client/options.js";
import { FerryError } from "../engine/errors.js";
import { BriteEventsEmulator, type BriteEventsEmulatorOptions } from "./brite-events.js";
import { CloudEventsEmulator, type CloudEventsEmulatorOptions } from "./cloudevents.js";
import { preflightResponse, withCorsHeaders } from "./cors.js";
import { EventsProtocolEmulator, type EventsProtocolEmulatorOptions } from "./events-protocol.js";
import { Faults, connectionReset, isConnectionReset } from "./faults.js";
import { GlassFlowEmulator, type GlassFlowEmulatorOptions } from "./glassflow.js";
import { type Listening, listenWithNode } from "./node.js";
import { SalesforceEmulator, type SalesforceEmulatorOptions } from "./salesforce.js";
import { Lifetime, type Service, integer, textResponse } from "./service.js";
import { formatValue, invalidArgument, mustBe } from "../engine/messages.js";

/** Options of `createEmulator`, by service. */
export interface EmulatorOptions {
  /** Options of the CloudEvents service. */
  cloudEvents?: CloudEventsEmulatorOptions;
  /** Options of the BriteEvents service. */
  briteEvents?: BriteEventsEmulatorOptions;
  /** Options of the GlassFlow service. */
  glassflow?: GlassFlowEmulatorOptions;
  /** Options of the events-protocol service. */
  eventsProtocol?: EventsProtocolEmulatorOptions;
  /** Options of the Salesforce service. */
  salesforce?: SalesforceEmulatorOptions;
  /** Further services of your own. The longest prefix wins. @default none */
  services?: readonly Service[];
  /** Largest request head that `listen` accepts, in bytes; a larger one gets 431. @default 131 072 */
  maxHeaderBytes?: number;
}

const OPTION_NAMES = [
  "cloudEvents",
  "briteEvents",
  "glassflow",
  "eventsProtocol",
  "salesforce",
  "services",
  "maxHeaderBytes",
] as const satisfies readonly (keyof EmulatorOptions)[];

/** The services that this package talks to, in memory. */
export interface Emulator {
  /**
   * Answers a request. It takes the same arguments as the global `fetch` and can replace it; only the path of the URL
   * counts. It rejects as `fetch` does: with a TypeError if a fault breaks the connection or after `close()`, and with
   * the reason of the signal if that aborts before the response.
   */
  fetch(request: Request | string | URL, init?: RequestInit): Promise<Response>;
  /**
   * Serves over HTTP on 127.0.0.1, in Node, Deno and Bun.
   *
   * @param port 0 picks any free port. @default 0
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the port is taken (`cause` has the error of the runtime) or
   * the runtime has no `node:http`; `ERR_CLOSED` after `close()`.
   */
  listen(port?: number): Promise<Listening>;
  /** Receives CloudEvents under `/cloudevents`. */
  readonly cloudEvents: CloudEventsEmulator;
  /** Receives the events of `eventferry/bc-events` and of the Python package `bc_events`, under `/brite-events`. */
  readonly briteEvents: BriteEventsEmulator;
  /** GlassFlow pipelines under `/glassflow/v1`. */
  readonly glassflow: GlassFlowEmulator;
  /** An events-protocol server under `/events`. */
  readonly eventsProtocol: EventsProtocolEmulator;
  /** Login and Streaming API of Salesforce under `/salesforce`, and without the prefix as on a Salesforce host. */
  readonly salesforce: SalesforceEmulator;
  /** Faults to inject. They do not apply to CORS preflights. */
  readonly faults: Faults;
  /** Closes everything: servers, streams, hanging requests and forwarding. */
  close(): Promise<void>;
}

/**
 * Creates an emulator of all services as one web-standard fetch handler, for tests and demos.
 *
 * @example
 * const emulator = createEmulator();
 * await emulator.fetch("http://emulator/cloudevents", { method: "POST", ...toBinary(event) });
 * const [{ event, mode }] = await emulator.cloudEvents.waitFor(1);
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an invalid option.
 */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
  checkOptionNames("createEmulator", options, OPTION_NAMES);
  const lifetime = new Lifetime();
  const faults = new Faults();
  const cloudEvents = new CloudEventsEmulator(options.cloudEvents ?? {}, lifetime);
  const briteEvents = new BriteEventsEmulator(options.briteEvents ?? {}, lifetime);
  const glassflow = new GlassFlowEmulator(options.glassflow ?? {});
  const eventsProtocol = new EventsProtocolEmulator(options.eventsProtocol ?? {}, lifetime);
  const salesforce = new SalesforceEmulator(options.salesforce ?? {}, lifetime);
  const maxHeaderBytes = integer("maxHeaderBytes", options.maxHeaderBytes, 128 * 1024, 1024, 16 * 1024 * 1024);
  const services = sortByPrefix([
    cloudEvents,
    briteEvents,
    glassflow,
    eventsProtocol,
    salesforce,
    ...salesforce.rootServices,
    ...(options.services ?? []),
  ]);
  const servers = new Set<Listening>();

  async function answer(request: Request): Promise<Response> {
    if (lifetime.isClosed) throw connectionReset();
    request.signal.throwIfAborted();
    const url = new URL(request.url);
    const service = services.find(
      ({ prefix }) => prefix === "/" || url.pathname === prefix || url.pathname.startsWith(`${prefix}/`),
    );
    const cors = service?.cors ?? "open";
    const preflight = preflightResponse(request, cors);
    if (preflight) return preflight;
    const respond = () => (service ? handleWith(service, request, url) : notFound(services));
    const fault = faults.find(request, url);
    return withCorsHeaders(await (fault ? fault.respond(request, lifetime, respond) : respond()), request, cors);
  }

  return {
    cloudEvents,
    briteEvents,
    glassflow,
    eventsProtocol,
    salesforce,
    faults,
    fetch: async (input, init) => {
      const request = init === undefined && input instanceof Request ? input : new Request(input, init);
      // In Node, the signal of a Request follows that of the caller only until the Request is garbage collected.
      const keep = () => request;
      init?.signal?.addEventListener("abort", keep);
      try {
        return await answer(request);
      } finally {
        init?.signal?.removeEventListener("abort", keep);
      }
    },
    async listen(port = 0) {
      if (lifetime.isClosed) throw new FerryError("ERR_CLOSED", "the emulator is closed");
      const server = await listenWithNode(integer("port", port, 0, 0, 65_535), maxHeaderBytes, answer);
      servers.add(server);
      return {
        url: server.url,
        close: () => {
          servers.delete(server);
          return server.close();
        },
      };
    },
    async close() {
      lifetime.close();
      await Promise.all([...servers].map((server) => server.close()));
    },
  };
}

function sortByPrefix(services: readonly Service[]): readonly Service[] {
  const sorted = [...services].sort((a, b) => b.prefix.length - a.prefix.length);
  sorted.forEach(({ prefix }, at) => {
    if (!/^\/(?:[^/?#]+(?:\/[^/?#]+)*)?$/.test(prefix))
      throw mustBe("prefix of a service", "a path such as /mine", prefix);
    if (sorted[at + 1]?.prefix === prefix) throw invalidArgument(`two services have the prefix ${formatValue(prefix)}`);
  });
  return sorted;
}

async function notFound(services: readonly Service[]): Promise<Response> {
  return textResponse(404, `not found; the services are ${services.map(({ prefix }) => prefix).join(", ")}`);
}

async function handleWith(service: Service, request: Request, url: URL): Promise<Response> {
  try {
    return await service.handle(request, url);
  } catch (error) {
    // A service may break the connection, and owes no response to a client that has left.
    if (isConnectionReset(error)) throw error;
    if (request.signal.aborted) throw request.signal.reason;
    return textResponse(500, `the service ${service.prefix} failed: ${(error as Error)?.message ?? error}`);
  }
}
