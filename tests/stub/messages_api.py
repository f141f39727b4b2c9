#!/usr/bin/env python3
"""A stub of the Anthropic Messages API: canned answers, no model, no account.

    messages_api.py [--port N] [--host ADDRESS] [--bash COMMAND | --write FILE TEXT]
                    [--mcp TOOL JSON]... [--say TEXT] [--key VALUE] [--log FILE] [--bodies FILE]

A prompt is answered by tool calls (Bash with COMMAND or Write, then those of --mcp, one per turn),
the turn that brings the last one's result by a text.  The first line on stdout is
{"port": N, "url": "..."}.  The stub ends when its stdin is closed or on SIGTERM, so it cannot
outlive whoever started it; with stdin at /dev/null it ends at once.

--mcp    calls TOOL of whichever MCP server has one of that name
--key    answers 401 unless x-api-key or the bearer token is VALUE
--log    one JSON line per request: method, path, credential headers as received (the file is made
         0600), model, stream, tools, the kind of answer given, and what tools answered
--bodies one JSON line per authorized request: its body, as it came
"""

import json

from canned import Stub, make_id, make_parser, parse_settings, run

SAY = ("Done. This answer is canned: it comes from agentvm's stub of the Messages API, "
       "no model was asked.")


def results(body):
    """The tool results since the last prompt, newest first."""
    found = []
    for message in reversed(body.get("messages") or []):
        if message.get("role") != "user":
            continue
        content = message.get("content")
        blocks = [b for b in content if b.get("type") == "tool_result"] \
            if isinstance(content, list) else []
        if not blocks:
            break
        found += blocks
    return found


def find_tool(names, wanted):
    """MCP tools are called mcp__SERVER__TOOL."""
    return next((n for n in names if n == wanted or n.endswith("__" + wanted)), None)


def choose(body, steps):
    """The content block that answers a request."""
    turn = len(results(body))
    if turn < len(steps):
        wanted, arguments = steps[turn]
        name = find_tool([t.get("name") or "" for t in body.get("tools") or []], wanted)
        if name:
            return {"type": "tool_use", "id": make_id("toolu_"), "name": name, "input": arguments}
    return {"type": "text", "text": SETTINGS.say}


def make_message(body, block):
    return {
        "id": make_id("msg_"), "type": "message", "role": "assistant",
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


class Messages(Stub):
    credentials = ("x-api-key", "authorization", "anthropic-beta")

    def make_error(self, kind, message):
        return {"type": "error", **super().make_error(kind, message)}

    def get(self, path):
        if path != "/api/hello":
            return self.refuse_path()
        self.record(answer=200)
        return self.answer(200, {"message": "hello"})

    def post(self, path, body):
        if path == "/v1/messages/count_tokens":
            self.record(answer="count")
            return self.answer(200, {"input_tokens": 10})
        if path != "/v1/messages":
            return self.refuse_path()
        block = choose(body, SETTINGS.steps)
        message = make_message(body, block)
        stream = bool(body.get("stream"))
        self.record(model=body.get("model"), stream=stream, answer=block["type"],
                    tools=[t.get("name") for t in body.get("tools") or []],
                    results=[b.get("content") for b in results(body)[:1]])
        return self.answer_events(make_events(message)) if stream else self.answer(200, message)


def parse_arguments():
    parser, tools = make_parser("stub of the Anthropic Messages API", SAY)
    tools.add_argument("--write", nargs=2, metavar=("FILE", "TEXT"), help="first turn: write FILE")
    settings = parse_settings(parser)
    settings.steps = []
    if settings.bash is not None:
        settings.steps = [("Bash", {"command": settings.bash, "description": "Canned command"})]
    if settings.write is not None:
        settings.steps = [("Write", {"file_path": settings.write[0],
                                     "content": settings.write[1]})]
    settings.steps += settings.mcp
    return settings


if __name__ == "__main__":
    SETTINGS = parse_arguments()
    run(Messages, SETTINGS)
