/* tenants.c: an organisation cannot see, change or stop anything of another one, on any operation of the contract. */
#include <stdio.h>
#include "flow/play.h"

static const char *upper(const char *method)
{
    char *text = str_z(test_arena(), str(method));
    for (char *at = text; *at; at++) if (*at >= 'a') *at = (char)(*at - 32);
    return text;
}

/* The template with these ids in it; null when it names none. */
static const char *filled(struct str template, const char *agent, const char *task, const char *tool)
{
    struct buf path = {0};
    bool is_found = true, names = false;
    for (struct str rest = template, part; is_found;) {
        part = str_split(rest, '/', &rest, &is_found);
        if (part.count == 0) continue;
        const char *put = 0;
        if (str_is(part, "{agent_id}")) put = agent;
        if (str_is(part, "{task_id}")) put = task;
        if (str_is(part, "{tool_id}")) put = tool;
        names = names || put;
        buf_addf(&path, "/");
        buf_add_str(&path, put ? str(put) : part);
    }
    const char *kept = names ? str_z(test_arena(), buf_str(&path)) : 0;
    buf_free(&path);
    return kept;
}

static const char *body_for(const char *method, const char *path)
{
    if (strstr(path, "/invoke")) return "{\"input\":{\"text\":\"break in\"}}";
    if (strstr(path, "/tools")) return "{\"type\":\"agent\",\"agent_id\":\"x\"}";
    return !strcmp(method, "PATCH") ? "{\"name\":\"taken over\"}" : "";
}

/* Everything of this agent and task that can be read. */
static const char *state_of(struct client *c, const char *agent, const char *task)
{
    const char *all = "";
    const char *const paths[] = {f("/v1/agents/%s", agent), f("/v1/agents/%s/tools", agent), f("/v1/agents/%s/tasks", agent),
                                 f("/v1/tasks/%s", task), f("/v1/tasks/%s/thread", task), f("/v1/tasks/%s/thread/full", task)};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        sends(c, f("GET %s", paths[i]), "");
        gets_status(c, 200);
        all = f("%s%s\n", all, body_of(c));
    }
    return all;
}

/* Send each operation whose path names something, with these ids, and hold the status against `wanted`. */
static int tries_all(struct client *c, const char *agent, const char *task, const char *tool, int wanted)
{
    int count = 0;
    sends(c, "GET /openapi.json", "");
    gets_status(c, 200);
    struct json paths = json_get(c->json, "paths");
    for (struct json_each path = json_each(paths); json_next(&path);) {
        const char *target = filled(path.key, agent, task, tool);
        if (!target) continue;
        for (struct json_each operation = json_each(path.item); json_next(&operation);) {
            if (str_is(operation.key, "parameters")) continue;
            const char *method = upper(str_z(test_arena(), operation.key));
            sends(c, f("%s %s", method, target), body_for(method, target));
            if (status_of(c) != wanted) expected(c, __FILE__, __LINE__, "the status %d", wanted);
            CHECK(count_at(c, "") == 1 && json_is_there(at(c, "detail")));
            count++;
        }
    }
    return count;
}

FLOW(a_foreign_key_reaches_nothing_on_any_operation)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *helper = agent_of(anna, ""), *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    const char *tool = text_at(anna, "[0].id");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say mine]]", ""));
    gets_status(anna, 200);
    const char *task = text_at(anna, "id"), *before = state_of(anna, agent, task);
    CHECK(tries_all(zoe, agent, task, tool, 403) >= 15);
    CHECK(!strcmp(state_of(anna, agent, task), before));
    CHECK(model_count(play, "requests") == 1);
    sends(zoe, "GET /v1/tasks", "");
    gets_status(zoe, 200);
    CHECK(!strstr(body_of(zoe), task));
    sends(zoe, f("GET /v1/tasks?agent_id=%s", agent), "");
    gets_status(zoe, 200);
    has(zoe, "total", "0"); /* a filter is a condition, not an address */
}

FLOW(a_running_task_is_out_of_a_strangers_reach)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one]][[gate $go]][[say two]]", ""));
    gets_said(anna, "one");
    tries_all(zoe, agent, task_of(anna), "x", 403);
    model_gate(play, "go");
    gets_event(anna, "task_finished");
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "onetwo") || !strcmp(said(anna, 0), "one two"));
}

FLOW(what_does_not_exist_is_404_on_every_operation)
{
    struct client *anna = client(play);
    static const char *const nothing[] = {"11111111-1111-4111-8111-111111111111", "x", "list-of-all", "%00", "..", "%2e%2e", "'--", "%F0%9F%9A%80"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++)
        CHECK(tries_all(anna, nothing[i], nothing[i], nothing[i], 404) >= 15);
}

FLOW(without_a_key_every_operation_is_401)
{
    struct client *anna = client(play), *ben = nobody(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say mine]]", ""));
    gets_status(anna, 200);
    const char *task = text_at(anna, "id");
    CHECK(tries_all(ben, agent, task, "x", 401) >= 15);
    static const char *const others[] = {"GET /v1/agents", "POST /v1/agents", "GET /v1/agents/full", "GET /v1/agents/list", "GET /v1/tasks"};
    for (int i = 0; i < 5; i++) {
        sends(ben, others[i], "");
        gets_status(ben, 401);
    }
}

FLOW(an_organisation_may_be_named_and_must_be_ones_own)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *agent = agent_of(anna, f("'organization_id':'%s'", play->org));
    agent_of(zoe, "");
    const char *other = text_at(zoe, "organization_id");
    sends(anna, "POST /v1/agents", q("{'name':'A','organization_id':'%s'}", other));
    gets_status(anna, 403);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", f("'organization_id':'%s'", other)));
    gets_status(anna, 403);
    anna->more_headers = f("x-organization-id: %s\r\n", other);
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 403);
    anna->more_headers = f("x-organization-id: %s\r\n", play->org);
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200);
    has(anna, "total", "1");
}
