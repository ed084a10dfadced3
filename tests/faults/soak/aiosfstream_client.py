# The original: `python aiosfstream_client.py <url> <channels> plain|restarting`. It stores a marker for each channel, and falls
# back to all events if a marker has expired. `restarting` opens another client with the same markers whenever one has given
# up. The keyword `loop`, which newer versions of asyncio no longer accept, is dropped.
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


def write_line(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url, channels, is_restarting):
    aiosfstream.auth.TOKEN_URL = url + "/services/oauth2/token"
    # Kept outside the client, so that the next one resumes at the same position.
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
            write_line("ready")
            while True:
                message = await client.receive()
                data = message["data"]
                record = data.get("payload") or data.get("sobject")
                write_line(f'{message["channel"]} {record["Number"]}')
        except (aiosfstream.exceptions.AiosfstreamException, asyncio.TimeoutError) as error:
            write_line(f"{type(error).__name__}: {error}")
        if not is_restarting:
            return
        try:
            await client.close()
        except (aiosfstream.exceptions.AiosfstreamException, asyncio.TimeoutError):
            pass
        await asyncio.sleep(0.5)


asyncio.run(main(sys.argv[1], sys.argv[2].split(","), sys.argv[3] == "restarting"))
