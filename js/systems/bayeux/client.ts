/** A client for any Bayeux server. `src/bayeux` implements the protocol. */
import { checkedUrl, type HeadersOption, headerLines } from "../../client/options.js";
import { Extensions } from "./extensions.js";
import { streamFetch } from "./fetch.js";
import { type BayeuxOptions, checkBayeuxOptions, defaultTransports, streamConfig } from "./options.js";
import { StreamClient } from "./stream.js";

/**
 * A client for CometD, Faye and other Bayeux servers: subscribe, publish, receive. It reconnects when the connection is
 * lost, and restores all subscriptions.
 *
 * @example
 * await using client = new BayeuxClient("https://example.com/cometd");
 * await client.open();
 * await client.subscribe("/orders/*");
 * for await (const message of client) console.log(message.channel, message.data);
 */
export class BayeuxClient extends StreamClient {
  /**
   * @param url the Bayeux endpoint, http or https
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  constructor(url: string | URL, options: BayeuxOptions = {}) {
    checkBayeuxOptions(options);
    const href = checkedUrl(url);
    const { auth, webSocket, extensions = [], ack, transports } = options;
    super({
      driver: {
        config: () => ({
          ...streamConfig(options),
          url: href,
          ack: ack !== false,
          isAuthRequired: auth !== undefined,
          transports: (transports ?? defaultTransports(options)).join(" "),
        }),
        fetch: streamFetch(options.fetch, options.credentials),
        headers: options.headers as HeadersOption | undefined,
        makeSocket: webSocket,
        extensions: extensions.length > 0 ? new Extensions(extensions) : undefined,
      },
      listener: {
        // The engine asks for credentials only with `isAuthRequired`.
        credentials: async (renew) => headerLines([await auth!({ renew })], {}),
        sign: async () => undefined,
        onRefreshToken: () => undefined,
      },
      signal: options.signal,
      eventTypeOf: () => "org.cometd.message",
    });
  }
}
