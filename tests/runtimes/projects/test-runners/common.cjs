// The same checks for CommonJS and ES modules. jsdom has no fetch, so the emulator is used as one in Node only.
module.exports = ({ CloudEvent, fromHttp, fromRequest, toBinary }, { createEmulator }) => {
  const event = new CloudEvent({ type: "t", source: "/s", data: { n: 1 } });

  test("an event is written and read", () => {
    const { headers, body } = toBinary(event);
    expect(fromHttp(headers, body).data).toEqual({ n: 1 });
    expect(CloudEvent.fromJSON(event.toString()).equals(event)).toBe(true);
    expect(event).not.toEqual(new CloudEvent({ type: "u", source: "/s", id: event.id, time: event.time }));
  });

  test("a body whose bytes are of another realm is read", async () => {
    const { headers, body } = toBinary(event);
    const { Readable } = require("node:stream");
    const message = { headers: new Map(Object.entries(headers)), body: Readable.from([Buffer.from(body)]), url: "" };
    message.headers.get = (name) => Map.prototype.get.call(message.headers, name) ?? null;
    expect((await fromRequest(message)).data).toEqual({ n: 1 });
  });

  test("the emulator listens", async () => {
    const emulator = createEmulator();
    const { url } = await emulator.listen();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await emulator.close();
  });
};
