"""A slixmpp client that a test drives by lines: see tests/stock_clients.rs for the words."""

import asyncio
import ssl
import sys

import slixmpp

import driver


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        # The port speaks STARTTLS; the node's certificate is one it made itself.
        self.enable_direct_tls = False
        self.enable_starttls = True
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        # The test answers subscription requests itself.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.message)
        self.add_event_handler("failed_all_auth", lambda _: driver.say("refused"))
        for kind in ("available", "unavailable", "subscribe", "subscribed"):
            self.add_event_handler(f"presence_{kind}", self.presence)

    async def started(self, _):
        await self.get_roster()
        self.send_presence()
        driver.say("online", self.boundjid.full)

    def message(self, stanza):
        if stanza["type"] in ("chat", "normal"):
            driver.say("message", stanza["from"], stanza["body"])

    def presence(self, stanza):
        driver.say("presence", stanza["from"], stanza["type"])

    async def obey(self, word, rest):
        if word == "send":
            to, body = rest.split(" ", 1)
            self.send_message(mto=to, mbody=body, mtype="chat")
        elif word in ("subscribe", "subscribed"):
            self.send_presence(pto=rest, ptype=word)
        elif word == "quit":
            await self.disconnect()
            return False
        return True


async def main():
    jid, password, host, port = driver.arguments()
    client = Client(jid, password)
    client.connect(host, port)
    await driver.obey_lines(client.obey)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
