"""The lines between a stock client and the test: one event a line out, one order a line in."""

import asyncio
import sys


def arguments():
    """JID, host and port from the command line; the password is the first line of standard input, so that no `ps` shows it."""
    jid, host, port = sys.argv[1:]
    return jid, sys.stdin.readline().rstrip("\n"), host, int(port)


def say(*words):
    print(*words, flush=True)
    return True


async def obey_lines(obey):
    """Reads orders until one says to end, or the test goes away."""
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            return
        word, _, rest = line.rstrip("\n").partition(" ")
        if not await obey(word, rest):
            return
