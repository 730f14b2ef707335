/* states.c: every state of a task, and every verb on it: one table, cell by cell.
 *
 * A row makes a task that is in its state and stays there until it is released; a column does one thing with it, and
 * says what must come of it, now and after the release. */
#include <stdio.h>
#include <stdlib.h>
#include "flow/play.h"

struct cell;
struct state {
    const char *status;             /* as GET says it */
    bool is_final;                  /* or paused: a further turn begins at once */
    int thread;                     /* how many messages are in its thread */
    const char *released;           /* its status after the release */
    void (*make)(struct cell *);
    void (*release)(struct cell *);
};
struct cell {
    struct play *play;
    const struct state *state;
    struct client *anna;            /* who makes and releases */
    const char *id, *agent, *manager, *database;
};

/* ---- rows ------------------------------------------------------------------------ */

static void asks_for(struct cell *cell, const char *agent, const char *how, const char *directives, const char *more)
{
    sends(cell->anna, f("POST /v1/agents/%s/invoke%s", agent, how), says(cell->play, directives, f("'id':'%s'%s", cell->id, more)));
    gets_status(cell->anna, 200);
}

/* What the task's stream says first of this kind. */
static void waits_for(struct cell *cell, const char *event)
{
    struct client *eye = client(cell->play);
    sends(eye, f("GET /v1/tasks/%s/stream", cell->id), "");
    gets_event(eye, event);
    leaves(eye);
}

static const char *gated_helper(struct cell *cell)
{
    return f("[[call Helper {\"query\":\"[[tag %s]][[gate %s-%s]][[say found]]\"}]]", cell->play->tag, cell->play->tag, cell->id);
}

static void make_completed(struct cell *cell) { asks_for(cell, cell->agent, "", "[[say ok]]", ""); }
static void make_error(struct cell *cell) { asks_for(cell, cell->agent, "", "[[status 401 message no]]", ""); }
static void make_failed(struct cell *cell) { asks_for(cell, cell->agent, "", "[[empty]]", ""); }
static void make_outside(struct cell *cell) { asks_for(cell, cell->agent, "/async", "[[say never]]", ",'run_locally':true"); }

static void make_stopped(struct cell *cell)
{
    asks_for(cell, cell->agent, "/async", "[[say half]][[stall]]", "");
    waits_for(cell, "chunk");
    sends(cell->anna, f("POST /v1/tasks/%s/stop", cell->id), "");
    gets_status(cell->anna, 200);
}

/* Nothing pauses a task yet, so its rows are put into that state while nobody has the database open. */
static void make_paused(struct cell *cell)
{
    make_completed(cell);
    serve_stop(cell->play);
    edit_rows(cell->database, f("UPDATE turn SET status = 2, paused_at = finished_at, finished_at = NULL WHERE task ="
                                " (SELECT n FROM task WHERE id = '%s')", cell->id));
    edit_rows(cell->database, f("UPDATE task SET status = 2 WHERE id = '%s'", cell->id));
    edit_rows(cell->database, f("DELETE FROM entry WHERE kind = 6 AND task = (SELECT n FROM task WHERE id = '%s')", cell->id));
    serve_start(cell->play, "");
}

static void make_talking(struct cell *cell)
{
    asks_for(cell, cell->agent, "/async", f("[[say half]][[gate $%s]][[say done]]", cell->id), "");
    waits_for(cell, "chunk");
}

static void make_in_sub_task(struct cell *cell)
{
    asks_for(cell, cell->manager, "/async", f("%s[[then]][[say done]]", gated_helper(cell)), "");
    waits_for(cell, "sub_agent_trigger");
}

static void make_between_calls(struct cell *cell)
{
    asks_for(cell, cell->manager, "/async",
             f("[[call Helper {\"query\":\"[[say quick]]\"}]]%s[[then]][[say done]]", gated_helper(cell)), "");
    waits_for(cell, "tool_call_result");
}

static void make_with_turns_waiting(struct cell *cell)
{
    make_talking(cell);
    asks_for(cell, cell->agent, "/async", "[[say second]]", "");
}

/* The only place is taken by another task. */
static void make_without_place(struct cell *cell)
{
    const char *id = cell->id;
    cell->id = f("%s-before", id);
    asks_for(cell, cell->agent, "/async", f("[[say half]][[gate $%s]]", id), "");
    waits_for(cell, "chunk");
    cell->id = id;
    asks_for(cell, cell->agent, "/async", "[[say done]]", "");
}

static void release_nothing(struct cell *cell) { (void)cell; }
static void release_gate(struct cell *cell) { model_gate(cell->play, cell->id); }
static void release_outside(struct cell *cell)
{
    sends(cell->anna, f("POST /v1/tasks/%s/stop", cell->id), "");
    gets_status(cell->anna, 200);
}

static const struct state completed = {"completed", true, 2, "completed", make_completed, release_nothing};
static const struct state error = {"error", true, 1, "error", make_error, release_nothing};
static const struct state failure = {"failed", true, 1, "failed", make_failed, release_nothing};
static const struct state stopped = {"stopped", true, 1, "stopped", make_stopped, release_nothing};
static const struct state paused = {"paused", true, 2, "paused", make_paused, release_nothing};
static const struct state talking = {"executing", false, 1, "completed", make_talking, release_gate};
static const struct state in_sub_task = {"executing", false, 1, "completed", make_in_sub_task, release_gate};
static const struct state between_calls = {"executing", false, 1, "completed", make_between_calls, release_gate};
static const struct state with_turns_waiting = {"executing", false, 2, "completed", make_with_turns_waiting, release_gate};
static const struct state without_place = {"pending", false, 1, "completed", make_without_place, release_gate};
static const struct state outside = {"pending", false, 1, "stopped", make_outside, release_outside};

/* ---- columns ------------------------------------------------------------------------ */

static void is_now(struct cell *cell, const char *status)
{
    looks_at(cell->anna, cell->id);
    has_text(cell->anna, "status", status);
}

/* Of a paused turn the stream has no end, so that its order is not the usual one. */
static void reads_to_its_end(struct cell *cell, struct client *c)
{
    if (cell->state != &paused) gets_end(c);
    else while (next_event(c)) {}
}

/* Until nothing runs and nothing waits: its stream ends then. */
static void comes_to_its_end(struct cell *cell)
{
    struct client *eye = client(cell->play);
    sends(eye, f("GET /v1/tasks/%s/stream", cell->id), "");
    reads_to_its_end(cell, eye);
    is_now(cell, cell->state->released);
}

static void get(struct cell *cell)
{
    is_now(cell, cell->state->status);
    cell->state->release(cell);
    comes_to_its_end(cell);
}

static void stop(struct cell *cell)
{
    const char *status = cell->state->is_final && cell->state != &paused ? cell->state->status : "stopped";
    sends(cell->anna, f("POST /v1/tasks/%s/stop", cell->id), "");
    gets_status(cell->anna, 200);
    has_text(cell->anna, "status", status);
    if (!strcmp(status, "stopped")) has(cell->anna, "is_manually_stopped", "true");
    if (cell->state != &without_place) CHECK(model_count(cell->play, "open") == 0);
    long requests = model_count(cell->play, "requests");
    cell->state->release(cell);
    is_now(cell, status);
    CHECK(model_count(cell->play, "requests") == requests);
}

static void delete(struct cell *cell)
{
    sends(cell->anna, f("DELETE /v1/tasks/%s", cell->id), "");
    gets_status(cell->anna, 204);
    if (cell->state != &without_place) CHECK(model_count(cell->play, "open") == 0);
    sends(cell->anna, f("GET /v1/tasks/%s", cell->id), "");
    gets_status(cell->anna, 404);
    if (cell->state != &outside) cell->state->release(cell);
    sends(cell->anna, f("GET /v1/tasks/%s", cell->id), "");
    gets_status(cell->anna, 404);
}

static const char *again(struct cell *cell, const char *how)
{
    bool is_managed = cell->state == &in_sub_task || cell->state == &between_calls;
    return f("POST /v1/agents/%s/invoke%s", is_managed ? cell->manager : cell->agent, how);
}

/* The message was accepted: that is a row. */
static void until_turns(struct cell *cell, int turns)
{
    do looks_at(cell->anna, cell->id);
    while (atoi(row_text(cell->database, f("SELECT turns FROM task WHERE id = '%s'", cell->id))) < turns);
}

static int turns_of(const struct cell *cell) { return cell->state == &with_turns_waiting ? 2 : 1; }
static bool is_held(const struct cell *cell) { return cell->state == &outside; }

static void invoke_sync(struct cell *cell)
{
    struct client *ben = client(cell->play);
    sends(ben, again(cell, ""), says(cell->play, "[[say more]]", f("'id':'%s'", cell->id)));
    until_turns(cell, turns_of(cell) + 1);
    if (!cell->state->is_final) is_now(cell, cell->state->status);
    cell->state->release(cell);
    gets_status(ben, 200);
    has_text(ben, "id", cell->id);
    has_text(ben, "status", is_held(cell) ? "stopped" : "completed");
    has(ben, "result", is_held(cell) ? "null" : "'more'");
    contains(ben, "input.text", "more");
}

static void invoke_async(struct cell *cell)
{
    struct client *ben = client(cell->play);
    sends(ben, again(cell, "/async"), says(cell->play, "[[say more]]", f("'id':'%s'", cell->id)));
    gets_status(ben, 200);
    has(ben, "status", "'pending'");
    has(ben, "result", "null");
    has(ben, "started_at", "null");
    contains(ben, "input.text", "more");
    if (!cell->state->is_final) is_now(cell, cell->state->status);
    cell->state->release(cell);
    sends(ben, f("GET /v1/tasks/%s/stream", cell->id), "");
    reads_to_its_end(cell, ben);
    is_now(cell, is_held(cell) ? "stopped" : "completed");
    has(cell->anna, "result", is_held(cell) ? "null" : "'more'");
}

static void invoke_stream(struct cell *cell)
{
    struct client *ben = client(cell->play);
    sends(ben, again(cell, "/stream"), says(cell->play, "[[say more]]", f("'id':'%s'", cell->id)));
    CHECK(status_of(ben) == 200);
    until_turns(cell, turns_of(cell) + 1);
    if (!cell->state->is_final) is_now(cell, cell->state->status);
    cell->state->release(cell);
    gets_end(ben);
    CHECK(!strcmp(types_of(ben), is_held(cell) ? "task_created task_finished" : "task_created task_updated chunk task_finished"));
    CHECK(!strcmp(said(ben, 0), is_held(cell) ? "" : "more"));
}

static void stream(struct cell *cell)
{
    struct client *ben = client(cell->play);
    sends(ben, f("GET /v1/tasks/%s/stream", cell->id), "");
    CHECK(status_of(ben) == 200);
    cell->state->release(cell);
    reads_to_its_end(cell, ben);
    int ends = 0;
    for (int i = 0; i < ben->events_count; i++) ends += !strcmp(ben->events[i].type, "task_finished");
    CHECK(ends == (cell->state == &paused ? 0 : turns_of(cell)));
    struct event *last = &ben->events[ben->events_count - 1];
    if (ends) CHECK(!strcmp(last->type, "task_finished"));
    if (ends) CHECK(!strcmp(json_z(json_get(last->data, "status")), json_quoted(cell->state->released)));
}

static void thread(struct cell *cell)
{
    sends(cell->anna, f("GET /v1/tasks/%s/thread", cell->id), "");
    gets_status(cell->anna, 200);
    CHECK(count_at(cell->anna, "") == cell->state->thread);
    cell->state->release(cell);
}

static void thread_full(struct cell *cell)
{
    sends(cell->anna, f("GET /v1/tasks/%s/thread/full", cell->id), "");
    gets_status(cell->anna, 200);
    CHECK(count_at(cell->anna, "root") == cell->state->thread);
    if (cell->state == &in_sub_task) CHECK(count_at(cell->anna, "") == 2);
    if (cell->state == &between_calls) CHECK(count_at(cell->anna, "") == 3);
    cell->state->release(cell);
}

/* ---- the table ------------------------------------------------------------------------- */

static void (*const verbs[])(struct cell *) = {get, stop, delete, invoke_sync, invoke_async, invoke_stream, stream, thread, thread_full};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static struct cell opens(struct play *play, const struct state *state)
{
    struct cell cell = {.play = play, .state = state};
    serve_own(play, state == &without_place ? "RUNS_MAX=1" : "");
    cell.anna = client(play);
    cell.database = f("%s/agentd.db", play->own.data);
    cell.agent = agent_of(cell.anna, "'name':'Helper'");
    cell.manager = agent_of(cell.anna, "'name':'Manager'");
    sends(cell.anna, f("POST /v1/agents/%s/tools", cell.manager), q("{'type':'agent','agent_id':'%s'}", cell.agent));
    gets_status(cell.anna, 200);
    return cell;
}

/* Each cell has a task of its own, and leaves nothing: what is deleted at its end is at rest, or comes to it. */
static void row(struct play *play, const struct state *state)
{
    struct cell cell = opens(play, state);
    for (int i = 0; i < VERBS; i++) {
        cell.id = f("cell-%d", i);
        state->make(&cell);
        verbs[i](&cell);
        sends(cell.anna, f("DELETE /v1/tasks/%s", cell.id), "");
        CHECK(status_of(cell.anna) == (verbs[i] == delete ? 404 : 204));
        sends(cell.anna, f("DELETE /v1/tasks/%s-before", cell.id), "");
        CHECK(status_of(cell.anna) == (state == &without_place ? 204 : 404));
        CHECK(model_count(play, "open") == 0);
        CHECK(!strcmp(row_text(cell.database, "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM entry)"), "0"));
    }
}

FLOW(every_verb_on_a_completed_task) { row(play, &completed); }
FLOW(every_verb_on_a_task_that_ended_in_error) { row(play, &error); }
FLOW(every_verb_on_a_failed_task) { row(play, &failure); }
FLOW(every_verb_on_a_stopped_task) { row(play, &stopped); }
FLOW(every_verb_on_a_paused_task) { row(play, &paused); }
FLOW(every_verb_on_a_task_in_a_model_call) { row(play, &talking); }
FLOW(every_verb_on_a_task_in_a_sub_task) { row(play, &in_sub_task); }
FLOW(every_verb_on_a_task_between_tool_calls) { row(play, &between_calls); }
FLOW(every_verb_on_a_task_with_turns_waiting) { row(play, &with_turns_waiting); }
FLOW(every_verb_on_a_task_that_waits_for_a_place) { row(play, &without_place); }
FLOW(every_verb_on_a_task_that_is_held_outside) { row(play, &outside); }

/* ---- being deleted --------------------------------------------------------------------------- */

/* The delete has begun and cannot commit: until it can, nothing new joins the task, whoever stops or deletes it waits, and
 * who reads it reads what is there. Nobody is told of an end that a crash would take back. */
static void is_being_deleted(struct play *play, const struct state *state)
{
    struct cell cell = opens(play, state);
    struct client *ben = client(play), *cleo = client(play), *dora = client(play), *eve = client(play), *fay = client(play);
    const char *other = agent_of(eve, "");
    cell.id = "going";
    state->make(&cell);
    sends(dora, "GET /v1/tasks/going/stream", "");
    CHECK(status_of(dora) == 200);
    looks_at(eve, "going"); /* all of them are known to the server before it may not write */
    void *lock = lock_rows(cell.database);
    sends(ben, "DELETE /v1/tasks/going", "");
    do { /* refused either way, and nothing is written */
        sends(eve, f("POST /v1/agents/%s/invoke", other), says(play, "[[say x]]", "'id':'going'"));
        gets_status(eve, 409);
    } while (!strcmp(text_at(eve, "detail"), "Task belongs to another agent"));
    const char *const ways[] = {"", "/async", "/stream"};
    for (int i = 0; i < 3; i++) {
        sends(eve, again(&cell, ways[i]), says(play, "[[say x]]", "'id':'going'"));
        gets_status(eve, 409);
        has(eve, "detail", "'Task is being deleted'");
    }
    sends(eve, again(&cell, ""), says(play, "[[say x]]", "'parent_execution_id':'going'"));
    gets_status(eve, 409);
    sends(cleo, "POST /v1/tasks/going/stop", "");
    sends(fay, "GET /v1/tasks/going/stream", "");
    CHECK(status_of(fay) == 200);
    static const char *const paths[] = {"", "/thread", "/thread/full"};
    for (int i = 0; i < 3; i++) {
        sends(eve, f("GET /v1/tasks/going%s", paths[i]), "");
        gets_status(eve, 200);
    }
    sends(eve, "DELETE /v1/tasks/going", "");
    bool is_over = state == &completed, has_begun = state != &outside;
    while (has_begun && fay->events_count == 0) CHECK(next_event(fay));
    CHECK(is_over || !has_begun || strcmp(fay->events[fay->events_count - 1].type, "task_finished") != 0);
    unlock_rows(lock);
    gets_end(fay);
    CHECK(!strcmp(fay->events[fay->events_count - 1].type, "task_finished"));
    reads_to_its_end(&cell, dora);
    gets_status(ben, 204);
    gets_status(cleo, 404);
    CHECK(status_of(eve) == 204 || status_of(eve) == 404);
    sends(eve, "GET /v1/tasks/going", "");
    gets_status(eve, 404);
    CHECK(model_count(play, "open") == 0);
}

FLOW(a_completed_task_that_is_being_deleted) { is_being_deleted(play, &completed); }
FLOW(a_paused_task_that_is_being_deleted) { is_being_deleted(play, &paused); }
FLOW(a_talking_task_that_is_being_deleted) { is_being_deleted(play, &talking); }
FLOW(a_task_in_a_sub_task_that_is_being_deleted) { is_being_deleted(play, &in_sub_task); }
FLOW(a_task_held_outside_that_is_being_deleted) { is_being_deleted(play, &outside); }

/* ---- held outside, in line with others --------------------------------------------------------- */

FLOW(a_message_behind_one_that_is_held_outside_waits_for_it)
{
    struct cell cell = opens(play, &outside);
    cell.id = "held";
    make_outside(&cell);
    sends(cell.anna, again(&cell, "/async"), says(play, "[[say mine]]", "'id':'held'"));
    gets_status(cell.anna, 200);
    serve_stop(play);
    serve_start(play, "");
    sends(cell.anna, again(&cell, ""), says(play, "[[say other]]", ""));
    gets_status(cell.anna, 200);
    is_now(&cell, "pending");
    CHECK(model_count(play, "requests") == 1);
    release_outside(&cell);
    is_now(&cell, "stopped");
}

FLOW(a_message_to_be_run_outside_leaves_the_running_turn_here)
{
    struct cell cell = opens(play, &talking);
    struct client *ben = client(play);
    cell.id = "ours";
    make_talking(&cell);
    asks_for(&cell, cell.agent, "/async", "[[say never]]", ",'run_locally':true");
    serve_kill(play);
    serve_start(play, "");
    model_gate(play, cell.id);
    sends(ben, "GET /v1/tasks/ours/stream", "");
    gets_event(ben, "task_finished");
    is_now(&cell, "completed");
}
