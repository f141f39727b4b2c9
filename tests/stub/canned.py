"""What the stubs of model APIs share: command line, HTTP, log, and the order of canned answers.

A conversation is answered by the tool calls that the command line gives, one per turn and in their
order, and then by a text.  A request that does not offer the tool whose turn it is gets the text.
"""

import argparse
import hmac
import json
import os
import signal
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_MAX = 64 << 20  # bytes of one request; the real APIs' limits are lower


def make_id(prefix):
    return prefix + uuid.uuid4().hex[:24]


class Stub(BaseHTTPRequestHandler):
    """One request.  A subclass answers it in get(path) and post(path, body)."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    credentials = ()  # names of the headers that the log shows
    settings = None

    def log_message(self, *_):
        pass  # stderr belongs to whoever runs us

    def record(self, **more):
        if not self.settings.log_file:
            return
        headers = {k: self.headers[k] for k in self.credentials if self.headers.get(k)}
        line = {"method": self.command, "path": self.path, "headers": headers, **more}
        with self.settings.lock:
            self.settings.log_file.write(json.dumps(line) + "\n")
            self.settings.log_file.flush()

    def keep(self, body):
        """All that the agent tells the model, for tests of what it knows."""
        if self.settings.bodies_file:
            with self.settings.lock:
                self.settings.bodies_file.write(json.dumps(body, ensure_ascii=False) + "\n")
                self.settings.bodies_file.flush()

    def answer(self, status, value, content_type="application/json"):
        """value: a string as it is, anything else as JSON."""
        data = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.send_header("request-id", make_id("req_"))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def answer_events(self, events):
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                       for event in events)
        self.answer(200, text, content_type="text/event-stream")

    def refuse(self, status, kind, message):
        self.record(answer=status)
        self.close_connection = True
        self.answer(status, self.make_error(kind, message))

    def make_error(self, kind, message):
        return {"error": {"type": kind, "message": message}}

    def refuse_path(self):
        self.refuse(404, "not_found_error", "the stub knows no " + self.path)

    def authorized(self):
        key = self.settings.key
        if key is None:
            return True
        bearer = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        return any(hmac.compare_digest(given.encode(), key.encode())
                   for given in (self.headers.get("x-api-key") or "", bearer))

    def do_HEAD(self):
        self.record(answer=200)
        self.answer(200, {})

    def do_GET(self):
        self.get(self.path.split("?")[0])

    def do_POST(self):
        try:
            length = int(self.headers.get("content-length", ""))
            if not 0 <= length <= BODY_MAX:
                raise ValueError
            body = json.loads(self.rfile.read(length))
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            self.refuse(400, "invalid_request_error", "not a JSON object of known length")
            return
        if self.authorized():
            self.keep(body)
            self.post(self.path.split("?")[0], body)
        else:
            self.refuse(401, "authentication_error", "invalid credential")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that went away


def open_log(path):
    if path is None:
        return None
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    return os.fdopen(fd, "w", encoding="utf-8")


def json_object(text):
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


def make_parser(description, say):
    """The options that all stubs have; the stub adds those of its tools to the returned group."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--host", default="127.0.0.1")
    tools = parser.add_mutually_exclusive_group()
    tools.add_argument("--bash", metavar="COMMAND", help="first turn: run COMMAND")
    parser.add_argument("--mcp", nargs=2, action="append", default=[],
                        metavar=("TOOL", "JSON"), help="next turn: call an MCP server's tool")
    parser.add_argument("--say", metavar="TEXT", default=say, help="text of the last turn")
    parser.add_argument("--key", metavar="VALUE", help="the only credential accepted")
    parser.add_argument("--log", metavar="FILE")
    parser.add_argument("--bodies", metavar="FILE")
    return parser, tools


def parse_settings(parser):
    settings = parser.parse_args()
    try:
        settings.mcp = [(name, json_object(text)) for name, text in settings.mcp]
    except ValueError:
        parser.error("--mcp: the second value must be a JSON object")
    settings.log_file = open_log(settings.log)
    settings.bodies_file = open_log(settings.bodies)
    settings.lock = threading.Lock()
    return settings


def serve(handler, settings):
    """Runs the stub until stdin ends or a signal comes."""
    handler.settings = settings
    server = Server((settings.host, settings.port), handler)
    port = server.server_address[1]
    # The main thread waits for stdin to end; a signal ends the process in it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": port, "url": f"http://{settings.host}:{port}"}), flush=True)
    while os.read(0, 4096):
        pass
    os._exit(0)


def run(handler, settings):
    try:
        serve(handler, settings)
    except OSError as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")
