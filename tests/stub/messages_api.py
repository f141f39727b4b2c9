#!/usr/bin/env python3
"""A stub of the Anthropic Messages API: canned answers, no model, no account.

    messages_api.py [--port N] [--host ADDRESS] [--bash COMMAND | --write FILE TEXT]
                    [--say TEXT] [--key VALUE] [--log FILE]

The first turn of a conversation is answered by a tool call (Bash with COMMAND, or Write), the turn
that brings the tool's result by a text.  The first line on stdout is {"port": N, "url": "..."}.
The stub ends when its stdin is closed or on SIGTERM, so it cannot outlive whoever started it; with
stdin at /dev/null it ends at once.

--key    answers 401 unless x-api-key or the bearer token is VALUE
--log    one JSON line per request: method, path, credential headers as received (the file is made
         0600), model, stream, tools, and the kind of answer given
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

BODY_MAX = 64 << 20  # bytes of one request; the real API's limit is 32 MB
SAY = ("Done. This answer is canned: it comes from agentvm's stub of the Messages API, "
       "no model was asked.")
CREDENTIALS = ("x-api-key", "authorization", "anthropic-beta")


def last_user_content(body):
    """The blocks of the last message that is the user's."""
    for message in reversed(body.get("messages") or []):
        if message.get("role") == "user":
            content = message.get("content")
            return content if isinstance(content, list) else [{"type": "text", "text": content}]
    return []


def choose(body, tool):
    """The content block that answers a request."""
    names = [t.get("name") for t in body.get("tools") or []]
    answered = any(block.get("type") == "tool_result" for block in last_user_content(body))
    if tool and not answered and tool["name"] in names:
        return {"type": "tool_use", "id": "toolu_" + uuid.uuid4().hex[:24], **tool}
    return {"type": "text", "text": SETTINGS.say}


def make_message(body, block):
    return {
        "id": "msg_" + uuid.uuid4().hex[:24], "type": "message", "role": "assistant",
        "model": body.get("model", "stub"), "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 10},
    }


def make_events(message):
    """The message as the events of a stream."""
    block = message["content"][0]
    start = {**message, "content": [], "stop_reason": None}
    if block["type"] == "tool_use":
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        empty = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": block["text"]}
    yield {"type": "message_start", "message": start}
    yield {"type": "content_block_start", "index": 0, "content_block": empty}
    yield {"type": "ping"}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "usage": {"output_tokens": 10},
           "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None}}
    yield {"type": "message_stop"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass  # stderr belongs to whoever runs us

    def record(self, **more):
        if not SETTINGS.log_file:
            return
        headers = {k: self.headers[k] for k in CREDENTIALS if self.headers.get(k)}
        line = {"method": self.command, "path": self.path, "headers": headers, **more}
        with SETTINGS.lock:
            SETTINGS.log_file.write(json.dumps(line) + "\n")
            SETTINGS.log_file.flush()

    def answer(self, status, value=None, content_type="application/json", text=None):
        data = (text if text is not None else json.dumps(value)).encode() if status != 204 else b""
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.send_header("request-id", "req_" + uuid.uuid4().hex[:24])
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, kind, message):
        self.record(answer=status)
        self.close_connection = True
        self.answer(status, {"type": "error", "error": {"type": kind, "message": message}})

    def authorized(self):
        if SETTINGS.key is None:
            return True
        bearer = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        return any(hmac.compare_digest(given.encode(), SETTINGS.key.encode())
                   for given in (self.headers.get("x-api-key") or "", bearer))

    def do_HEAD(self):
        self.record(answer=200)
        self.answer(200, {})

    def do_GET(self):
        if self.path.split("?")[0] == "/api/hello":
            self.record(answer=200)
            self.answer(200, {"message": "hello"})
        else:
            self.refuse(404, "not_found_error", "the stub knows no " + self.path)

    def do_POST(self):
        path = self.path.split("?")[0]
        try:
            length = int(self.headers.get("content-length", ""))
            if not 0 <= length <= BODY_MAX:
                raise ValueError
            body = json.loads(self.rfile.read(length))
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            return self.refuse(400, "invalid_request_error", "not a JSON object of known length")
        if not self.authorized():
            return self.refuse(401, "authentication_error", "invalid credential")
        if path == "/v1/messages/count_tokens":
            self.record(answer="count")
            return self.answer(200, {"input_tokens": 10})
        if path != "/v1/messages":
            return self.refuse(404, "not_found_error", "the stub knows no " + self.path)
        return self.answer_message(body)

    def answer_message(self, body):
        block = choose(body, SETTINGS.tool)
        message = make_message(body, block)
        stream = bool(body.get("stream"))
        self.record(model=body.get("model"), stream=stream, answer=block["type"],
                    tools=[t.get("name") for t in body.get("tools") or []])
        if not stream:
            return self.answer(200, message)
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                       for event in make_events(message))
        return self.answer(200, text=text, content_type="text/event-stream")


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


def parse_arguments():
    parser = argparse.ArgumentParser(description="stub of the Anthropic Messages API")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--host", default="127.0.0.1")
    tool = parser.add_mutually_exclusive_group()
    tool.add_argument("--bash", metavar="COMMAND", help="first turn: run COMMAND")
    tool.add_argument("--write", nargs=2, metavar=("FILE", "TEXT"), help="first turn: write FILE")
    parser.add_argument("--say", metavar="TEXT", default=SAY, help="text of the last turn")
    parser.add_argument("--key", metavar="VALUE", help="the only credential accepted")
    parser.add_argument("--log", metavar="FILE")
    settings = parser.parse_args()
    settings.tool = None
    if settings.bash is not None:
        settings.tool = {"name": "Bash", "input": {"command": settings.bash,
                                                   "description": "Canned command"}}
    if settings.write is not None:
        settings.tool = {"name": "Write", "input": {"file_path": settings.write[0],
                                                    "content": settings.write[1]}}
    settings.log_file = open_log(settings.log)
    settings.lock = threading.Lock()
    return settings


def main():
    server = Server((SETTINGS.host, SETTINGS.port), Handler)
    port = server.server_address[1]
    # The main thread waits for stdin to end; a signal ends the process in it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": port, "url": f"http://{SETTINGS.host}:{port}"}), flush=True)
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    SETTINGS = parse_arguments()
    try:
        main()
    except OSError as error:
        sys.exit(f"messages_api.py: {error}")
