"""A slixmpp component that a test drives by lines: it answers what it is told, and disco. See tests/stock_clients.rs for the words."""

import asyncio
import sys

import slixmpp

import driver


class Component(slixmpp.ComponentXMPP):
    def __init__(self, domain, secret, host, port):
        super().__init__(domain, secret, host, port)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.plugin["xep_0030"].add_identity(category="gateway", itype="sms", name="A stock gateway")
        self.add_event_handler("session_start", lambda _: driver.say("online", domain))
        self.add_event_handler("stream_error", lambda error: driver.say("refused", error["condition"]))
        self.add_event_handler("message", self.message)
        for kind in ("available", "unavailable", "subscribe", "subscribed"):
            self.add_event_handler(f"presence_{kind}", self.presence)

    def message(self, stanza):
        if stanza["type"] in ("chat", "normal"):
            driver.say("message", stanza["from"], stanza["body"])
            reply = stanza.reply(stanza["body"])
            reply.send()

    def presence(self, stanza):
        driver.say("presence", stanza["from"], stanza["type"])

    async def obey(self, word, rest):
        if word == "send":
            to, body = rest.split(" ", 1)
            self.send_message(mto=to, mfrom=f"bot@{self.boundjid.domain}", mbody=body, mtype="chat")
        elif word in ("subscribe", "subscribed"):
            self.send_presence(pto=rest, pfrom=f"bot@{self.boundjid.domain}", ptype=word)
        elif word == "ask":
            answer = await self.plugin["xep_0030"].get_info(jid=rest, ifrom=self.boundjid.domain)
            driver.say("features", *sorted(answer["disco_info"]["features"]))
        elif word == "quit":
            await self.disconnect()
            return False
        return True


async def main():
    domain, secret, host, port = driver.arguments()
    component = Component(domain, secret, host, port)
    component.connect()
    await driver.obey_lines(component.obey)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
