#!/usr/bin/env python3
"""A stub of the OpenAI Responses API: canned answers, no model, no account.

    responses_api.py [--port N] [--host ADDRESS] [--bash COMMAND] [--mcp TOOL JSON]...
                     [--say TEXT] [--key VALUE] [--log FILE] [--bodies FILE]

A prompt is answered by tool calls (COMMAND, then those of --mcp, one per turn), the turn that
brings the last one's result by a text.  A client that offers its tools to scripts ("code mode")
gets scripts, any other gets calls.  The first line on stdout is {"port": N, "url": "..."}; clients
expect the API below url/v1.  The stub ends when its stdin is closed or on SIGTERM, so it cannot
outlive whoever started it; with stdin at /dev/null it ends at once.

--mcp    calls TOOL of whichever MCP server has one of that name
--key    answers 401 unless the bearer token is VALUE
--log    one JSON line per request: method, path, credential headers as received (the file is made
         0600), model, stream, tools, the kind of answer given, and what tools answered
--bodies one JSON line per authorized request: its body, as it came
"""

import json

from canned import Stub, make_id, make_parser, parse_settings, run

SAY = ("Done. This answer is canned: it comes from agentvm's stub of the Responses API, "
       "no model was asked.")
SHELL = "exec_command"
SCRIPTS = "exec"  # the tool that runs a script in code mode
# A call may be slow where there is no hardware virtualization: its turn waits for it.
SCRIPT = """// @exec: {{"yield_time_ms": 600000}}
const wanted = {name}, call = {arguments};
const tool = ALL_TOOLS.find(t => t.name === wanted || t.name.endsWith("__" + wanted));
text(tool ? await tools[tool.name](call) : "there is no tool " + wanted);
"""


def results(body):
    """The tool results since the last prompt, newest first."""
    found = []
    for item in reversed(body.get("input") or []):
        if item.get("type") == "message" and item.get("role") == "user":
            break
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            found.append(item.get("output"))
    return found


def offered(body):
    """(namespace or None, tool) of all tools that the request offers."""
    tools = list(body.get("tools") or [])
    for item in body.get("input") or []:
        if item.get("type") == "additional_tools":
            tools += item.get("tools") or []
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from ((tool.get("name"), t) for t in tool.get("tools") or [])
        else:
            yield None, tool


def make_call(body, wanted, arguments):
    """The item that calls the tool, or None if the request does not offer it."""
    call = {"id": make_id("fc_"), "call_id": make_id("call_"), "status": "completed"}
    for namespace, tool in offered(body):
        name = tool.get("name")
        if tool.get("type") == "custom" and name == SCRIPTS:
            script = SCRIPT.format(name=json.dumps(wanted), arguments=json.dumps(arguments))
            return {**call, "type": "custom_tool_call", "name": name, "input": script}
        if tool.get("type") == "function" and name == wanted:
            place = {"namespace": namespace} if namespace else {}
            return {**call, **place, "type": "function_call", "name": name,
                    "arguments": json.dumps(arguments)}
    return None


def is_aside(body):
    """Whether Codex asks for itself, such as for a title: no part of the user's conversation."""
    turn = json.loads((body.get("client_metadata") or {}).get("x-codex-turn-metadata") or "{}")
    return turn.get("thread_source", "user") != "user"


def choose(body, steps):
    """The output item that answers a request."""
    turn = len(results(body))
    call = make_call(body, *steps[turn]) if turn < len(steps) and not is_aside(body) else None
    return call or {"id": make_id("msg_"), "type": "message", "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": SETTINGS.say, "annotations": []}]}


def make_response(body, item):
    return {
        "id": make_id("resp_"), "object": "response", "model": body.get("model", "stub"),
        "status": "completed", "output": [item], "error": None,
        "usage": {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20,
                  "input_tokens_details": {"cached_tokens": 0},
                  "output_tokens_details": {"reasoning_tokens": 0}},
    }


def make_events(response):
    """The response as the events of a stream."""
    item = response["output"][0]
    start = {**response, "status": "in_progress", "output": [], "usage": None}
    events = [{"type": "response.created", "response": start},
              {"type": "response.output_item.added", "output_index": 0,
               "item": {**item, "status": "in_progress"}}]
    if item["type"] == "message":
        events.append({"type": "response.output_text.delta", "item_id": item["id"],
                       "output_index": 0, "content_index": 0, "delta": item["content"][0]["text"]})
    events += [{"type": "response.output_item.done", "output_index": 0, "item": item},
               {"type": "response.completed", "response": response}]
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


class Responses(Stub):
    credentials = ("authorization",)

    def get(self, path):
        self.refuse_path()

    def post(self, path, body):
        if path != "/v1/responses":
            return self.refuse_path()
        item = choose(body, SETTINGS.steps)
        response = make_response(body, item)
        stream = bool(body.get("stream"))
        self.record(model=body.get("model"), stream=stream, answer=item["type"],
                    tools=[t.get("name") for _, t in offered(body)], results=results(body)[:1])
        return self.answer_events(make_events(response)) if stream else self.answer(200, response)


def parse_arguments():
    settings = parse_settings(make_parser("stub of the OpenAI Responses API", SAY)[0])
    settings.steps = [(SHELL, {"cmd": settings.bash, "yield_time_ms": 30000})] \
        if settings.bash is not None else []
    settings.steps += settings.mcp
    return settings


if __name__ == "__main__":
    SETTINGS = parse_arguments()
    run(Responses, SETTINGS)
