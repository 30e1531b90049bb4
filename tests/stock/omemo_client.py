"""A slixmpp client with OMEMO that a test drives by lines: see tests/stock_clients.rs for the words.

Beside those of slixmpp_client.py it tells `omemo` once its keys are published, `devices FROM` when it is told of somebody's
devices, `decrypted FROM BODY` and `failed WHY`, and obeys `encrypt TO BODY`. Its keys lie in the file that KONTALK_OMEMO_KEYS names, so that it is the same device when it comes again.
"""

import asyncio
import json
import logging
import os
import pathlib
import sys

import omemo
import slixmpp_omemo
from omemo.storage import Just, Nothing
from slixmpp.plugins import register_plugin

import driver
import slixmpp_client


class Keys(omemo.Storage):
    def __init__(self, path):
        super().__init__()
        self.path = path
        self.kept = json.loads(path.read_text()) if path.exists() else {}

    async def _load(self, key):
        return Just(self.kept[key]) if key in self.kept else Nothing()

    async def _store(self, key, value):
        self.kept[key] = value
        self.path.write_text(json.dumps(self.kept))

    async def _delete(self, key):
        self.kept.pop(key, None)
        self.path.write_text(json.dumps(self.kept))


class Omemo(slixmpp_omemo.XEP_0384):
    def plugin_init(self):
        self._keys = Keys(pathlib.Path(os.environ["KONTALK_OMEMO_KEYS"]))
        super().plugin_init()

    @property
    def storage(self):
        return self._keys

    @property
    def _btbv_enabled(self):
        # Any key is believed the first time it is seen.
        return True

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        raise NotImplementedError("every key is believed")


class Client(slixmpp_client.Client):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.register_plugin("xep_0115")
        register_plugin(Omemo)
        self.register_plugin("xep_0384", module=sys.modules[__name__])
        self.add_event_handler("omemo_initialized", lambda _: driver.say("omemo"))
        self.add_event_handler("oldmemo_device_list_publish", lambda told: driver.say("devices", told["from"]))

    async def started(self, event):
        # The first presence tells what the client wants to hear of. What the plugin said of it when it was loaded is lost: the
        # library keeps it by full JID, and then there was none.
        self.plugin["xep_0163"].add_interest("eu.siacs.conversations.axolotl.devicelist")
        await self.plugin["xep_0115"].update_caps()
        await super().started(event)

    def message(self, stanza):
        if self.plugin["xep_0384"].is_encrypted(stanza):
            asyncio.create_task(self.decrypt(stanza))
        else:
            super().message(stanza)

    async def decrypt(self, stanza):
        try:
            message, _ = await self.plugin["xep_0384"].decrypt_message(stanza)
        except Exception as error:
            driver.say("failed", repr(error))
            return
        # A new session is confirmed by a message without a body.
        if message["body"]:
            driver.say("decrypted", stanza["from"], message["body"])

    async def obey(self, word, rest):
        if word != "encrypt":
            return await super().obey(word, rest)
        to, body = rest.split(" ", 1)
        stanza = self.make_message(mto=to, mbody=body, mtype="chat")
        encrypted, errors = await self.plugin["xep_0384"].encrypt_message(stanza, stanza["to"])
        for error in errors:
            driver.say("failed", error)
        encrypted.send()
        # The library may end the stream before it has sent all: wait until the node answers something that comes later.
        await self.get_roster()
        return True


async def main():
    # The library warns that a new device is new.
    logging.disable(logging.WARNING)
    jid, password, host, port = driver.arguments()
    client = Client(jid, password)
    client.connect(host, port)
    await driver.obey_lines(client.obey)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
