/* tests/crash/life.c: what is asked of the server, and what it has promised by answering.
 *
 * Every task has an id of its own choosing and every message a label, so that also what was asked and not
 * answered can be looked for after a crash. Nothing is asked whose outcome would depend on something that is
 * still open: then each answer means one thing. */
#include <stdio.h>
#include <stdlib.h>
#include "crash.h"

enum act { ASYNC, SYNC, STOP, DELETE, AGENT_MAKE, AGENT_DELETE, CHILD_STOP, CHILD_DELETE };
enum { HELPER, MANAGER, BOSS, STAYING };
static const char *const names[STAYING] = {"Helper", "Manager", "Boss"};

struct task tasks[TASKS];
struct agent agents[AGENTS];
int tasks_count, agents_count;
struct child_task children[CHILDREN];
int children_count;
static struct agent staying[STAYING];

bool task_is_known(const struct task *t)
{
    for (int i = 0; i < t->turns_count; i++)
        if (t->turns[i].known == KNOWN || model_label(t->turns[i].label)) return true;
    return false;
}

static bool is_final(const char *status)
{
    return !strcmp(status, "completed") || !strcmp(status, "stopped") || !strcmp(status, "failed") || !strcmp(status, "error");
}

bool turn_is_open(const struct turn *turn) { return turn->known != NEVER && !is_final(turn->status); }

void task_goes(struct task *t, const char *why)
{
    t->is_gone = true;
    for (int i = 0; i < t->turns_count; i++) model_close(t->turns[i].label, why);
}

void announce(struct turn *turn, const char *status, const char *result)
{
    turn->known = KNOWN;
    if (is_final(turn->status) && strcmp(turn->status, status) != 0)
        trouble("%s was %s and is %s", turn->label, turn->status, status);
    turn->status = status;
    if (!is_final(status)) return;
    bool is_completed = !strcmp(status, "completed");
    if (!is_completed && (strcmp(status, "stopped") != 0 || !turn->may_stop))
        trouble("%s ended as %s: %s", turn->label, status, result);
    const struct label *label = model_label(turn->label);
    if (is_completed && (!label || strcmp(result, model_answer(label)) != 0))
        trouble("%s has the result \"%s\", not \"%s\"", turn->label, result, label ? model_answer(label) : "(never asked)");
    turn->result = result;
    model_close(turn->label, "it had ended");
}

/* ---- answers ---------------------------------------------------------------------- */

static struct json json_of(struct line *line)
{
    struct json json;
    struct json_fault fault;
    struct str text = str_copy(test_arena(), buf_str(&line->body));
    if (failed(json_parse(test_arena(), text, &json, &fault))) trouble("no JSON: %.*s", STR_ARGS(text));
    return json;
}

static void hears_invoke(struct line *line)
{
    struct task *t = line->of;
    struct turn *turn = &t->turns[line->turn];
    bool is_too_late = line->status == 503 && child.is_stopping;
    if (line->status == 404 || line->status == 409 || is_too_late) {
        if (!t->delete_asked && line->status == 404) trouble("%s is answered 404", turn->label);
        if (is_too_late && model_label(turn->label)) trouble("%s was begun, and is answered 503", turn->label);
        turn->known = NEVER;
        turn->refused = line->status;
        return;
    }
    if (line->status != 200) trouble("%s is answered %d: %.*s", turn->label, line->status, STR_ARGS(buf_str(&line->body)));
    if (t->delete_asked) turn->known = KNOWN; /* then it may be told as stopped */
    else announce(turn, text_of(json_of(line), "status"), text_of(json_of(line), "result"));
}

static void hears_stop(struct line *line)
{
    struct task *t = line->of;
    t->stopping_in = 0;
    if (line->status == 404 && t->delete_asked) return;
    if (line->status != 200) trouble("the stop of %s is answered %d: %.*s", t->id, line->status, STR_ARGS(buf_str(&line->body)));
    for (int i = 0; i < t->turns_count; i++) {
        if (!(line->turn & 1 << i)) continue;
        t->turns[i].is_over = true;
        model_close(t->turns[i].label, "it was stopped");
    }
}

static void hears_delete(struct line *line)
{
    struct task *t = line->of;
    if (line->status != 204 && !(line->status == 404 && t->is_gone))
        trouble("the delete of %s is answered %d: %.*s", t->id, line->status, STR_ARGS(buf_str(&line->body)));
    task_goes(t, "it was deleted");
    if (line->status != 204) return;
    t->is_erased = true;
    keys_are_gone(f("%s/data", child.top), "when the delete was answered");
}

static void hears_agent(struct line *line)
{
    struct agent *a = line->of;
    if (line->what == AGENT_MAKE) {
        if (line->status != 201) trouble("an agent is answered %d", line->status);
        a->is_there = true;
        snprintf(a->id, sizeof a->id, "%s", text_of(json_of(line), "id"));
        return;
    }
    if (line->status != 202) trouble("the delete of an agent is answered %d", line->status);
    a->is_gone = true;
    for (int i = 0; i < tasks_count; i++)
        if (&agents[tasks[i].agent] == a) task_goes(&tasks[i], "its agent was deleted");
}

/* Its parent may be ended or deleted meanwhile, and it with it. */
static void hears_child(struct line *line)
{
    struct label *label = line->of;
    if (line->status != 404 && line->status != (line->what == (int)CHILD_STOP ? 200 : 204))
        trouble("the end of sub-task %s is answered %d", label->name, line->status);
    if (line->status == 404) return;
    model_close(label->name, "it was ended");
    if (line->what != (int)CHILD_DELETE) return;
    children[line->turn].is_gone = true;
    keys_are_gone(f("%s/data", child.top), "when the delete of a sub-task was answered");
}

/* Not whole: it died, and nobody knows. */
static void hears(struct line *line)
{
    if (!line->is_over || !line->is_whole) return;
    bool is_message = line->what == (int)ASYNC || line->what == (int)SYNC;
    if (line->status == 503 && child.is_stopping && !is_message) return; /* nor then */
    switch ((enum act)line->what) {
    case ASYNC:
    case SYNC: hears_invoke(line); break;
    case STOP: hears_stop(line); break;
    case DELETE: hears_delete(line); break;
    case AGENT_MAKE:
    case AGENT_DELETE: hears_agent(line); break;
    case CHILD_STOP:
    case CHILD_DELETE: hears_child(line); break;
    }
}

static void asks(enum act what, const char *method, const char *target, const char *body, void *of, int turn)
{
    struct line *line = line_open(method, target, "", body, hears, of);
    line->what = (int)what;
    line->turn = turn;
}

/* ---- acts ------------------------------------------------------------------------- */

static const char *plan_for(int agent)
{
    static const char *const plain[] = {"a", "A", "xa", "xA", "Xa"};
    static const char *const managing[] = {"ca", "Ca", "da", "cA", "xca", "dcA", "a"};
    static const char *const bossing[] = {"ma", "mA", "mca", "dma", "A"};
    if (agent == MANAGER) return managing[dice(7)];
    if (agent == BOSS) return bossing[dice(5)];
    return plain[dice(5)];
}

static void invokes(int number)
{
    struct task *t = &tasks[number];
    int n = t->turns_count++;
    struct turn *turn = &t->turns[n];
    *turn = (struct turn){.known = UNKNOWN, .status = "", .may_stop = t->stopping_in == generation};
    snprintf(turn->label, sizeof turn->label, "%s", f("T%d.%d", number, n));
    snprintf(turn->plan, sizeof turn->plan, "%s", plan_for(t->agent));
    const char *body = f("{\"id\":\"%s\",\"input\":{\"text\":\"#%s %s\"}}", t->id, turn->label, turn->plan);
    const char *target = f("/v1/agents/%s/invoke", agents[t->agent].id);
    uint64_t how = dice(5);
    if (how < 2) asks(ASYNC, "POST", f("%s/async", target), body, t, n);
    else if (how < 3) asks(SYNC, "POST", target, body, t, n);
    else stream_open_invoke(number, n, f("%s", body));
}

/* The id of one that is gone may be used again; -1: a new one. */
static int id_again(void)
{
    for (int i = 0; i < tasks_count && dice(3) == 0; i++) {
        if (!tasks[i].is_erased || tasks[i].is_replaced) continue;
        tasks[i].is_replaced = true;
        return i;
    }
    return -1;
}

static void begins_task(void)
{
    if (tasks_count == TASKS) return;
    int agent = (int)dice((uint64_t)agents_count);
    if (!agents[agent].is_there || agents[agent].delete_asked) agent = (int)dice(STAYING);
    tasks[tasks_count] = (struct task){.agent = agent};
    int again = id_again();
    if (again >= 0) memcpy(tasks[tasks_count].id, tasks[again].id, sizeof tasks[0].id);
    else snprintf(tasks[tasks_count].id, sizeof tasks[0].id, "t%d", tasks_count);
    invokes(tasks_count++);
}

/* One whose existence is known, and that nobody is deleting; -1: none. */
static int any_task(void)
{
    int found = -1;
    for (int i = 0, seen = 0; i < tasks_count; i++)
        if (task_is_known(&tasks[i]) && !tasks[i].delete_asked && !tasks[i].is_gone && dice((uint64_t)++seen) == 0) found = i;
    return found;
}

static void says_more(void)
{
    int i = any_task();
    if (i >= 0 && tasks[i].turns_count < TURNS) invokes(i);
}

static void stops(void)
{
    int i = any_task(), known = 0;
    if (i < 0) return;
    for (int n = 0; n < tasks[i].turns_count; n++) {
        struct turn *turn = &tasks[i].turns[n];
        turn->may_stop = true;
        if (turn->known == KNOWN || model_label(turn->label)) known |= 1 << n;
    }
    tasks[i].stopping_in = generation;
    asks(STOP, "POST", f("/v1/tasks/%s/stop", tasks[i].id), "", &tasks[i], known);
}

/* A message that comes after it would begin a new task of that id: so none may be open. */
static bool has_open_message(const struct task *t)
{
    for (int n = 0; n < t->turns_count; n++)
        if (t->turns[n].known == UNKNOWN && !model_label(t->turns[n].label)) return true;
    return false;
}

static void goes(struct task *t)
{
    t->delete_asked = true;
    for (int n = 0; n < t->turns_count; n++) t->turns[n].may_stop = true;
}

static void deletes(void)
{
    int i = any_task();
    if (i < 0 || has_open_message(&tasks[i])) return;
    keys_note(f("%s/data", child.top));
    goes(&tasks[i]);
    asks(DELETE, "DELETE", f("/v1/tasks/%s", tasks[i].id), "", &tasks[i], 0);
}

/* A sub-task that is not at its end, by itself: its parent goes on. */
static void ends_child(void)
{
    int i = any_task();
    if (i < 0 || !ask("GET", f("/v1/tasks?parent_task_id=%s", tasks[i].id), "") || children_count == CHILDREN) return;
    for (struct json_each e = json_each(json_get(answer_json(), "items")); json_next(&e);) {
        const char *id = text_of(e.item, "id"), *status = text_of(e.item, "status");
        char name[LABEL_BYTES];
        if (strcmp(status, "executing") != 0 || ask("GET", f("/v1/tasks/%s", id), "") != 200) continue;
        if (sscanf(text_of(json_get(answer_json(), "input"), "text"), "#%47s", name) != 1) trouble("a sub-task without a label");
        struct label *label = model_label(name);
        if (!label || label->may_end) continue;
        keys_note(f("%s/data", child.top));
        label->may_end = true;
        bool is_delete = dice(2);
        if (is_delete) {
            tasks[i].has_lost = true;
            children[children_count] = (struct child_task){.root = i};
            snprintf(children[children_count].id, sizeof children[0].id, "%s", id);
        }
        if (is_delete) asks(CHILD_DELETE, "DELETE", f("/v1/tasks/%s", id), "", label, children_count++);
        else asks(CHILD_STOP, "POST", f("/v1/tasks/%s/stop", id), "", label, 0);
        return;
    }
}

static void makes_agent(void)
{
    if (agents_count == AGENTS) return;
    agents[agents_count] = (struct agent){0};
    asks(AGENT_MAKE, "POST", "/v1/agents", "{\"name\":\"Passing\"}", &agents[agents_count++], 0);
}

static void deletes_agent(void)
{
    for (int a = STAYING; a < agents_count; a++) {
        if (!agents[a].is_there || agents[a].delete_asked) continue;
        bool is_open = false;
        for (int i = 0; i < tasks_count; i++)
            is_open |= tasks[i].agent == a && (has_open_message(&tasks[i]) || (tasks[i].delete_asked && !tasks[i].is_gone));
        if (is_open) continue;
        keys_note(f("%s/data", child.top));
        agents[a].delete_asked = true;
        for (int i = 0; i < tasks_count; i++)
            if (tasks[i].agent == a) goes(&tasks[i]);
        asks(AGENT_DELETE, "DELETE", f("/v1/agents/%s", agents[a].id), "", &agents[a], 0);
        return;
    }
}

static void acts(void)
{
    uint64_t what = dice(34);
    int i;
    if (what < 11) begins_task();
    else if (what < 16) says_more();
    else if (what < 19) stops();
    else if (what < 23) deletes();
    else if (what < 24) makes_agent();
    else if (what < 25) deletes_agent();
    else if (what < 28 && (i = any_task()) >= 0) stream_open_task(i);
    else if (what < 31) model_release();
    else ends_child();
}

void life_acts(int count)
{
    model_holds = true;
    for (int n = 0; n < count; n++) {
        acts();
        for (uint64_t rounds = dice(8); rounds > 0; rounds--)
            if (!pump(1)) return;
    }
}

/* ---- beginning ---------------------------------------------------------------------- */

void life_agents(void)
{
    for (int i = 0; i < STAYING; i++) {
        if (ask("POST", "/v1/agents", f("{\"name\":\"%s\"}", names[i])) != 201) trouble("no agent");
        staying[i].is_there = true;
        snprintf(staying[i].id, sizeof staying[i].id, "%s", text_of(answer_json(), "id"));
        for (int under = 0; under < i; under++)
            if (ask("POST", f("/v1/agents/%s/tools", staying[i].id), f("{\"type\":\"agent\",\"agent_id\":\"%s\"}", staying[under].id)) != 200)
                trouble("no sub-agent");
    }
}

void life_begin(void)
{
    memset(tasks, 0, sizeof tasks);
    memset(agents, 0, sizeof agents);
    memcpy(agents, staying, sizeof staying);
    agents_count = STAYING;
    tasks_count = children_count = 0;
    model_forget();
    streams_forget();
    keys_forget();
}
