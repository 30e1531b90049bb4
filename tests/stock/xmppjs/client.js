// An @xmpp/client that a test drives by lines: see tests/stock_signon.rs for the words.
//
// JID, host and port come from the command line; the password is the first line of standard input, so that no `ps` shows it.

import { createInterface } from "node:readline";

import { client, jid, xml } from "@xmpp/client";

const [address, host, port] = process.argv.slice(2);
const { local, domain } = jid(address);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const nextLine = async () => (await lines.next()).value;
const say = (...words) => console.log(words.join(" "));

const xmpp = client({
  service: `xmpp://${host}:${port}`,
  domain,
  resource: "Stock",
  username: local,
  password: await nextLine(),
});
xmpp.reconnect.delay = 10;
// A lost connection is an error event too; what matters of it is told below.
xmpp.on("error", (error) => (error.name === "SASLError" ? say("refused", error.condition) : undefined));
xmpp.on("online", (me) => say("online", me));
xmpp.streamManagement.on("resumed", () => say("resumed"));
xmpp.on("send", (element) => {
  if (element.name === "authenticate" || element.name === "auth") {
    say("login", element.attrs.xmlns, element.attrs.mechanism);
  }
});
xmpp.on("element", (element) => {
  if (element.name === "success") {
    say("success", ...element.getChildElements().map((child) => child.name));
  } else if (element.name === "failure") {
    say("failure", element.getChildElements()[0].name);
  } else if (element.is("message") && element.getChild("body")) {
    say("message", element.attrs.from, element.getChildText("body"));
  }
});

async function obey(word, rest) {
  switch (word) {
    case "presence":
      return xmpp.send(xml("presence"));
    case "send": {
      const [, to, body] = /^(\S+) (.*)$/.exec(rest);
      return xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
    }
    // The network goes; the client comes back by itself.
    case "cut":
      return xmpp.socket.socket ? xmpp.socket.socket.destroy() : xmpp.socket.destroy();
    // The user closes the app and opens it again.
    case "again":
      await xmpp.stop();
      return xmpp.start();
    case "quit":
      await xmpp.stop();
      return process.exit(0);
  }
}

xmpp.start().catch(() => process.exit(1));
for (let line = await nextLine(); line !== undefined; line = await nextLine()) {
  const [, word, rest] = /^(\S+) ?(.*)$/.exec(line);
  obey(word, rest).catch((error) => say("trouble", error.message));
}
