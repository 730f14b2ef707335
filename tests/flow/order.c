/* order.c: what holds for every stream that was read from its beginning to its proper end.
 *
 * Turns never mix; each has task_created, task_updated, steps and one task_finished; a tool's
 * result follows its request; chunks after the last step are the result. gets_end() calls this,
 * so that each play that reads a stream holds the order, whatever it is about. */
#include <stdio.h>
#include "flow/play.h"

enum { OPEN_MAX = 64 };
struct turn {
    struct client *c;
    const char *own;                /* the stream's task */
    bool is_open, has_begun;
    const char *requests[OPEN_MAX]; /* tool calls without a result yet */
    int requests_count, said_from;
};

static const char *text_of(struct json object, const char *name)
{
    return str_z(test_arena(), json_text(json_get(object, name)));
}

static void wrong(struct turn *turn, int i, const char *what)
{
    struct client *c = turn->c;
    for (int j = i > 8 ? i - 8 : 0; j <= i && j < c->events_count; j++)
        printf("  %s %s %.160s\n", c->events[j].type, c->events[j].task, json_z(c->events[j].data));
    test_fail(__FILE__, __LINE__, f("the stream of %s: %s, at event %d", turn->own, what, i));
}

static void steps(struct turn *turn, int i)
{
    struct event *event = &turn->c->events[i];
    if (!strcmp(event->type, "tool_call_request")) {
        if (turn->requests_count == OPEN_MAX) wrong(turn, i, "too many open requests for this test");
        turn->requests[turn->requests_count++] = text_of(event->data, "request_id");
    } else if (!strcmp(event->type, "tool_call_result")) {
        const char *id = text_of(event->data, "request_id");
        int at = 0;
        while (at < turn->requests_count && strcmp(turn->requests[at], id) != 0) at++;
        if (at == turn->requests_count) wrong(turn, i, "a result without its request");
        turn->requests[at] = turn->requests[--turn->requests_count];
        turn->said_from = i + 1;
    } else if (!strcmp(event->type, "chunk")) {
        if (json_text(event->data).count == 0) wrong(turn, i, "an empty chunk");
    }
}

static void finishes(struct turn *turn, int i)
{
    struct event *event = &turn->c->events[i];
    const char *status = text_of(event->data, "status"), *format = text_of(event->data, "output_format");
    bool is_done = !strcmp(status, "completed");
    turn->is_open = false;
    if (!is_done && strcmp(status, "failed") != 0 && strcmp(status, "error") != 0 && strcmp(status, "stopped") != 0)
        wrong(turn, i, "it finished with a status that is not final");
    if (is_done && turn->requests_count > 0) wrong(turn, i, "a request without its result");
    if (is_done && !turn->has_begun) wrong(turn, i, "it completed without having begun");
    if (!is_done || (strcmp(format, "markdown") != 0 && strcmp(format, "text") != 0)) return;
    struct client cut = *turn->c;
    cut.events_count = i;
    if (!str_is(json_text(json_get(event->data, "result")), said(&cut, turn->said_from)))
        wrong(turn, i, "what was said is not the result");
}

static void looks(struct turn *turn, int i)
{
    struct event *event = &turn->c->events[i];
    if (strcmp(event->task, turn->own) != 0) { /* a sub-task's, between a request and its result */
        if (!turn->is_open || turn->requests_count == 0) wrong(turn, i, "a sub-task's event outside its call");
        if (!strcmp(event->type, "task_created") || !strcmp(event->type, "task_finished"))
            wrong(turn, i, "a sub-task's beginning or end under its own name");
        return;
    }
    if (!strcmp(event->type, "task_created")) {
        if (turn->is_open) wrong(turn, i, "a turn began inside another");
        if (strcmp(text_of(event->data, "status"), "pending") != 0) wrong(turn, i, "a turn was created, but not pending");
        turn->is_open = true;
        turn->has_begun = false;
        turn->requests_count = 0;
        turn->said_from = i + 1;
    } else if (!turn->is_open) {
        wrong(turn, i, "an event outside a turn");
    } else if (!strcmp(event->type, "task_updated")) {
        turn->has_begun = true;
        if (json_int(json_get(event->data, "execution_attempts")) > 1) turn->said_from = i + 1;
    } else if (!strcmp(event->type, "task_finished")) {
        finishes(turn, i);
    } else {
        if (!turn->has_begun) wrong(turn, i, "a step before the turn was executing");
        steps(turn, i);
    }
}

void keeps_order(struct client *c)
{
    if (c->events_count == 0 || strcmp(c->events[0].type, "task_created") != 0) return;
    struct turn turn = {.c = c, .own = c->events[0].task};
    for (int i = 0; i < c->events_count; i++) {
        struct event *event = &c->events[i];
        if (!event->id[0]) wrong(&turn, i, "an event without an id");
        if (i > 0 && !strcmp(event->id, c->events[i - 1].id)) wrong(&turn, i, "two events with one id");
        looks(&turn, i);
    }
}
