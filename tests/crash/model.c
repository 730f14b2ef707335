/* tests/crash/model.c: the model. What it says follows from the question alone ("#LABEL PLAN") and from how often it
 * was asked for this step: so it can tell when it is asked again for what was finished, and when what it is told
 * of the past is not what it said.
 *
 * A plan has a letter for each step: a answers; c calls the helper, d calls it twice, m calls the manager, who
 * calls the helper; x calls what is not there. A capital holds the second half back until it is released. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "crash.h"

enum { LABELS = 1024 };
static struct label labels[LABELS];
static int labels_count;
bool model_holds;
int generation;
static int64_t releases;

struct talker {
    int fd;
    struct buf in, rest; /* what is still to be said */
    bool is_held;
    int rounds;          /* until the rest is said */
    int64_t held_at;
    struct talker *next;
};

void model_forget(void) { labels_count = 0; }
void model_release(void) { releases++; }

struct label *model_label(const char *name)
{
    for (int i = 0; i < labels_count; i++)
        if (!strcmp(labels[i].name, name)) return &labels[i];
    return NULL;
}

void model_close(const char *name, const char *why)
{
    size_t count = strlen(name);
    for (int i = 0; i < labels_count; i++) {
        bool is_below = !strncmp(labels[i].name, name, count) && labels[i].name[count] == '/';
        if (!is_below && strcmp(labels[i].name, name) != 0) continue;
        labels[i].is_closed = true;
        snprintf(labels[i].why, sizeof labels[i].why, "%s", why);
    }
}

static char letter(const struct label *l, int step) { return (char)tolower(l->plan[step]); }
static int calls_at(char step) { return step == 'd' ? 2 : step == 'c' || step == 'm' ? 1 : 0; }

int model_calls(const char *plan)
{
    int count = 0;
    for (; *plan; plan++) count += calls_at((char)tolower(*plan));
    return count;
}

const char *model_said(const struct label *l, int step, int attempt)
{
    static const char *const words[] = {"red", "green", "blué", "grey", "white", "black"};
    struct buf b = {0};
    buf_addf(&b, "%s step %d for the %d. time:", l->name, step, attempt);
    for (int i = 0; i < 3 + (step + attempt + (int)strlen(l->name)) % 4; i++) buf_addf(&b, " %s", words[(step + attempt + i) % 6]);
    const char *kept = str_z(test_arena(), buf_str(&b));
    buf_free(&b);
    return kept;
}

const char *model_answer(const struct label *l)
{
    int last = (int)strlen(l->plan) - 1;
    return l->asked[last] ? model_said(l, last, l->asked[last]) : "";
}

/* ---- what it is told --------------------------------------------------------------- */

static struct label *label_of(const char *text)
{
    char name[LABEL_BYTES], plan[PLAN_BYTES];
    if (sscanf(text, "#%47s %7s", name, plan) != 2) trouble("the model is asked \"%s\"", text);
    struct label *l = model_label(name);
    if (l) return l;
    if (labels_count == LABELS) trouble("too many labels");
    l = &labels[labels_count++];
    *l = (struct label){0};
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->plan, sizeof l->plan, "%s", plan);
    return l;
}

static void check_result(const struct label *l, int step, int call, const char *told)
{
    if (letter(l, step) == 'x') {
        if (strncmp(told, "There is no tool named", 22) != 0) trouble("%s: the result of no tool is %s", l->name, told);
        return;
    }
    const struct label *below = model_label(f("%s/%d%d", l->name, step, call));
    if (child.plan.runs_max && !strncmp(told, "The server runs as many tasks", 29)) return;
    bool is_ended = !strcmp(told, "The sub-task was deleted.") || !strncmp(told, "The sub-task ended as stopped", 29);
    if (below && below->may_end && is_ended) return;
    if (!below || strcmp(told, model_answer(below)) != 0)
        trouble("%s: call %d of step %d gave \"%s\", not \"%s\"", l->name, call, step, told, below ? model_answer(below) : "(never asked)");
}

struct past { /* the messages, as they are gone through */
    const struct label *label; /* whose turn; null: one that never began */
    bool is_running;
    int step, told;            /* the last one said; its calls that have a result */
};

static void check_said(struct past *past, const char *content)
{
    const struct label *l = past->label;
    int step = ++past->step;
    past->told = 0;
    if (!l) trouble("an answer in a turn that never began: %s", content);
    if (step >= (int)strlen(l->plan) - past->is_running) trouble("%s: more was said than its plan has", l->name);
    const char *said = model_said(l, step, l->asked[step]);
    if (strcmp(said, content) != 0) trouble("%s: step %d is told as \"%s\", not \"%s\"", l->name, step, content, said);
}

/* By its number, for those that a crash left open come last. */
static void check_tool(struct past *past, const char *id, const char *content)
{
    int step = -1, index = -1;
    if (!past->label || sscanf(id, "call_%d_%d", &step, &index) != 2 || step != past->step || index < 0 || index > 1 ||
        (past->told & 1 << index))
        trouble("a result of no open call: %s", content);
    past->told |= 1 << index;
    bool is_cut = !past->is_running && !strncmp(content, "There is no result", 18);
    if (!is_cut) check_result(past->label, step, index, content);
}

static void check_results(const struct past *past)
{
    if (!past->label || past->step < 0) return;
    char what = letter(past->label, past->step);
    if (past->told != (1 << (what == 'x' ? 1 : calls_at(what))) - 1)
        trouble("%s: of step %d the results %x are told", past->label->name, past->step, (unsigned)past->told);
}

/* 1 of "#T3.1 ca": messages that were sent at the same time may have come in another order, but each once. */
static int number_of(const char *text)
{
    char name[LABEL_BYTES];
    if (sscanf(text, "#%47s", name) != 1) trouble("the model is told \"%s\"", text);
    return atoi(strrchr(name, '.') + 1);
}

/* All that is told was said and done, turn by turn and step by step. Gives the label of the last turn, and how many of
 * its steps are done. */
static struct label *check_past(struct json messages, int question, int *steps)
{
    struct past past = {0};
    struct label *last = NULL;
    int at = 0, turns = 0;
    for (struct json_each e = json_each(messages); json_next(&e); at++) {
        const char *role = text_of(e.item, "role"), *content = text_of(e.item, "content");
        if (!strcmp(role, "user")) {
            char name[LABEL_BYTES] = "";
            check_results(&past);
            if (turns & 1 << number_of(content)) trouble("\"%s\" is told twice", content);
            turns |= 1 << number_of(content);
            sscanf(content, "#%47s", name);
            past = (struct past){.is_running = at == question, .step = -1};
            past.label = last = at == question ? label_of(content) : model_label(name);
        } else if (!strcmp(role, "assistant")) {
            check_said(&past, content);
        } else if (!strcmp(role, "tool")) {
            check_tool(&past, text_of(e.item, "tool_call_id"), content);
        }
    }
    check_results(&past);
    *steps = past.step + 1;
    return last;
}

static struct label *hear(struct str body, int *step)
{
    struct json json;
    int question = -1, at = 0;
    if (failed(json_parse_own(test_arena(), body, &json))) trouble("the model is sent no JSON");
    struct json messages = json_get(json, "messages");
    for (struct json_each e = json_each(messages); json_next(&e); at++)
        if (!strcmp(text_of(e.item, "role"), "user")) question = at;
    struct label *l = check_past(messages, question, step);
    if (!l) trouble("the model is asked nothing");
    if (l->is_closed) trouble("%s: the model is asked again, though %s", l->name, l->why);
    if (*step < l->highest) trouble("%s: step %d is done again after step %d was begun", l->name, *step, l->highest);
    if (l->asked[*step] && l->asked_in[*step] == generation) trouble("%s: step %d is asked for twice in one life", l->name, *step);
    l->highest = *step;
    l->asked[*step]++;
    l->asked_in[*step] = generation;
    return l;
}

/* ---- what it says ------------------------------------------------------------------- */

static void put_chunk(struct buf *out, const char *json)
{
    buf_addf(out, "%zx\r\ndata: %s\n\n\r\n", strlen(json) + 8, json);
}

static void put_delta(struct buf *out, const char *delta, const char *finish)
{
    put_chunk(out, f("{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
                     "\"delta\":{%s},\"finish_reason\":%s}]}", delta, finish));
}

static void put_call(struct buf *out, const struct label *l, int step, int index)
{
    char what = letter(l, step);
    const char *name = what == 'm' ? "agent_manager" : what == 'x' ? "agent_nobody" : "agent_helper";
    const char *plan = what == 'm' ? "ca" : index == 1 ? "A" : "a";
    put_delta(out, f("\"tool_calls\":[{\"index\":%d,\"id\":\"call_%d_%d\",\"type\":\"function\",\"function\":{\"name\":\"%s\","
                     "\"arguments\":\"{\\\"query\\\":\\\"#%s/%d%d %s\\\"}\"}}]", index, step, index, name, l->name, step, index, plan),
              "null");
}

static void speak(struct talker *t, const struct label *l, int step)
{
    struct buf out = {0};
    const char *said = model_said(l, step, l->asked[step]), *middle = strchr(said, ':') + 1;
    int calls = letter(l, step) == 'x' ? 1 : calls_at(letter(l, step));
    buf_addf(&out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    put_delta(&out, f("\"role\":\"assistant\",\"content\":\"%.*s\"", (int)(middle - said), said), "null");
    (void)!send(t->fd, out.at, out.count, MSG_NOSIGNAL);
    buf_free(&out);
    put_delta(&t->rest, f("\"content\":\"%s\"", middle), "null");
    for (int i = 0; i < calls; i++) put_call(&t->rest, l, step, i);
    put_delta(&t->rest, "", calls ? "\"tool_calls\"" : "\"stop\"");
    put_chunk(&t->rest, "[DONE]");
    buf_addf(&t->rest, "0\r\n\r\n");
    t->is_held = model_holds && isupper((unsigned char)l->plan[step]) && l->asked[step] < 3;
    t->held_at = releases;
    t->rounds = (int)(strlen(l->name) + (size_t)step) % 3;
}

/* ---- its connections ---------------------------------------------------------------- */

struct talker *talker_new(int fd)
{
    struct talker *t = calloc(1, sizeof *t);
    if (!t) trouble("no memory");
    t->fd = fd;
    return t;
}

int talker_fd(const struct talker *t) { return t->fd; }
struct talker *talker_next(const struct talker *t) { return t->next; }
void talker_link(struct talker *t, struct talker *next) { t->next = next; }

void talker_free(struct talker *t)
{
    close(t->fd);
    buf_free(&t->in);
    buf_free(&t->rest);
    free(t);
}

bool talker_hears(struct talker *t)
{
    ssize_t got;
    do {
        if (!buf_reserve(&t->in, 8192)) trouble("no memory");
        got = recv(t->fd, t->in.at + t->in.count, 8192, MSG_DONTWAIT);
        if (got > 0) t->in.count += (size_t)got;
    } while (got > 0);
    char *end = t->in.count ? memmem(t->in.at, t->in.count, "\r\n\r\n", 4) : NULL;
    if (end) {
        size_t head = (size_t)(end - t->in.at) + 4;
        const char *text = str_z(test_arena(), str_n(t->in.at, head)), *length = strcasestr(text, "content-length: ");
        size_t body = length ? (size_t)atol(length + 16) : 0;
        if (t->in.count >= head + body) {
            int step;
            struct label *l = hear(str_copy(test_arena(), str_n(t->in.at + head, body)), &step);
            buf_drop_front(&t->in, head + body);
            speak(t, l, step);
        }
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

void talker_goes_on(struct talker *t)
{
    if (!t->rest.count || (t->is_held && t->held_at == releases) || t->rounds-- > 0) return;
    (void)!send(t->fd, t->rest.at, t->rest.count, MSG_NOSIGNAL);
    t->rest.count = 0;
}
