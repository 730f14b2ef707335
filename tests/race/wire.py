"""Clients on one thread: each is a generator that yields what it waits for. Small, because rounds are many."""
import heapq
import itertools
import json
import selectors
import socket
import time


class Broken(Exception):
    """What came is not what may come."""


class Loop:
    """Runs generators. They yield ("read", socket), ("sleep", seconds) or ("join", [others])."""

    def __init__(self):
        self.selector = selectors.EpollSelector()
        self.timers, self.order, self.ready = [], itertools.count(), []

    def start(self, generator):
        task = Task(generator)
        self.ready.append(task)
        return task

    def run_until(self, tasks, seconds):
        """Until all of these ended; those that are left after the time are returned."""
        until = time.monotonic() + seconds
        while any(not t.is_done for t in tasks):
            while self.ready:
                batch, self.ready = self.ready, []
                for task in batch:
                    self.step(task)
            if all(t.is_done for t in tasks):
                break
            now = time.monotonic()
            if now >= until:
                return [t for t in tasks if not t.is_done]
            due = min(until, self.timers[0][0]) if self.timers else until
            for key, _ in self.selector.select(max(0, due - now)):
                self.selector.unregister(key.fileobj)
                key.data.socket = None
                self.ready.append(key.data)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                self.ready.append(heapq.heappop(self.timers)[2])
        return []

    def step(self, task):
        if task.is_done:
            return
        try:
            kind, value = next(task.generator)
        except StopIteration as end:
            self.finish(task, end.value)
        except Exception as trouble:  # told by whoever waits for it
            task.trouble = trouble
            self.finish(task, None)
        else:
            if kind == "read":
                task.socket = value
                self.selector.register(value, selectors.EVENT_READ, task)
            elif kind == "sleep":
                heapq.heappush(self.timers, (time.monotonic() + value, next(self.order), task))
            else:
                task.left = sum(1 for t in value if not t.is_done)
                for t in value:
                    if not t.is_done:
                        t.joiners.append(task)
                if not task.left:
                    self.ready.append(task)

    def finish(self, task, value):
        task.is_done, task.value = True, value
        for joiner in task.joiners:
            joiner.left -= 1
            if not joiner.left:
                self.ready.append(joiner)


class Task:
    def __init__(self, generator):
        self.generator, self.is_done, self.value, self.trouble = generator, False, None, None
        self.joiners, self.left, self.socket = [], 0, None


class Client:
    """One connection, kept alive. `yield from` its calls."""

    def __init__(self, address, key=None):
        self.address, self.key, self.socket, self.buffer = address, key, None, b""
        self.lazy = 0      # before so many reads of a stream it does something else

    def be_lazy(self, reads):
        """Over a line of its own that holds little, so that what is not read stays with the server."""
        self.close()
        self.lazy = reads

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.buffer = None, b""

    def send(self, method, path, body=None, headers=""):
        if not self.socket:
            self.socket = socket.socket()
            if self.lazy:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.socket.connect(self.address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setblocking(False)
        payload = b"" if body is None else json.dumps(body).encode()
        key = f"x-api-key: {self.key}\r\n" if self.key else ""
        kind = "content-type: application/json\r\n" if payload else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: a\r\n{key}{kind}{headers}content-length: {len(payload)}\r\n\r\n"
        self.socket.send(head.encode() + payload)

    def more(self):
        while True:
            try:
                piece = self.socket.recv(65536)
            except BlockingIOError:
                yield "read", self.socket
                continue
            if not piece:
                raise Broken("the connection ended too early")
            self.buffer += piece
            return

    def line(self):
        while b"\r\n" not in self.buffer:
            yield from self.more()
        text, self.buffer = self.buffer.split(b"\r\n", 1)
        return text

    def bytes(self, count):
        while len(self.buffer) < count:
            yield from self.more()
        text, self.buffer = self.buffer[:count], self.buffer[count:]
        return text

    def head(self):
        status = int((yield from self.line()).split()[1])
        headers = {}
        while True:
            line = yield from self.line()
            if not line:
                return status, headers
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()

    def chunk(self):
        """The next piece of a chunked body; b"" at its proper end."""
        size = int((yield from self.line()), 16)
        piece = yield from self.bytes(size)
        yield from self.line()
        return piece

    def whole(self, headers):
        if "content-length" in headers:
            return (yield from self.bytes(int(headers["content-length"])))
        body = b""
        while headers.get("transfer-encoding") == "chunked":
            piece = yield from self.chunk()
            if not piece:
                break
            body += piece
        return body

    def ask(self, method, path, body=None, headers=""):
        """(status, JSON or None)"""
        self.send(method, path, body, headers)
        status, answered = yield from self.head()
        text = yield from self.whole(answered)
        return status, json.loads(text) if text else None

    def events(self, on_event):
        """Each event of the stream that was just opened, until its proper end."""
        rest = b""
        while True:
            if self.lazy:
                self.lazy -= 1
                yield "sleep", .004
            piece = yield from self.chunk()
            if not piece:
                if rest.replace(b": ka\n", b""):
                    raise Broken(f"a stream ends in the middle of an event: {rest[-200:]}")
                return
            *frames, rest = (rest + piece).split(b"\n\n")
            for frame in frames:
                fields = dict(line.split(": ", 1) for line in frame.decode().split("\n") if not line.startswith(":"))
                if on_event(fields["id"], json.loads(fields["data"])):
                    return "left"
