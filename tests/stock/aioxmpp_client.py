"""An aioxmpp client that a test drives by lines: see tests/stock_clients.rs for the words."""

import asyncio
import logging
import sys

import aiosasl
import aioxmpp
import aioxmpp.connector
import aioxmpp.dispatcher

import driver


class Client:
    def __init__(self, jid, password, host, port):
        self.client = aioxmpp.PresenceManagedClient(
            aioxmpp.JID.fromstr(jid),
            aioxmpp.make_security_layer(password, no_verify=True),
            override_peer=[(host, port, aioxmpp.connector.STARTTLSConnector())],
        )
        self.client.on_failure.connect(lambda error: driver.say("refused", error) and None)
        self.roster = self.client.summon(aioxmpp.RosterClient)
        presence = self.client.summon(aioxmpp.PresenceClient)
        presence.on_available.connect(lambda jid, stanza: driver.say("presence", jid, "available") and None)
        presence.on_unavailable.connect(lambda jid, stanza: driver.say("presence", jid, "unavailable") and None)
        self.roster.on_subscribe.connect(lambda stanza: driver.say("presence", stanza.from_, "subscribe") and None)
        self.roster.on_subscribed.connect(lambda stanza: driver.say("presence", stanza.from_, "subscribed") and None)
        messages = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        messages.register_callback(None, None, self.message)

    def message(self, stanza):
        if stanza.type_ in (aioxmpp.MessageType.CHAT, aioxmpp.MessageType.NORMAL) and stanza.body:
            driver.say("message", stanza.from_, stanza.body.any())

    async def obey(self, word, rest):
        if word == "send":
            to, body = rest.split(" ", 1)
            stanza = aioxmpp.Message(to=aioxmpp.JID.fromstr(to), type_=aioxmpp.MessageType.CHAT)
            stanza.body[None] = body
            await self.client.send(stanza)
        elif word == "subscribe":
            self.roster.subscribe(aioxmpp.JID.fromstr(rest))
        elif word == "subscribed":
            self.roster.approve(aioxmpp.JID.fromstr(rest))
        elif word == "quit":
            return False
        return True


async def main():
    # A refused login is told by its event; the library's own words about it would only clutter the test's output.
    logging.disable(logging.CRITICAL)
    client = Client(*driver.arguments())
    try:
        async with client.client.connected():
            driver.say("online", client.client.local_jid)
            await driver.obey_lines(client.obey)
    except aiosasl.AuthenticationFailure:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
