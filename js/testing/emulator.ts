/**
 * The emulator: services behind one web-standard `fetch`. It picks the service by the path and does for all of
 * them what they need not know: CORS, faults, and a server on loopback.
 *
 * ```text
 *   fetch ─> preflight? ─> fault? ─> service by prefix ─> readable for every page
 *   listen ─> node.ts ─> fetch
 * ```
 */
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
import { formatValue } from "../engine/messages.js";

/** How an emulator works. */
export interface EmulatorOptions {
  /** The CloudEvents service. */
  cloudEvents?: CloudEventsEmulatorOptions;
  /** The BriteEvents service. */
  briteEvents?: BriteEventsEmulatorOptions;
  /** The GlassFlow service. */
  glassflow?: GlassFlowEmulatorOptions;
  /** The service of the events protocol. */
  eventsProtocol?: EventsProtocolEmulatorOptions;
  /** The Salesforce service. */
  salesforce?: SalesforceEmulatorOptions;
  /** Services of your own beside ours. The longest prefix wins. */
  services?: readonly Service[];
  /** The largest head of a request that `listen` takes, in bytes; more is answered with 431. @default 128 KiB */
  maxHeaderBytes?: number;
}

/** The services that this package talks to, in memory. */
export interface Emulator {
  /**
   * Answers a request as the services would. Takes what the global `fetch` takes, so it can stand in for it;
   * only the path of the URL counts. Rejects as `fetch` does: with a TypeError if a fault breaks the connection
   * or after `close()`, with the reason of the signal if that aborts while the answer is held back.
   */
  fetch(request: Request | string | URL, init?: RequestInit): Promise<Response>;
  /**
   * Serves over HTTP on 127.0.0.1, in Node, Deno and Bun.
   *
   * @param port 0 takes any that is free. @default 0
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the port is taken (`cause` has the error of the runtime) or
   * the runtime has no `node:http`; `ERR_CLOSED` after `close()`.
   */
  listen(port?: number): Promise<Listening>;
  /** Receives CloudEvents under `/cloudevents`. */
  readonly cloudEvents: CloudEventsEmulator;
  /** Receives what `eventferry/bc-events` and the Python package `bc_events` send, under `/brite-events`. */
  readonly briteEvents: BriteEventsEmulator;
  /** Pipelines under `/glassflow/v1`. */
  readonly glassflow: GlassFlowEmulator;
  /** Answers events of the events protocol under `/events`. */
  readonly eventsProtocol: EventsProtocolEmulator;
  /** Login and Streaming API of Salesforce under `/salesforce`, and at the addresses of a host of Salesforce's own. */
  readonly salesforce: SalesforceEmulator;
  /** What goes wrong on purpose. Preflights of browsers are spared. */
  readonly faults: Faults;
  /** Ends everything: servers, streams, requests that hang, forwarding. */
  close(): Promise<void>;
}

/**
 * The services as one web-standard fetch handler, for tests and demonstrations.
 *
 * @example
 * const emulator = createEmulator();
 * await emulator.fetch("http://emulator/cloudevents", { method: "POST", ...toBinary(event) });
 * const [{ event, mode }] = await emulator.cloudEvents.waitFor(1);
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an option out of its range.
 */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
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
    const asked = preflightResponse(request, cors);
    if (asked) return asked;
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
    fetch: async (input, init) =>
      answer(init === undefined && input instanceof Request ? input : new Request(input, init)),
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
      lifetime.end();
      await Promise.all([...servers].map((server) => server.close()));
    },
  };
}

function sortByPrefix(services: readonly Service[]): readonly Service[] {
  const sorted = [...services].sort((a, b) => b.prefix.length - a.prefix.length);
  sorted.forEach(({ prefix }, at) => {
    if (!/^\/(?:[^/?#]+(?:\/[^/?#]+)*)?$/.test(prefix))
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `the prefix of a service is a path such as /mine, not ${formatValue(prefix)}`,
      );
    if (sorted[at + 1]?.prefix === prefix)
      throw new FerryError("ERR_INVALID_ARGUMENT", `two services have the prefix ${formatValue(prefix)}`);
  });
  return sorted;
}

async function notFound(services: readonly Service[]): Promise<Response> {
  return textResponse(404, `nothing is here; there is ${services.map(({ prefix }) => prefix).join(", ")}`);
}

async function handleWith(service: Service, request: Request, url: URL): Promise<Response> {
  try {
    return await service.handle(request, url);
  } catch (error) {
    // A service may break the connection, and need not answer whom nobody waits for.
    if (isConnectionReset(error)) throw error;
    if (request.signal.aborted) throw request.signal.reason;
    return textResponse(500, `the service ${service.prefix} failed: ${(error as Error)?.message ?? error}`);
  }
}
