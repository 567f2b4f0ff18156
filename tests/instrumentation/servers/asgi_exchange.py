"""A connection to an ASGI application without a socket, message by message."""

import asyncio


class Exchange:
    """One connection to an application, message by message, as a server would hold it."""

    def __init__(self, app, path, *, kind="http", method="POST", body=b"", headers=None):
        self.app = app
        self.scope = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http" if kind == "http" else "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        self.sent = []
        self.given = asyncio.Queue()
        if kind == "http":
            self.given.put_nowait({"type": "http.request", "body": body, "more_body": False})

    async def run(self):
        async def send(message):
            self.sent.append(message)
            await asyncio.sleep(0)

        await self.app(self.scope, self.given.get, send)
        return self

    def told(self):
        """The id in the response's header."""
        headers = [dict(message["headers"]) for message in self.sent if message["type"] == "http.response.start"]
        return headers[0].get(b"x-prediction-id", b"").decode() if headers else None

    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


def ask(app, path, **options):
    return asyncio.run(Exchange(app, path, **options).run())
