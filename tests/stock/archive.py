"""A slixmpp client that reads its archive page by page: see tests/stock_clients.rs for the words."""

import asyncio
import sys

import driver
from slixmpp_client import Client


class Reader(Client):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0313")

    async def started(self, _):
        # Present or not, an archive can be read.
        driver.say("online", self.boundjid.full)

    async def obey(self, word, rest):
        if word == "features":
            info = await self.plugin["xep_0030"].get_info(jid=self.boundjid.bare)
            driver.say("features", *info["disco_info"]["features"])
        elif word == "archive":
            size = int(rest)
            async for message in self.plugin["xep_0313"].iterate(rsm={"max": size}):
                result = message["mam_result"]
                driver.say("archived", result["id"], result["forwarded"]["stanza"]["body"])
            driver.say("read")
        elif word == "ends":
            metadata = (await self.plugin["xep_0313"].get_archive_metadata())["mam_metadata"]
            driver.say("ends", metadata["start"]["id"], metadata["end"]["id"])
        else:
            return await super().obey(word, rest)
        return True


async def main():
    jid, password, host, port = driver.arguments()
    client = Reader(jid, password)
    client.connect(host, port)
    await driver.obey_lines(client.obey)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
