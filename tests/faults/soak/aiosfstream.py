# The original: `python aiosfstream.py <url> <channels> plain|helped`. It keeps a marker for each channel and goes back to all events where that has
# expired: the most that it can be asked for. `helped` opens another client with the same markers whenever one has given up. It runs on newer Pythons because the keyword `loop`, which was taken out of asyncio, is dropped for it.
import asyncio
import logging
import sys


def without_loop(function):
    def call(*arguments, loop=None, **keywords):
        return function(*arguments, **keywords)

    return call


for name in ("sleep", "wait", "wait_for"):
    setattr(asyncio, name, without_loop(getattr(asyncio, name)))


class Semaphore(asyncio.Semaphore):
    def __init__(self, value=1, *, loop=None):
        super().__init__(value)


asyncio.Semaphore = Semaphore

import aiosfstream  # noqa: E402
import aiosfstream.auth  # noqa: E402
import aiosfstream.client  # noqa: E402

logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url, channels, is_helped):
    aiosfstream.auth.TOKEN_URL = url + "/services/oauth2/token"
    # Outlives the client, so that the next one goes on where it was.
    markers = {}
    while True:
        client = aiosfstream.SalesforceStreamingClient(
            consumer_key="key", consumer_secret="secret", username="user@example.com", password="password",
            replay=markers, replay_fallback=aiosfstream.ReplayOption.ALL_EVENTS, connection_timeout=60,
        )
        try:
            await client.open()
            for channel in channels:
                await client.subscribe(channel)
            say("ready")
            while True:
                message = await client.receive()
                data = message["data"]
                record = data.get("payload") or data.get("sobject")
                say(f'{message["channel"]} {record["Number"]}')
        except (aiosfstream.exceptions.AiosfstreamException, asyncio.TimeoutError) as error:
            say(f"{type(error).__name__}: {error}")
        if not is_helped:
            return
        try:
            await client.close()
        except (aiosfstream.exceptions.AiosfstreamException, asyncio.TimeoutError):
            pass
        await asyncio.sleep(0.5)


asyncio.run(main(sys.argv[1], sys.argv[2].split(","), sys.argv[3] == "helped"))
