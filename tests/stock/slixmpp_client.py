"""A slixmpp client that a test drives by lines: see tests/stock_clients.rs for the words."""

import asyncio
import http.client
import ssl
import sys
import urllib.parse

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

    async def upload(self, name, text):
        self.register_plugin("xep_0363")
        upload = self["xep_0363"]
        service = await upload.find_upload_service()
        driver.say("service", service["from"])
        slot = (await upload.request_slot(service["from"], name, len(text), "text/plain"))["http_upload_slot"]
        loop = asyncio.get_running_loop()
        put = await loop.run_in_executor(None, self.exchange, "PUT", slot["put"]["url"], text)
        got = await loop.run_in_executor(None, self.exchange, "GET", slot["get"]["url"], None)
        driver.say("uploaded", put[0], got[0], got[1])

    def exchange(self, method, url, body):
        """The URL's name is known to the test alone: the node is on this machine."""
        url = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection("127.0.0.1", url.port, timeout=20, context=self.ssl_context)
        connection.request(method, url.path, body, {"Content-Type": "text/plain"} if body else {})
        answer = connection.getresponse()
        content = answer.read().decode()
        connection.close()
        return answer.status, content

    async def obey(self, word, rest):
        if word == "send":
            to, body = rest.split(" ", 1)
            self.send_message(mto=to, mbody=body, mtype="chat")
        elif word in ("subscribe", "subscribed"):
            self.send_presence(pto=rest, ptype=word)
        elif word == "upload":
            await self.upload(*rest.split(" ", 1))
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
