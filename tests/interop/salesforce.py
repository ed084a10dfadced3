# The original aiosfstream, controlled by lines of JSON: {"method": a method of Commands, ...} in, {"result": …} or
# {"error": …} out.
import asyncio
import inspect
import json
import logging
import sys


def without_loop(function):
    return lambda *args, loop=None, **more: function(*args, **more)


class Semaphore(asyncio.Semaphore):
    def __init__(self, value=1, *, loop=None):
        super().__init__(value)


# aiosfstream was written for Python up to 3.9, where these functions still took a loop.
for name in ("sleep", "wait", "wait_for"):
    if "loop" not in inspect.signature(getattr(asyncio, name)).parameters:
        setattr(asyncio, name, without_loop(getattr(asyncio, name)))
asyncio.Semaphore = Semaphore
# At each close it leaves a cancelled task behind, which asyncio would log.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

import aiosfstream
import aiosfstream.auth
import aiosfstream.client


class Commands:
    client = None
    markers = {}

    async def open(self, base, replay="new", markers=None, fallback=None, refresh=None, version="45.0", **secrets):
        aiosfstream.auth.TOKEN_URL = base + "/services/oauth2/token"
        aiosfstream.client.API_VERSION = version
        options = {"new": aiosfstream.ReplayOption.NEW_EVENTS, "all": aiosfstream.ReplayOption.ALL_EVENTS}
        if replay == "stored":
            self.markers = {channel: aiosfstream.ReplayMarker(*marker) for channel, marker in (markers or {}).items()}
        authenticator = (
            aiosfstream.RefreshTokenAuthenticator("key", "secret", refresh)
            if refresh
            else aiosfstream.PasswordAuthenticator("key", "secret", **secrets)
        )
        self.client = aiosfstream.Client(
            authenticator, replay=self.markers if replay == "stored" else options[replay], replay_fallback=options.get(fallback), connection_timeout=5
        )
        await self.client.open()
        return self.client.url

    async def subscribe(self, channel):
        await self.client.subscribe(channel)
        return sorted(self.client.subscriptions)

    async def unsubscribe(self, channel):
        await self.client.unsubscribe(channel)
        return sorted(self.client.subscriptions)

    async def publish(self, channel, data):
        return await self.client.publish(channel, data)

    async def receive(self, count=1):
        return [await asyncio.wait_for(self.client.receive(), 10) for _ in range(count)]

    async def stored(self):
        return self.markers

    async def close(self):
        await self.client.close()


async def main():
    commands = Commands()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"result": await getattr(commands, command.pop("method"))(**command)}
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
