// Two accounts on one store: no event leaves under another account, and none is lost. Runs in every runtime.
import { change, equal } from "./contract.mjs";

const URL = "https://example.com/events";

/** A server that notes the user of each request and the ids of its events. */
function collector() {
  const seen = [];
  const state = { status: 202 };
  const fetch = async (...args) => {
    const request = new Request(...args);
    const user = request.headers.get("authorization");
    // Before the body is read: by then another user may be there.
    const { status } = state;
    const events = JSON.parse(await request.text());
    if (status < 300) seen.push(...[events].flat().map(({ id }) => `${user} ${id}`));
    return new Response(null, { status });
  };
  return { state, fetch, seen: () => [...seen].sort() };
}

/**
 * Signs users in and out, in one outbox and over restarts.
 *
 * @param makeStore makes a store on the same, at first empty, storage
 * @param library the exports of the package
 * @returns {Promise<{ name: string, problem?: string }[]>}
 */
export async function checkAccounts(makeStorage, library) {
  const results = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    let storage;
    try {
      storage = await makeStorage();
      let kept;
      // A store in memory is its own storage.
      const make = () => (storage.isVolatile ? (kept ??= storage.make("accounts")) : storage.make("accounts"));
      await check({ make: () => noteName(make()), isShared: storage.isShared, ...library });
      results.push({ name });
    } catch (error) {
      results.push({ name, problem: String(error?.stack ?? error) });
    }
    await storage?.end?.();
  }
  return results;
}

const CHECKS = {
  async "events of a user who signs out wait for this user, in one page"({ make, CloudEvent, Publisher }) {
    const { state, fetch, seen } = collector();
    let user = "ann";
    const publisher = publisherOf(Publisher, make(), fetch, () => user);
    state.status = 503;
    await publish(publisher, CloudEvent, "1", "2");
    user = "bob";
    equal(publisher.outbox.stats().held, 2, "what the next user sees");
    equal(publisher.outbox.stats().pending, 0, "what the next user has");
    state.status = 202;
    await publish(publisher, CloudEvent, "3");
    await drained(publisher);
    equal(seen(), ["bob 3"]);
    equal(await publisher.outbox.dead.list(), []);
    equal(await publisher.outbox.purge(), 0, "what the next user can delete");
    user = "ann";
    await drained(publisher);
    equal(seen(), ["ann 1", "ann 2", "bob 3"]);
    await publisher.outbox.close();
  },

  async "events of a user who signs out wait for this user, over restarts"({ make, CloudEvent, Publisher }) {
    const { state, fetch, seen } = collector();
    state.status = 503;
    for (const user of ["ann", "bob", "ann"]) {
      const publisher = publisherOf(Publisher, make(), fetch, user);
      await publish(publisher, CloudEvent, `of-${user}`);
      await publisher.outbox.close();
    }
    state.status = 202;
    const bob = publisherOf(Publisher, make(), fetch, "bob");
    await drained(bob);
    await until(() => bob.outbox.stats().held === 2, "the events of the other user are counted");
    equal(seen(), ["bob of-bob"]);
    await bob.outbox.close();
    const ann = publisherOf(Publisher, make(), fetch, "ann");
    await drained(ann);
    equal(seen(), ["ann of-ann", "ann of-ann", "bob of-bob"]);
    await ann.outbox.close();
  },

  async "two users at the same time each send their own events, and both lead"({
    make,
    isShared,
    CloudEvent,
    Publisher,
  }) {
    if (!isShared) return;
    const { state, fetch, seen } = collector();
    state.status = 503;
    const [ann, bob] = ["ann", "bob"].map((user) => publisherOf(Publisher, make(), fetch, user));
    await Promise.all([publish(ann, CloudEvent, "1", "2"), publish(bob, CloudEvent, "3", "4")]);
    state.status = 202;
    await Promise.all([drained(ann), drained(bob)]);
    equal(seen(), ["ann 1", "ann 2", "bob 3", "bob 4"]);
    await Promise.all([ann.outbox.close(), bob.outbox.close()]);
  },

  async "a renamed identity is adopted, dead letters included"({ make, CloudEvent, Publisher }) {
    const { state, fetch, seen } = collector();
    state.status = 400;
    const old = publisherOf(Publisher, make(), fetch, { authorization: "Bearer 1" });
    await publish(old, CloudEvent, "dead");
    await old.outbox.drain();
    state.status = 503;
    await publish(old, CloudEvent, "waiting");
    await old.outbox.close();
    state.status = 202;
    const renewed = publisherOf(Publisher, make(), fetch, { authorization: "Bearer 2" });
    await drained(renewed);
    equal(seen(), []);
    equal(await renewed.outbox.adopt({ authorization: "Bearer 1" }), 2);
    equal(
      (await renewed.outbox.dead.list()).map(({ id }) => id),
      ["dead"],
    );
    await drained(renewed);
    equal(seen(), ["Bearer 2 waiting"]);
    const { accepted, delivered, dead, pending, purged, held } = renewed.outbox.stats();
    equal(
      { accepted, delivered, dead, pending, purged },
      { accepted: 2, delivered: 1, dead: 1, pending: 0, purged: 0 },
    );
    await until(() => held === 0 || renewed.outbox.stats().held === 0, "nothing is held any more");
    await renewed.outbox.close();
  },

  async "destinations share nothing, also if one is the beginning of the other"({ make, CloudEvent, Publisher }) {
    const { state, fetch, seen } = collector();
    state.status = 503;
    const urls = [URL, `${URL}/s`, `${URL}?key=1`, `${URL}?key=2`];
    for (const [n, url] of urls.entries()) {
      const publisher = publisherOf(Publisher, make(), fetch, { "x-user": String(n) }, url);
      await publish(publisher, CloudEvent, String(n));
      await publisher.outbox.close();
    }
    state.status = 202;
    for (const [n, url] of urls.entries()) {
      const to = [];
      const noting = async (address, init) => {
        to.push(address);
        return fetch(address, init);
      };
      const publisher = publisherOf(Publisher, make(), noting, { "x-user": String(n) }, url);
      await drained(publisher);
      equal([...new Set(to)], [url]);
      equal(seen().length, n + 1, "how many events have arrived");
      await publisher.outbox.close();
    }
  },

  async "events whose identity was absent for 30 days become its dead letters"({ make, CloudEvent, Publisher }) {
    const { state, fetch, seen } = collector();
    state.status = 503;
    const ann = publisherOf(Publisher, make(), fetch, "ann");
    await publish(ann, CloudEvent, "old");
    await ann.outbox.close();
    // The lock of a publisher that was closed is released a moment later. Until then her identity counts as present.
    await new Promise((resolve) => setTimeout(resolve, 200));
    // As if it had been stored 31 days ago.
    const store = make();
    const given = [];
    await makeOlder(store, 31 * 24 * 60 * 60 * 1000);
    state.status = 202;
    const bob = publisherOf(Publisher, make(), fetch, "bob");
    bob.outbox.addEventListener("degraded", ({ detail }) => given.push(detail.error.code));
    await drained(bob);
    await until(() => given.length > 0, "the outbox tells of it");
    equal(given, ["ERR_EXPIRED"]);
    await bob.outbox.close();
    const back = publisherOf(Publisher, make(), fetch, "ann");
    const letters = await back.outbox.dead.list();
    equal(
      letters.map(({ id, code }) => [id, code]),
      [["old", "ERR_EXPIRED"]],
    );
    equal(seen(), []);
    equal(await back.outbox.dead.replay(["old"]), 1);
    await drained(back);
    equal(seen(), ["ann old"]);
    await back.outbox.close();
  },
};

/** A publisher whose identity is its user; with an object, its headers are the identity. */
function publisherOf(Publisher, store, fetch, user, url = URL) {
  const isHeaders = typeof user === "object";
  const name = () => (typeof user === "function" ? user() : user);
  return new Publisher({
    url,
    fetch,
    headers: isHeaders ? user : () => ({ authorization: name() }),
    mode: "batch",
    outbox: { store, retry: { baseMs: 1, maxMs: 5 }, ...(!isHeaders && { identity: user }) },
  });
}

async function publish(publisher, CloudEvent, ...ids) {
  const session = publisher.session();
  for (const id of ids) session.publish(new CloudEvent({ id, type: "t", source: "/s" }));
  const { accepted } = await session.flush();
  equal(accepted.length, ids.length, "how many events were accepted");
}

async function drained(publisher) {
  void publisher.outbox.drain({ deadlineMs: 0 });
  // The lock of a publisher that was closed is released a moment later.
  await until(() => publisher.outbox.stats().isLeader, "the publisher sends");
  const { aborted, pending } = await publisher.outbox.drain({ deadlineMs: 20_000 });
  equal({ aborted, pending }, { aborted: false, pending: 0 }, "the report of drain");
}

/** The name with which the outbox opened the last store. */
let lastName;

function noteName(store) {
  const open = store.open;
  store.open = function (name) {
    lastName = name;
    return open.call(this, name);
  };
  return store;
}

/** Changes when all segments of a store were committed. */
async function makeOlder(store, byMs) {
  await store.open(lastName);
  const segments = await store.peek({ events: Infinity, bytes: Infinity, skip: new Set() });
  equal(segments.length, 1, "how many segments are stored");
  await store.write(change({ put: segments.map((segment) => ({ ...segment, at: segment.at - byMs })) }));
  await store.close();
}

async function until(isTrue, what) {
  for (const end = Date.now() + 10_000; !isTrue(); await new Promise((resolve) => setTimeout(resolve, 5)))
    if (Date.now() > end) throw new Error(`it did not happen that ${what}`);
}
