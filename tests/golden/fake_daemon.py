"""A daemon made of canned answers: it serves the control protocol on a Unix socket, in a thread.

`answers` maps a method to its result, to an Error, to bytes (sent as they are) or to a function of
the params that gives one of these. Requests are kept for the test to look at.
"""

import contextlib
import json
import os
import socket
import threading


class Error(dict):
    def __init__(self, code, message, **more):
        super().__init__(code=code, message=message, **more)


class FakeDaemon:
    def __init__(self, path, answers):
        self.path = str(path)
        self.answers = answers
        self.requests = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        # A connection of our own wakes accept() up.
        self.answers = None
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
        self.thread.join(10)
        self.listener.close()
        os.unlink(self.path)

    def serve(self):
        while True:
            conn, _ = self.listener.accept()
            with conn:
                if self.answers is None:
                    return
                with contextlib.suppress(ConnectionError):
                    self.serve_one(conn)

    def serve_one(self, conn):
        for line in conn.makefile("rb"):
            request = json.loads(line)
            self.requests.append((request["method"], request.get("params", {})))
            answer = self.answers.get(request["method"], Error("no-method", "there is no such method"))
            if callable(answer):
                answer = answer(request.get("params", {}))
            if isinstance(answer, Error):
                answer = {"id": request["id"], "error": answer}
            elif isinstance(answer, bytes):
                conn.sendall(answer)
                if not answer.endswith(b"\n"):
                    return
                continue
            else:
                answer = {"id": request["id"], "result": answer}
            conn.sendall(json.dumps(answer).encode() + b"\n")
