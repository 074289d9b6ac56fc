"""Pages that watch, without a browser: they speak its protocol and look at nothing.

A viewer asks for the page, takes the token, opens the websocket, pulls the document, says that it is ``ready`` and how
far it has ``seen`` as the page's scripts would, and reads. As a program, ``python tests/viewers.py ADDRESS``,
it opens and closes them as the lines of stdin say.
"""

from __future__ import annotations

import asyncio
import collections
import json
import re
import sys

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

AT_ONCE, PATIENCE = 10, 300.0
SEEN_EVERY = 10.0  # seconds, as frames.js has it
NUMBER = re.compile(r'\\"number\\":(\d+)')


def model_with(content: str, *properties: str) -> str | None:
    """Id of the model that has these properties; None where a page has no such model."""
    document = json.loads(content)["doc"]
    holders = {
        each["name"]
        for each in document.get("defs", ())
        if set(properties) <= {named["name"] for named in each.get("properties", ())}
    }
    waiting = [document["roots"]]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("name") in holders and "id" in value:
                return value["id"]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return None


class Viewer:
    """One page that watches: reads what comes and looks at none of it."""

    def __init__(self) -> None:
        self.messages = self.read = self.page = self.document = self.seen = 0
        self._number = 0

    async def open(self, address: str, path: str) -> bool:
        """Do what a browser does; False when the page that came has no session."""
        asked = HTTPRequest(f"{address}{path}", request_timeout=PATIENCE, connect_timeout=PATIENCE)
        html = (await AsyncHTTPClient().fetch(asked)).body.decode()
        self.page = len(html)
        token = re.search(r'"token":"([^"]+)"', html)
        if token is None:
            return False
        socket = f"{address.replace('http', 'ws')}{path.rstrip('/')}/ws"
        await self.join(HTTPRequest(socket, headers={"Origin": address}, request_timeout=PATIENCE), token[1])
        return True

    async def join(self, asked: HTTPRequest, token: str) -> None:
        """Open the websocket of a token, pull its document, and watch."""
        self._socket = await websocket_connect(asked, subprotocols=["bokeh", token])
        await self._message("ACK")
        await self._tell("PULL-DOC-REQ", {})
        content = await self._message("PULL-DOC-REPLY")
        self.document, self.roots = len(content), len(json.loads(content)["doc"]["roots"])
        self._tasks = [asyncio.ensure_future(self._watch())]
        navigator, frames = model_with(content, "ready", "brush"), model_with(content, "text", "seen")
        if navigator and frames:
            await self._set(navigator, "ready", True)
            self._tasks.append(asyncio.ensure_future(self._see(frames)))

    async def close(self) -> None:
        """Be gone, as a browser whose tab is closed."""
        for task in self._tasks:
            task.cancel()
        self._socket.close()

    async def _message(self, kind: str) -> str:
        """Content of the next message of a kind: header, metadata, content, then two frames for each buffer."""
        while True:
            header = json.loads(await self._socket.read_message())
            await self._socket.read_message()
            content = await self._socket.read_message()
            for _ in range(2 * header.get("num_buffers", 0)):
                await self._socket.read_message()
            if header["msgtype"] == kind:
                return content

    async def _tell(self, kind: str, content: dict) -> None:
        self._number += 1
        for part in ({"msgid": str(self._number), "msgtype": kind}, {}, content):
            await self._socket.write_message(json.dumps(part))

    async def _set(self, model: str, name: str, value: object) -> None:
        event = {"kind": "ModelChanged", "model": {"id": model}, "attr": name, "new": value}
        await self._tell("PATCH-DOC", {"events": [event]})

    async def _watch(self) -> None:
        while (frame := await self._socket.read_message()) is not None:
            self.messages += 1
            self.read += len(frame)
            if number := NUMBER.search(frame[:200]):
                self.seen = int(number[1])

    async def _see(self, model: str) -> None:
        while True:
            await asyncio.sleep(SEEN_EVERY)
            await self._set(model, "seen", self.seen)


async def obey(address: str) -> None:
    """Open and close viewers as the lines of stdin say; answer each with a line of figures."""
    viewers: collections.deque[Viewer] = collections.deque()
    AsyncHTTPClient.configure(None, max_clients=200)
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        answer = {}
        if line[0] == "open":
            new = [Viewer() for _ in range(int(line[1]))]
            let_in = []
            for first in range(0, len(new), AT_ONCE):
                let_in += await asyncio.gather(*(each.open(address, line[2]) for each in new[first : first + AT_ONCE]))
            viewers.extend(viewer for viewer, inside in zip(new, let_in, strict=True) if inside)
            answer = {"refused": let_in.count(False), "page": new[-1].page, "document": new[-1].document}
        elif line[0] == "close":
            for _ in range(min(int(line[1]), len(viewers))):
                await viewers.popleft().close()
        answer["frames"] = sum(viewer.messages for viewer in viewers)
        answer["characters"] = sum(viewer.read for viewer in viewers)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(obey(sys.argv[1]))
