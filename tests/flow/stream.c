/* stream.c: a task's events, from the start or from any place, live or finished. */
#include <stdio.h>
#include <stdlib.h>
#include "flow/play.h"

/* A manager with one helper; the manager's id. */
static const char *manager_of(struct client *c, const char *helper)
{
    const char *manager = agent_of(c, "'name':'Manager'");
    sends(c, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(c, 200);
    return manager;
}


/* What was said after event `from`, with chunks of one task joined: cuts may differ, the text may not. */
static const char *rest_of(struct client *c, int from)
{
    struct buf out = {0};
    const char *open = "";
    for (int i = from; i < c->events_count; i++) {
        struct event *event = &c->events[i];
        if (!strcmp(event->type, "chunk")) {
            if (strcmp(open, event->task) != 0) buf_addf(&out, "\nchunk %s ", event->task);
            buf_add_str(&out, json_text(event->data));
            open = event->task;
        } else {
            buf_addf(&out, "\n%s %s %s", event->type, event->task, json_z(event->data));
            open = "";
        }
    }
    const char *kept = str_z(test_arena(), buf_str(&out));
    buf_free(&out);
    return kept;
}

/* Where in the middle of a text one began, the next reader's text joins with what came before. */
static const char *joined(struct client *whole, int before, struct client *part)
{
    struct client both = *part;
    both.events = calloc((size_t)(before + part->events_count) + 1, sizeof *both.events);
    CHECK(both.events);
    for (int i = 0; i < before; i++) both.events[i] = whole->events[i];
    for (int i = 0; i < part->events_count; i++) both.events[before + i] = part->events[i];
    both.events_count = before + part->events_count;
    const char *text = rest_of(&both, 0);
    free(both.events);
    return text;
}

/* From every id of `whole`, the rest is exactly what is missing. */
static void resumes_everywhere(struct client *whole, struct client *again, const char *task, const char *query)
{
    const char *all = rest_of(whole, 0);
    for (int i = 0; i < whole->events_count; i++) {
        again->more_headers = f("Last-Event-ID: %s\r\n", whole->events[i].id);
        sends(again, f("GET /v1/tasks/%s/stream%s", task, query), "");
        gets_end(again);
        again->more_headers = "";
        const char *both = joined(whole, i + 1, again);
        if (strcmp(all, both) != 0) {
            printf("  after event %d (%s %s):\n%s\n  instead of:\n%s\n", i, whole->events[i].id, whole->events[i].type, both, all);
            test_fail(__FILE__, __LINE__, "resuming gives something else");
        }
    }
}

FLOW(a_finished_stream_resumes_at_every_position)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent),
          says(play, "[[think The user wants words.]][[say Grüße, 世界! one two three four]][[split 7]]", "'id':'words'"));
    gets_end(anna);
    CHECK(anna->events_count >= 5);
    resumes_everywhere(anna, ben, "words", "");
}

/* Each prefix of a live stream: the reader of the middle and the reader of the rest hear the same. */
FLOW(a_live_stream_resumes_at_every_position)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent),
          says(play, "[[say one two]][[gate $a]][[say three four]][[gate $b]][[say five]]", "'id':'live'"));
    gets_said(anna, "two");
    int before = anna->events_count;
    struct client *readers[64];
    CHECK(before < 64);
    for (int i = 0; i < before; i++) {
        readers[i] = client(play);
        readers[i]->more_headers = f("Last-Event-ID: %s\r\n", anna->events[i].id);
        sends(readers[i], "GET /v1/tasks/live/stream", "");
        CHECK(status_of(readers[i]) == 200);
    }
    model_gate(play, "a");
    gets_said(anna, "four");
    struct client *late = client(play);
    int middle = anna->events_count;
    sends(late, f("GET /v1/tasks/live/stream?after=%s", anna->events[middle - 1].id), "");
    CHECK(status_of(late) == 200);
    model_gate(play, "b");
    gets_end(anna);
    const char *all = rest_of(anna, 0);
    for (int i = 0; i < before; i++) {
        gets_end(readers[i]);
        if (strcmp(joined(anna, i + 1, readers[i]), all) != 0)
            test_fail(__FILE__, __LINE__, f("after event %d: %s instead of %s", i, joined(anna, i + 1, readers[i]), all));
    }
    gets_end(late);
    CHECK(!strcmp(joined(anna, middle, late), all));
}

FLOW(a_stream_with_sub_tasks_resumes_at_every_position)
{
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = manager_of(anna, helper);
    sends(anna, f("POST /v1/agents/%s/invoke", manager),
          says(play, "[[say I ask.]][[call Helper {\"query\":\"[[say sub answer here]]\"}]]"
                     "[[call Helper {\"query\":\"[[say another one]]\"}]][[then]][[say All done now.]]", "'id':'tree'"));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    has(anna, "result", "'All done now.'");
    static const char *const queries[] = {"", "?sub_tasks=steps", "?sub_tasks=all", "?sub_tasks=none"};
    for (int i = 0; i < 4; i++) {
        sends(anna, f("GET /v1/tasks/tree/stream%s", queries[i]), "");
        gets_end(anna);
        resumes_everywhere(anna, ben, "tree", queries[i]);
    }
}

FLOW(an_id_is_good_whatever_of_the_sub_tasks_is_asked_for)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = manager_of(anna, helper);
    sends(anna, f("POST /v1/agents/%s/invoke", manager),
          says(play, "[[call Helper {\"query\":\"[[say deep]]\"}]][[then]][[say top]]", "'id':'mixed'"));
    gets_status(anna, 200);
    sends(anna, "GET /v1/tasks/mixed/stream?sub_tasks=all", "");
    gets_end(anna);
    sends(cleo, "GET /v1/tasks/mixed/stream?sub_tasks=none", "");
    gets_end(cleo);
    /* From every id of the full stream, the plain one gives a suffix of itself, ending alike. */
    const char *plain = rest_of(cleo, 0);
    for (int i = 0; i < anna->events_count; i++) {
        sends(ben, f("GET /v1/tasks/mixed/stream?sub_tasks=none&after=%s", anna->events[i].id), "");
        gets_end(ben);
        const char *rest = rest_of(ben, 0);
        size_t count = strlen(rest), whole = strlen(plain);
        CHECK(count <= whole && !strcmp(plain + whole - count, rest));
    }
}

/* A reader that hears nothing of sub-tasks came back from one that did, and is told more of what is being said: its id is
 * not before the one that it came with, so that another who goes on from there hears nothing twice. */
FLOW(ids_rise_also_past_what_a_reader_is_not_told)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play), *dora = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream?sub_tasks=all", agent),
          says(play, "[[say one]][[gate $a]][[say two]][[gate $b]][[say three]]", "'id':'past'"));
    gets_said(anna, "one");
    sends(dora, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say below]]", "'parent_execution_id':'past'"));
    gets_status(dora, 200);
    for (int i = 0; i < 3; i++) gets_event(anna, "task_updated"); /* of the sub-task: created, begun, ended */
    const char *came_from = anna->events[anna->events_count - 1].id;
    leaves(anna);
    sends(ben, f("GET /v1/tasks/past/stream?sub_tasks=none&after=%s", came_from), "");
    CHECK(status_of(ben) == 200);
    model_gate(play, "a");
    gets_said(ben, "two");
    const char *left_at = ben->events[ben->events_count - 1].id;
    CHECK(atoll(strchr(left_at, '-') + 1) >= atoll(strchr(came_from, '-') + 1));
    sends(cleo, f("GET /v1/tasks/past/stream?after=%s", left_at), "");
    CHECK(status_of(cleo) == 200);
    model_gate(play, "b");
    gets_end(ben);
    gets_end(cleo);
    CHECK(!strcmp(types_of(cleo), "chunk task_finished"));
    CHECK(!strcmp(str_z(test_arena(), str_trim(str(said(cleo, 0)))), "three"));
}

FLOW(ids_are_on_every_event_and_rise)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one two three]]", ""));
    gets_end(anna);
    for (int i = 0; i < anna->events_count; i++) {
        CHECK(anna->events[i].id[0]);
        for (int j = 0; j < i; j++) CHECK(strcmp(anna->events[i].id, anna->events[j].id) != 0);
    }
    CHECK(!strcmp(anna->type, "text/event-stream; charset=utf-8"));
    CHECK(!strcmp(header_of(anna, "cache-control"), "no-cache"));
    CHECK(!strcmp(header_of(anna, "x-accel-buffering"), "no"));
}

FLOW(last_event_id_wins_over_after)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one two]]", "'id':'wins'"));
    gets_end(anna);
    ben->more_headers = f("Last-Event-ID: %s\r\n", anna->events[anna->events_count - 2].id);
    sends(ben, f("GET /v1/tasks/wins/stream?after=%s", anna->events[0].id), "");
    gets_end(ben);
    CHECK(!strcmp(types_of(ben), "task_finished"));
    /* Beyond the end: nothing more, and the normal end. */
    ben->more_headers = f("Last-Event-ID: %s\r\n", anna->events[anna->events_count - 1].id);
    sends(ben, "GET /v1/tasks/wins/stream", "");
    gets_end(ben);
    CHECK(ben->events_count == 0);
}

FLOW(what_is_no_position_is_422)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'place'"));
    gets_status(anna, 200);
    sends(anna, "GET /v1/tasks/place/stream?after=what%20ever", "");
    has_fault(anna, "['query','after']", "string_pattern_mismatch");
    sends(anna, "GET /v1/tasks/place/stream?sub_tasks=most", "");
    has_fault(anna, "['query','sub_tasks']", "enum");
    anna->more_headers = "Last-Event-ID: what ever\r\n";
    sends(anna, "GET /v1/tasks/place/stream", "");
    has_fault(anna, "['header','last-event-id']", "string_pattern_mismatch");
}

FLOW(a_position_from_before_a_delete_means_the_beginning)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke/stream", agent);
    sends(anna, invoke, says(play, "[[say old words]]", "'id':'again'"));
    gets_end(anna);
    const char *old = anna->events[anna->events_count - 2].id;
    sends(ben, "DELETE /v1/tasks/again", "");
    gets_status(ben, 204);
    sends(ben, invoke, says(play, "[[say new]]", "'id':'again'"));
    gets_end(ben);
    sends(ben, f("GET /v1/tasks/again/stream?after=%s", old), "");
    gets_end(ben);
    CHECK(!strcmp(types_of(ben), "task_created task_updated chunk task_finished"));
    CHECK(!strcmp(said(ben, 0), "new"));
}

FLOW(silence_is_broken_by_heartbeats)
{
    serve_own(play, "HEARTBEAT_MS=10");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one]][[gate $go]][[say two]]", ""));
    gets_said(anna, "one");
    gets_heartbeats(anna, 3);
    model_gate(play, "go");
    gets_event(anna, "task_finished");
    gets_end(anna);
    CHECK(!strstr(body_of(anna), ": ka\n\n"));
}

/* The run floods 3 MB while nobody reads; it finishes all the same, and the reader misses nothing. */
FLOW(a_slow_reader_does_not_slow_the_run)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[flood 3000000]]", "'id':'flood'"));
    CHECK(status_of(anna) == 200);
    model_waits(play, "finished=1&open=0");
    sends(ben, "GET /v1/tasks/flood/stream", "");
    gets_end(ben);
    looks_at(ben, "flood");
    has(ben, "status", "'completed'");
    gets_end(anna);
    CHECK(!strcmp(json_z(json_get(anna->events[anna->events_count - 1].data, "result")), json_z(at(ben, "result"))));
    CHECK(!strcmp(said(anna, 0), text_at(ben, "result")));
}

FLOW(a_reader_that_goes_away_stops_nothing)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one]][[gate $go]][[say two]]", "'id':'gone'"));
    gets_said(anna, "one");
    leaves(anna);
    sends(ben, "GET /v1/tasks/gone/stream", "");
    gets_said(ben, "one");
    model_gate(play, "go");
    gets_event(ben, "task_finished");
    gets_end(ben);
    CHECK(model_count(play, "broken") == 0);
}

FLOW(many_readers_hear_the_same)
{
    struct client *anna = client(play), *readers[100];
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one two]][[gate $go]][[say three]]", "'id':'many'"));
    gets_said(anna, "two");
    for (int i = 0; i < 100; i++) {
        readers[i] = client(play);
        sends(readers[i], "GET /v1/tasks/many/stream", "");
        gets_said(readers[i], "two");
    }
    model_gate(play, "go");
    gets_end(anna);
    const char *all = rest_of(anna, 0);
    for (int i = 0; i < 100; i++) {
        gets_end(readers[i]);
        CHECK(!strcmp(rest_of(readers[i], 0), all));
    }
}

FLOW(a_task_stream_has_all_turns_and_ends_after_the_last)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[say one]]", "'id':'turns'"));
    gets_status(anna, 200);
    sends(anna, f("%s/stream", invoke), says(play, "[[gate $go]][[say two]]", "'id':'turns'"));
    gets_event(anna, "task_updated");
    sends(ben, f("%s/async", invoke), says(play, "[[say three]]", "'id':'turns'"));
    gets_status(ben, 200);
    sends(ben, "GET /v1/tasks/turns/stream", "");
    gets_event(ben, "task_finished");
    model_gate(play, "go");
    gets_end(ben);
    CHECK(!strcmp(types_of(ben), "task_created task_updated chunk task_finished task_created task_updated chunk task_finished "
                                 "task_created task_updated chunk task_finished"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "two"));
    CHECK(!strcmp(said(ben, 0), "onetwothree"));
}

FLOW(reasoning_is_one_think_event_a_model_turn)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[think I weigh it up]][[say yes]]", ""));
    struct event *think = gets_event(anna, "think");
    CHECK(!strcmp(json_z(json_get(think->data, "thought")), "\"I weigh it up\""));
    gets_end(anna);
    CHECK(!strcmp(types_of(anna), "task_created task_updated think chunk task_finished")
          || !strcmp(types_of(anna), "task_created task_updated chunk think task_finished"));
    CHECK(!strcmp(said(anna, 0), "yes"));
}

FLOW(chunks_are_whole_characters_however_the_model_splits)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[split 1]][[say Grüße 世界 🚀 done]]", ""));
    gets_end(anna); /* each event's JSON is read strictly: half a character would fail */
    CHECK(!strcmp(said(anna, 0), "Grüße 世界 🚀 done"));
}

FLOW(stopping_a_task_ends_its_streams)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say so far]][[stall]]", "'id':'stopme'"));
    gets_said(anna, "so far");
    sends(ben, "POST /v1/tasks/stopme/stop", "");
    gets_status(ben, 200);
    struct event *last = gets_event(anna, "task_finished");
    CHECK(!strcmp(json_z(json_get(last->data, "status")), "\"stopped\""));
    gets_end(anna);
    sends(ben, "GET /v1/tasks/stopme/stream", "");
    gets_end(ben);
    CHECK(!strcmp(ben->events[ben->events_count - 1].type, "task_finished"));
}

/* ---- several turns said side by side ---------------------------------------------------- */

/* The texts of each task in this stream from event `from` on, and its other events in order: cuts may differ
 * and tasks may take turns differently, but what each of them said and did may not. */
static const char *per_task(struct client *whole, int before, struct client *part)
{
    const char *names[8], *texts[8], *others = "";
    int count = 0;
    for (int i = 0; i < before + part->events_count; i++) {
        struct event *event = i < before ? &whole->events[i] : &part->events[i - before];
        int at = 0;
        while (at < count && strcmp(names[at], event->task) != 0) at++;
        CHECK(at < 8);
        if (at == count) names[count] = event->task, texts[count++] = "";
        if (!strcmp(event->type, "chunk")) texts[at] = f("%s%s", texts[at], str_z(test_arena(), json_text(event->data)));
        else others = f("%s%s %s\n", others, event->task, event->type);
    }
    for (int i = 0; i < count; i++) others = f("%s%s: %s\n", others, names[i], texts[i]);
    return others;
}

FLOW(a_live_stream_of_sub_agents_side_by_side_resumes_at_every_position)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, "'name':'One'"), *two = agent_of(anna, "'name':'Two'"), *manager = manager_of(anna, one);
    sends(anna, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", two));
    gets_status(anna, 200);
    /* Both speak a part, wait for a gate, and speak on; readers come in at every event in between. */
    sends(anna, f("POST /v1/agents/%s/invoke/stream?sub_tasks=all", manager),
          says(play, f("[[say I ask both.]][[call One {\"query\":\"[[tag %s]][[say Grüße a1 a2]][[gate %s-x]][[say a3 世界]]\"}]]"
                       "[[call Two {\"query\":\"[[tag %s]][[say b1 b2]][[gate %s-y]][[say b3 b4]]\"}]][[then]][[say Done.]]",
                       play->tag, play->tag, play->tag, play->tag), "'id':'sides'"));
    bool has_a = false, has_b = false;
    while (!has_a || !has_b) {
        struct event *event = gets_event(anna, "chunk");
        has_a |= str_is(json_text(event->data), "a2") || strstr(str_z(test_arena(), json_text(event->data)), "a2");
        has_b |= strstr(str_z(test_arena(), json_text(event->data)), "b2") != 0;
    }
    struct client *early[128], *late[128];
    int early_count = anna->events_count, late_count;
    CHECK(early_count < 128);
    for (int i = 0; i < early_count; i++) {
        early[i] = client(play);
        sends(early[i], f("GET /v1/tasks/sides/stream?sub_tasks=all&after=%s", anna->events[i].id), "");
        CHECK(status_of(early[i]) == 200);
    }
    model_gate(play, "x");
    while (!strstr(str_z(test_arena(), json_text(gets_event(anna, "chunk")->data)), "世界"))
        ;
    late_count = anna->events_count;
    CHECK(late_count < 128);
    for (int i = 0; i < late_count; i++) {
        late[i] = client(play);
        sends(late[i], f("GET /v1/tasks/sides/stream?sub_tasks=all&after=%s", anna->events[i].id), "");
        CHECK(status_of(late[i]) == 200);
    }
    model_gate(play, "y");
    gets_end(anna);
    const char *all = per_task(anna, anna->events_count, &(struct client){.events = 0});
    for (int i = 0; i < early_count; i++) {
        gets_end(early[i]);
        const char *both = per_task(anna, i + 1, early[i]);
        if (strcmp(all, both) != 0) test_fail(__FILE__, __LINE__, f("early, after %d:\n%s\ninstead of\n%s", i, both, all));
    }
    for (int i = 0; i < late_count; i++) {
        gets_end(late[i]);
        const char *both = per_task(anna, i + 1, late[i]);
        if (strcmp(all, both) != 0) test_fail(__FILE__, __LINE__, f("late, after %d:\n%s\ninstead of\n%s", i, both, all));
    }
    for (int i = 0; i < anna->events_count; i++) {
        struct client *again = late[0];
        sends(again, f("GET /v1/tasks/sides/stream?sub_tasks=all&after=%s", anna->events[i].id), "");
        gets_end(again);
        const char *both = per_task(anna, i + 1, again);
        if (strcmp(all, both) != 0) test_fail(__FILE__, __LINE__, f("afterwards, after %d:\n%s\ninstead of\n%s", i, both, all));
    }
}

/* A reader that lags behind falls back to the journal while the turn is still being said, and catches up. */
FLOW(a_reader_that_lags_behind_misses_nothing)
{
    serve_own(play, "STREAM_BUFFER=4096 STREAM_FLUSH_MS=0");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[tokens 20000]][[gate $go]][[say the end]]", "'id':'lags'"));
    CHECK(status_of(anna) == 200);
    model_waits(play, "bytes=2000000");
    sends(ben, "GET /v1/tasks/lags/stream", "");
    gets_said(ben, "w20000");
    gets_said(anna, "w20000");
    model_gate(play, "go");
    gets_end(anna);
    gets_end(ben);
    CHECK(!strcmp(said(anna, 0), said(ben, 0)));
    CHECK(strstr(said(anna, 0), "the end"));
}
