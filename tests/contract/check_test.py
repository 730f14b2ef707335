#!/usr/bin/python3
"""The checker turns red where it must: one broken exchange per rule."""
import copy
import json

from check import check_exchange, check_lines
from contract import Contract

UUID = "91fbe9bc-35b3-41e8-b59d-922fb5a0f031"
TIME = "2026-11-23T19:01:22.898813Z"
TASK = {
    "id": "t", "agent_id": UUID, "organization_id": UUID, "input": {"text": "hi", "files": [], "user": None},
    "status": "pending", "internal_status": None, "last_executed_node_id": None, "agent_version": "1",
    "created_at": TIME, "started_at": None, "paused_at": None, "finished_at": None, "updated_at": TIME,
    "result": None, "parent_execution": None, "sub_executions": [], "finished_sub_executions": [],
    "is_manually_stopped": False, "payload_extension": None, "hitl_request": None, "pending_eca_request": None,
    "source": "api", "worker_id": None, "additional_context": None, "instructions_override": None,
    "expected_output": None, "test_run_node_id": None, "is_orchestration": False, "output_format": "markdown",
    "voice_id": None, "output_schema": None, "events_streaming": False, "used_mutating_tools": False,
    "is_continuous": False, "mcp_servers": [], "triggering_agent_id": None, "title": None,
    "think_mode": "default", "disable_attachment_injection": False,
    "deep_planning": {"enabled": False, "enforce": False, "started": False, "question_raised": False, "tasks": []},
    "execution_attempts": 1, "user_tokens": None, "user_oidc_token": None, "return_metrics": False,
    "tokens": {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0}, "used_tools": [], "duration": 0.0,
    "model_provider": "openai", "model_name": "gpt-4.1", "llm_reasoning_effort": "medium",
    "llm_model_provider": None, "llm_model_name": None, "background_auth_eligible": False,
}
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def exchange(method, path, status, body=None, **more):
    text = body if isinstance(body, str) else "" if body is None and status == 204 else json.dumps(body)
    return {"method": method, "path": path, "query": "", "status": status, "headers": {}, "body": text,
            "content_type": "application/json" if text else "", "request_body": "", **more}


def stream(text):
    return exchange("GET", "/v1/tasks/t/stream", 200, text, headers=STREAM_HEADERS,
                    content_type="text/event-stream; charset=utf-8")


def event(kind, data):
    return {"type": kind, "task_id": "t", "organization_id": UUID, "time": TIME, "data": data}


def said(*events):
    return "".join(f"id: {i}\ndata: {json.dumps(e)}\n\n" for i, e in enumerate(events))


def task(**changes):
    changed = copy.deepcopy(TASK)
    changed.update(changes)
    return changed


def without(key):
    return {k: v for k, v in TASK.items() if k != key}


invoke = "/v1/agents/%s/invoke" % UUID
asked = json.dumps({"input": {"text": "hi"}, "id": "t"})
GOOD = {
    "a task": exchange("GET", "/v1/tasks/t", 200, TASK),
    "a deleted task": exchange("DELETE", "/v1/tasks/t", 204),
    "a deleted agent": exchange("DELETE", "/v1/agents/x", 202, "null"),
    "health without a body": exchange("HEAD", "/health", 200, "", content_type="application/json"),
    "an accepted invoke": exchange("POST", invoke, 200, TASK, request_body=asked, query="version=draft"),
    "an unknown path": exchange("GET", "/v2", 404, {"detail": "Not Found"}),
    "another method": exchange("PUT", "/v1/tasks/t", 405, {"detail": "Method Not Allowed"}, headers={"allow": "GET, DELETE"}),
    "a stream": stream(said(event("task_created", TASK), event("chunk", "lo")) + ": ka\n"
                       + said(event("task_finished", task(status="completed", finished_at=TIME)))),
    "a stream cut off": stream(said(event("chunk", "lo")) + 'id: 9\ndata: {"ty'),
    "a wrong field": exchange("GET", "/v1/tasks", 422, {"detail": [{"type": "less_than_equal", "loc": ["query", "per_page"], "msg": "no", "input": "51", "ctx": {"le": 50}}]}),
    "no key": exchange("GET", "/v1/tasks", 401, {"detail": "Invalid or missing API key"}, headers={"WWW-Authenticate": "Bearer"}),
}
BAD = {
    "an undocumented status": exchange("GET", "/v1/tasks/t", 418, {"detail": "teapot"}),
    "a charset": exchange("GET", "/v1/tasks/t", 200, TASK, content_type="application/json; charset=utf-8"),
    "a missing key": exchange("GET", "/v1/tasks/t", 200, without("title")),
    "a key too many": exchange("GET", "/v1/tasks/t", 200, task(secret="x")),
    "a null that may not be": exchange("GET", "/v1/tasks/t", 200, task(source=None)),
    "a word that is none": exchange("GET", "/v1/tasks/t", 200, task(status="running")),
    "a time without decimals": exchange("GET", "/v1/tasks/t", 200, task(updated_at="2026-11-23T19:01:22Z")),
    "a key twice": exchange("GET", "/v1/tasks/t", 200, json.dumps(TASK)[:-1] + ', "id": "t"}'),
    "a 204 with a body": exchange("DELETE", "/v1/tasks/t", 204, "null"),
    "the wrong sentence": exchange("GET", "/v1/tasks/t", 404, {"detail": "Agent not found"}),
    "a 401 without its header": exchange("GET", "/v1/tasks", 401, {"detail": "Invalid or missing API key"}),
    "an item without input": exchange("GET", "/v1/tasks", 422, {"detail": [{"type": "missing", "loc": ["body"], "msg": "m"}]}),
    "an unknown kind of item": exchange("GET", "/v1/tasks", 422, {"detail": [{"type": "odd", "loc": ["body"], "msg": "m", "input": 1}]}),
    "an unknown path answered": exchange("GET", "/v2", 200, {}),
    "an Allow too short": exchange("PUT", "/v1/tasks/t", 405, {"detail": "Method Not Allowed"}, headers={"Allow": "GET"}),
    "a forbidden body accepted": exchange("POST", invoke, 200, TASK, request_body=json.dumps({"input": {"text": ""}})),
    "a forbidden query accepted": exchange("GET", "/v1/tasks", 200, {"items": [], "total": 0, "page": 1, "per_page": 50, "total_pages": 0}, query="per_page=51"),
    "an unknown event": stream(said(event("done", {}))),
    "an empty chunk": stream(said(event("chunk", ""))),
    "an end that is none": stream(said(event("task_finished", TASK))),
    "a token on a stream": stream(said(event("task_updated", task(user_oidc_token="x")))),
    "an event without an id": stream("data: %s\n\n" % json.dumps(event("chunk", "lo"))),
    "an event line": stream("id: 1\nevent: chunk\ndata: %s\n\n" % json.dumps(event("chunk", "lo"))),
    "an envelope in another order": stream(said(dict(reversed(event("chunk", "lo").items())))),
    "a heartbeat with an empty line": stream(": ka\n\n"),
    "carriage returns": stream(said(event("chunk", "lo")).replace("\n", "\r\n")),
}


def main():
    contract = Contract()
    wrong = [f"{name}: {found}" for name, e in GOOD.items() for found in check_exchange(contract, e)[1]]
    wrong += [f"{name}: not noticed" for name, e in BAD.items() if not check_exchange(contract, e)[1]]
    silent = check_lines(contract, [], say=lambda _: None)
    if silent != (0, len(contract.operations)):
        wrong.append(f"an empty recording gives {silent}")
    print("\n".join(wrong) if wrong else f"{len(GOOD) + len(BAD) + 1} passed, 0 failed")
    raise SystemExit(1 if wrong else 0)


main()
