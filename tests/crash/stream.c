/* tests/crash/stream.c: followers. What one heard before a crash and, from its last event on, after it, must be what
 * a follower is told who reads the whole at the end: each settled event once and in order, each text whole. */
#include <stdio.h>
#include <stdlib.h>
#include "crash.h"

enum { STREAMS = 64, EVENTS = 1024, SPEAKERS = 64 };
struct heard {
    const char *type, *task, *data;
    int64_t attempts;
};
struct stream {
    int task;
    const char *query; /* how much of the sub-tasks */
    int turn; /* -1: the whole task */
    struct heard *events;
    int count;
    char last[400]; /* id */
    bool is_again, is_over, is_lost;
    bool is_last; /* it follows the task to its last end */
    struct line *line;
    size_t parsed;
    const char *id, *data;
};
static struct stream streams[STREAMS], whole;
static int streams_count;

void streams_forget(void) { streams_count = 0; }

/* ---- hearing ----------------------------------------------------------------------- */

static void take_event(struct stream *s)
{
    struct json json;
    struct json_fault fault;
    if (!s->id || failed(json_parse(test_arena(), str(s->data), &json, &fault))) trouble("an event without id or JSON: %s", s->data);
    if (s->count == EVENTS) trouble("too many events");
    struct json data = json_get(json, "data");
    struct heard *e = &s->events[s->count++];
    *e = (struct heard){text_of(json, "type"), text_of(json, "task_id"), "", json_int(json_get(data, "execution_attempts"))};
    bool is_chunk = !strcmp(e->type, "chunk");
    e->data = is_chunk ? str_z(test_arena(), json_text(data)) : str_z(test_arena(), json_compact(test_arena(), data));
    if (strlen(s->id) >= sizeof s->last) trouble("an id of %zu bytes", strlen(s->id));
    snprintf(s->last, sizeof s->last, "%s", s->id);
    struct task *t = &tasks[s->task];
    if (s == &whole || strcmp(e->task, t->id) != 0 || strcmp(e->type, "task_finished") != 0 || t->delete_asked) return;
    const char *asked = text_of(json_get(data, "input"), "text");
    for (int i = 0; i < t->turns_count; i++)
        if (!strncmp(asked + 1, t->turns[i].label, strlen(t->turns[i].label)) && asked[1 + strlen(t->turns[i].label)] == ' ')
            announce(&t->turns[i], text_of(data, "status"), text_of(data, "result"));
}

static void take_line(struct stream *s, struct str line)
{
    if (line.count == 0 && s->data) take_event(s);
    if (line.count == 0) s->id = s->data = NULL;
    else if (str_starts(line, S("id: "))) s->id = str_z(test_arena(), str_cut(line, 4, line.count));
    else if (str_starts(line, S("data: "))) s->data = str_z(test_arena(), str_cut(line, 6, line.count));
    else if (line.at[0] != ':') trouble("a line of a stream: %.*s", STR_ARGS(line));
}

static void hears(struct line *line)
{
    struct stream *s = line->of;
    struct task *t = &tasks[s->task];
    if (line->status && line->status != 200) {
        bool may_be = t->delete_asked || t->is_gone || line->status == 409 || (line->status == 503 && child.is_stopping);
        if (!may_be) trouble("a stream of %s is answered %d", t->id, line->status);
        if (s->turn >= 0 && !s->is_again && line->is_whole) t->turns[s->turn].known = NEVER, t->turns[s->turn].refused = line->status;
        s->is_lost = s->is_lost || line->is_over;
        return;
    }
    if (line->status == 200 && s->turn >= 0) t->turns[s->turn].known = KNOWN;
    for (char *end; line->body.count > s->parsed &&
                    (end = memchr(line->body.at + s->parsed, '\n', line->body.count - s->parsed));) {
        struct str one = str_n(line->body.at + s->parsed, (size_t)(end - line->body.at) - s->parsed);
        s->parsed += one.count + 1;
        take_line(s, one);
    }
    if (!line->is_over) return;
    s->is_over = line->is_whole && !child.is_stopping; /* a server that stops ends its streams before their end */
    s->line = NULL;
}

static void opens(struct stream *s, const char *method, const char *target, const char *body)
{
    s->parsed = 0;
    s->id = s->data = NULL;
    s->line = line_open(method, target, s->count ? f("Last-Event-ID: %s\r\n", s->last) : "", body, hears, s);
}

static const char *any_query(void)
{
    static const char *const queries[] = {"", "?sub_tasks=all", "?sub_tasks=none"};
    return queries[dice(3)];
}

static struct stream *begins(int task, int turn)
{
    if (streams_count == STREAMS) trouble("too many streams");
    struct stream *s = &streams[streams_count++];
    *s = (struct stream){.task = task, .turn = turn, .query = any_query(), .events = arena_try_alloc(test_arena(), EVENTS * sizeof *s->events)};
    return s;
}

void stream_open_invoke(int task, int turn, const char *body)
{
    struct stream *s = begins(task, turn);
    opens(s, "POST", f("/v1/agents/%s/invoke/stream%s", agents[tasks[task].agent].id, s->query), body);
}

void stream_open_task(int task)
{
    if (streams_count == STREAMS) return;
    struct stream *s = begins(task, -1);
    opens(s, "GET", f("/v1/tasks/%s/stream%s", tasks[task].id, s->query), "");
}

/* ---- after a crash ------------------------------------------------------------------ */

/* Who has heard nothing has nothing to go on from. */
void streams_again(bool is_last)
{
    for (int i = 0; i < streams_count; i++) {
        struct stream *s = &streams[i];
        struct task *t = &tasks[s->task];
        s->line = NULL;
        if (s->is_over || s->is_lost) continue;
        s->is_lost = !s->count || t->is_gone || t->delete_asked || !task_is_known(t);
        if (s->is_lost) continue;
        s->is_again = true;
        s->is_last = is_last;
        opens(s, "GET", f("/v1/tasks/%s/stream%s", t->id, s->query), "");
    }
}

/* ---- comparing ---------------------------------------------------------------------- */

struct speaker {
    const char *task;
    struct buf text;
};

/* Line by line, with texts in one piece. What was said before a turn is begun again counts for nothing. */
static void write_settled(const struct stream *s, int from, struct buf *out)
{
    struct speaker speakers[SPEAKERS];
    int count = 0;
    for (int i = from; i < s->count; i++) {
        const struct heard *e = &s->events[i];
        int at = 0;
        while (at < count && strcmp(speakers[at].task, e->task) != 0) at++;
        if (at == SPEAKERS) trouble("too many tasks in a stream");
        if (at == count) speakers[count++] = (struct speaker){.task = e->task};
        struct buf *text = &speakers[at].text;
        if (!strcmp(e->type, "chunk")) {
            buf_add_str(text, str(e->data));
            continue;
        }
        if (!strcmp(e->type, "task_updated") && e->attempts > 1) text->count = 0;
        if (text->count) buf_addf(out, "chunk %s %.*s\n", e->task, STR_ARGS(buf_str(text)));
        text->count = 0;
        buf_addf(out, "%s %s %s\n", e->type, e->task, e->data);
    }
    for (int i = 0; i < count; i++) buf_free(&speakers[i].text);
}

static bool read_whole(int task, const char *query)
{
    whole = (struct stream){.task = task, .turn = -1, .events = arena_try_alloc(test_arena(), EVENTS * sizeof *whole.events)};
    opens(&whole, "GET", f("/v1/tasks/%s/stream%s", tasks[task].id, query), "");
    for (int64_t until = now_ms() + 30000; !whole.is_over;) {
        if (!pump(50)) return false;
        if (now_ms() > until) trouble("the stream of %s, which is at rest, does not end", tasks[task].id);
    }
    return true;
}

static void write_text(const char *name, struct str text)
{
    FILE *file = fopen(f("%s/crash-%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", name), "w");
    if (!file) return;
    fwrite(text.at, 1, text.count, file);
    fclose(file);
}

/* The line where they part, and the place in it. */
static void differ(const char *id, struct str heard, struct str told)
{
    size_t at = 0, line = 0;
    for (; at < heard.count && at < told.count && heard.at[at] == told.at[at]; at++)
        if (heard.at[at] == '\n') line = at + 1;
    write_text("heard", heard);
    write_text("told", told);
    size_t near = at > line + 40 ? at - 40 : line;
    trouble("%s: a follower heard \"%.*s ... %.*s\", and one who reads the whole \"... %.*s\"", id,
            (int)(strcspn(heard.at + line, "{\n") < heard.count - line ? strcspn(heard.at + line, "{\n") : heard.count - line), heard.at + line,
            STR_ARGS(str_cut(heard, near, 120)), STR_ARGS(str_cut(told, near, 120)));
}

static void compare(struct stream *s)
{
    struct buf heard = {0}, told = {0};
    int from = 0;
    while (from < whole.count && (strcmp(whole.events[from].type, "task_created") || strcmp(whole.events[from].data, s->events[0].data))) from++;
    if (from == whole.count) trouble("%s: the stream's first event is not among the whole: %s", tasks[s->task].id, s->events[0].data);
    write_settled(s, 0, &heard);
    write_settled(&whole, from, &told);
    if (!buf_reserve(&heard, 1)) trouble("no memory");
    heard.at[heard.count] = 0;
    bool is_prefix = heard.count <= told.count && !memcmp(heard.at, told.at, heard.count);
    bool is_short = s->is_last && heard.count != told.count;
    if (!is_prefix || is_short)
        differ(tasks[s->task].id, buf_str(&heard), buf_str(&told));
    buf_free(&heard);
    buf_free(&told);
}

void streams_compare(void)
{
    for (int i = 0; i < streams_count; i++) {
        struct stream *s = &streams[i];
        struct task *t = &tasks[s->task];
        if (s->is_lost || !s->count || t->delete_asked || t->is_gone || t->has_lost) continue;
        if (!read_whole(s->task, s->query)) return;
        compare(s);
    }
}
