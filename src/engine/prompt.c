#include "engine/prompt.h"
#include "engine/endpoint.h"
#include "io/wait.h"
#include "store/entry.h"
#include "store/task.h"
#include "store/turn.h"

enum { PAGE_ENTRIES = 64 };

/* ---- who speaks ------------------------------------------------------------------- */

/* The frozen version: the number, or the draft as it was when the turn was accepted. */
static struct err load_agent(struct ctx *cx, struct run *run, struct agent_row *row, const struct agent **out)
{
    struct err e = store_agent_find(cx, run->engine->store, run->task.agent_id, row);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && row->is_deleting)) return err(ERR_UPSTREAM, "The agent was deleted");
    TRY(e);
    agents_drop(run->agent);
    run->agent = NULL;
    if (run->task.draft.count) {
        struct agent *draft = NEW(cx->arena, struct agent);
        *out = draft;
        return agent_load(cx->arena, run->task.draft, draft);
    }
    int64_t number;
    if (!str_to_int(run->task.agent_version, &number)) return err(ERR_IO, "a turn has no version");
    TRY(agents_hold(cx, run->engine, row, number, &run->agent));
    *out = &run->agent->agent;
    return OK;
}

static void put_section(struct buf *out, const char *title, struct str text)
{
    if (!text.count) return;
    if (out->count) buf_add(out, "\n\n", 2);
    if (*title) buf_addf(out, "%s\n", title);
    buf_add_str(out, text);
}

static void put_list(struct arena *a, struct buf *out, const char *title, struct str list)
{
    struct json items;
    if (list.count <= 2 || failed(json_parse_own(a, list, &items)) || !json_count(items)) return;
    if (out->count) buf_add(out, "\n\n", 2);
    buf_addf(out, "%s", title);
    for (struct json_each e = json_each(items); json_next(&e);) {
        buf_add(out, "\n- ", 3);
        buf_add_str(out, json_text(e.item));
    }
}

static const char *const format_sentences[] = {
    "Answer in plain text, without Markdown.", "Answer in Markdown.",
    "Answer with one JSON value and nothing else: no explanation, no code fence.", "Answer in plain text, to be read aloud."};

static struct err system_prompt(struct ctx *cx, const struct task *t, const struct agent *agent, struct str *out)
{
    struct buf b = {0};
    buf_add(&b, "You are ", 8);
    buf_add_str(&b, agent->name);
    buf_add(&b, ".", 1);
    if (t->instructions_override.count) {
        put_section(&b, "", t->instructions_override);
    } else {
        put_section(&b, "", agent->instructions.general);
        put_list(cx->arena, &b, "Your role:", agent->instructions.role);
        put_list(cx->arena, &b, "Your goals:", agent->instructions.goal);
    }
    put_section(&b, "The expected output:", t->expected_output.at ? t->expected_output : agent->expected_output);
    put_section(&b, "Context for this message:", t->additional_context);
    put_section(&b, "", str(format_sentences[task_wants_json(t) ? FORMAT_JSON : t->output_format]));
    if (b.is_failed) cx->arena->exhausted = true;
    else *out = str_copy(cx->arena, buf_str(&b));
    buf_free(&b);
    return cx->arena->exhausted ? err(ERR_MEMORY, "there is no memory for this request") : OK;
}

/* ---- what it may call ----------------------------------------------------------------- */

static void add_tool(struct arena *a, struct llm_dialogue *d, struct str function, const struct agent *target)
{
    struct llm_tool *tool = NEW(a, struct llm_tool), **at = &d->tools;
    *tool = (struct llm_tool){
        .name = function,
        .description = target->description.count
                           ? strf(a, "%.*s: %.*s", STR_ARGS(target->name), STR_ARGS(target->description))
                           : target->name,
        .parameters = str(tool_parameters),
    };
    while (*at) at = &(*at)->next;
    *at = tool;
}

/* Each sub-agent is a function; one that was deleted since is left out. */
static struct err offer_tools(struct ctx *cx, struct run *run, struct prompt *p)
{
    struct attachments list;
    TRY(attachments_load(cx->arena, p->agent->attachments, &list));
    p->offers = arena_alloc(cx->arena, (size_t)(list.count + 1) * sizeof *p->offers);
    struct str *taken = arena_alloc(cx->arena, (size_t)(list.count + 1) * sizeof *taken);
    for (int i = 0; i < list.count; i++) {
        const struct attachment *item = &list.items[i];
        if (!item->target_id.count) continue;
        struct agent_row row;
        struct agent *target = NEW(cx->arena, struct agent);
        struct err e = store_agent_find(cx, run->engine->store, item->target_id, &row);
        if (e.code == ERR_NOT_FOUND || (!failed(e) && (row.is_deleting || row.org != run->task.org))) continue;
        TRY(e);
        TRY(store_agent_version(cx, run->engine->store, &row, row.version, target));
        struct str function = tool_function_name(cx->arena, target->name, taken, p->offers_count);
        taken[p->offers_count] = function;
        p->offers[p->offers_count++] = (struct offer){function, item->id, item->target_id};
        add_tool(cx->arena, &p->dialogue, function, target);
    }
    return OK;
}

const struct offer *prompt_offer(const struct prompt *p, struct str function)
{
    for (int i = 0; i < p->offers_count; i++)
        if (str_eq(p->offers[i].function, function)) return &p->offers[i];
    return NULL;
}

/* ---- the dialogue ----------------------------------------------------------------------- */

static void append(struct llm_dialogue *d, struct llm_message *m)
{
    if (d->last_message) d->last_message->next = m;
    else d->messages = m;
    d->last_message = m;
}

static struct llm_message *said_message(struct arena *a, const struct said *said)
{
    struct llm_message *m = NEW(a, struct llm_message);
    *m = (struct llm_message){.role = LLM_ASSISTANT, .text = said->text};
    struct llm_call **at = &m->calls;
    for (int i = 0; i < said->calls_count; i++) {
        const struct said_call *c = &said->calls[i];
        *at = NEW(a, struct llm_call);
        **at = (struct llm_call){.id = c->id, .name = c->name, .arguments = c->arguments, .is_broken = c->is_broken};
        at = &(*at)->next;
    }
    return m;
}

void dialogue_said(struct arena *a, struct llm_dialogue *d, const struct said *said) { append(d, said_message(a, said)); }

void dialogue_result(struct arena *a, struct llm_dialogue *d, struct str call_id, struct str text)
{
    struct llm_message *m = NEW(a, struct llm_message);
    *m = (struct llm_message){.role = LLM_TOOL, .text = text, .call_id = call_id};
    append(d, m);
}

/* The text, and the files by their addresses. */
static struct llm_message *user_message(struct arena *a, const struct task *t)
{
    struct llm_message *m = NEW(a, struct llm_message);
    *m = (struct llm_message){.role = LLM_USER, .text = t->input.text};
    struct json files;
    if (t->disable_attachment_injection || t->input.files.count <= 2 || failed(json_parse_own(a, t->input.files, &files)))
        return m;
    struct buf b = {0};
    buf_add_str(&b, t->input.text);
    if (b.count) buf_add(&b, "\n\n", 2);
    buf_add(&b, "Files:", 6);
    for (struct json_each e = json_each(files); json_next(&e);) {
        buf_add(&b, "\n- ", 3);
        buf_add_str(&b, json_text(e.item));
    }
    if (b.is_failed) a->exhausted = true;
    else m->text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return m;
}

/* ---- the thread, backwards ------------------------------------------------------------------ */

struct result_note { /* a result whose call comes later, as we read backwards */
    struct result_note *next;
    int64_t said, call;
    struct str text;
};
struct sub_task_note {
    struct sub_task_note *next;
    int64_t said, call, task;
};
struct reading_back {
    struct run *run;
    struct prompt *prompt;
    int64_t turn;                  /* whose entries are being read; 0: none yet */
    struct llm_message *first;     /* of that turn, so far */
    struct llm_message *thread;    /* of the turns after it */
    struct result_note *results;
    struct sub_task_note *sub_tasks;
    int64_t bytes, turn_bytes;
    bool is_full;
};

static const struct result_note *result_of(const struct reading_back *r, int64_t said, int64_t call)
{
    const struct result_note *n = r->results;
    while (n && (n->said != said || n->call != call)) n = n->next;
    return n;
}

static int64_t sub_task_of(const struct reading_back *r, int64_t said, int64_t call)
{
    const struct sub_task_note *n = r->sub_tasks;
    while (n && (n->said != said || n->call != call)) n = n->next;
    return n ? n->task : 0;
}

static void push_front(struct reading_back *r, struct llm_message *m)
{
    m->next = r->first;
    r->first = m;
    r->turn_bytes += (int64_t)m->text.count;
    for (const struct llm_call *c = m->calls; c; c = c->next) r->turn_bytes += (int64_t)c->arguments.count;
}

/* What was offered then was used, whatever became of the tool since. */
static void note_calls(struct arena *a, struct prompt *p, const struct said *said)
{
    for (int i = said->calls_count - 1; i >= 0; i--) {
        if (!said->calls[i].operation_id.count) continue;
        struct used_tool *used = NEW(a, struct used_tool);
        *used = (struct used_tool){said->calls[i].name, p->used};
        p->used = used;
    }
}

/* A model turn and the results of its calls. Of the running turn a call without a result is open; of an older
 * one it never had any, and the model's API wants an answer to every call. */
static void take_said(struct ctx *cx, struct reading_back *r, const struct entry *e, const struct said *said)
{
    struct prompt *p = r->prompt;
    bool is_running = e->turn == r->run->task.turn;
    int open_count = 0;
    struct open_call *open = arena_alloc(cx->arena, (size_t)(said->calls_count + 1) * sizeof *open);
    for (int i = said->calls_count - 1; i >= 0; i--) {
        const struct result_note *note = result_of(r, e->n, i);
        if (!note && is_running) {
            open[open_count++] = (struct open_call){e->n, i, sub_task_of(r, e->n, i)};
            continue;
        }
        struct llm_message *m = NEW(cx->arena, struct llm_message);
        *m = (struct llm_message){.role = LLM_TOOL, .call_id = said->calls[i].id,
                                  .text = note ? note->text : S("There is no result: the turn was ended before.")};
        push_front(r, m);
    }
    push_front(r, said_message(cx->arena, said));
    if (!is_running) return;
    p->steps_done++;
    p->calls_done += said->calls_count;
    p->tokens_used += said->prompt_tokens + said->completion_tokens;
    note_calls(cx->arena, p, said);
    if (!open_count) return;
    p->last = NEW(cx->arena, struct said);
    *p->last = *said;
    p->last_n = e->n;
    p->open = open;
    p->open_count = open_count;
}

static struct err take_entry(struct ctx *cx, struct reading_back *r, const struct entry *e)
{
    switch (e->kind) {
    case ENTRY_SAID: {
        struct said said;
        TRY(said_read(cx->arena, e->body, &said));
        if (!said.is_partial) take_said(cx, r, e, &said);
        return OK;
    }
    case ENTRY_RESULT: {
        struct tool_outcome o;
        TRY(outcome_read(cx->arena, e->body, &o));
        struct result_note *note = NEW(cx->arena, struct result_note);
        *note = (struct result_note){r->results, o.said, o.call, o.text};
        r->results = note;
        return OK;
    }
    case ENTRY_TRIGGER: {
        struct trigger t;
        TRY(trigger_read(cx->arena, e->body, &t));
        struct sub_task_note *note = NEW(cx->arena, struct sub_task_note);
        *note = (struct sub_task_note){r->sub_tasks, t.said, t.call, t.task};
        r->sub_tasks = note;
        return OK;
    }
    case ENTRY_CREATED:
    case ENTRY_UPDATED:
    case ENTRY_FINISHED: return OK;
    }
    return OK;
}

/* All entries of a turn were read: its message goes in front, and it in front of the thread, if there is room. */
static struct err finish_turn(struct ctx *cx, struct reading_back *r)
{
    if (!r->turn) return OK;
    bool is_running = r->turn == r->run->task.turn;
    struct task *asked = &r->run->task;
    if (!is_running) {
        struct turn_row row;
        asked = NEW(cx->arena, struct task);
        shape_defaults(cx->arena, &task_shape, asked);
        asked->n = r->run->task.n, asked->org = r->run->task.org, asked->root = r->run->task.root;
        TRY(store_turn_get(cx, r->run->engine->store, asked, r->turn, &row));
        TRY(store_turn_open(cx, r->run->engine->store, &r->run->secret, &row, asked));
    }
    push_front(r, user_message(cx->arena, asked));
    int64_t most = r->run->engine->settings.history_bytes_max;
    if (is_running && (int64_t)r->first->text.count > most)
        return errf(cx->arena, ERR_LIMIT, "The message is longer than the %lld bytes that a model is shown", (long long)most);
    if (!is_running && r->bytes + r->turn_bytes > most) {
        r->is_full = true;
        return OK;
    }
    struct llm_message *last = r->first;
    while (last->next) last = last->next;
    last->next = r->thread;
    if (!r->prompt->dialogue.last_message) r->prompt->dialogue.last_message = last;
    r->thread = r->first;
    r->bytes += r->turn_bytes;
    r->first = NULL;
    r->turn_bytes = 0;
    return OK;
}

static struct err read_thread(struct ctx *cx, struct run *run, struct prompt *p)
{
    struct reading_back r = {.run = run, .prompt = p};
    int64_t before = INT64_MAX;
    int count = PAGE_ENTRIES;
    while (count == PAGE_ENTRIES && !r.is_full) {
        struct entry *entries;
        TRY(store_entry_list_back(cx, run->engine->store, &run->secret, run->task.org, run->task.root, run->task.n, before,
                                  PAGE_ENTRIES, &entries, &count));
        for (int i = 0; i < count && !r.is_full; i++) {
            if (entries[i].turn != r.turn) TRY(finish_turn(cx, &r));
            if (r.is_full) break;
            r.turn = entries[i].turn;
            TRY(take_entry(cx, &r, &entries[i]));
            before = entries[i].n;
        }
        if (count == PAGE_ENTRIES) TRY(wait_turn(cx)); /* a long thread is many rows: others have their turn between */
    }
    if (!r.is_full) TRY(finish_turn(cx, &r));
    p->dialogue.messages = r.thread;
    return OK;
}

/* The temperature of the first `before` item. */
static double temperature_of(struct arena *a, struct str settings)
{
    struct json list;
    if (settings.count <= 2 || failed(json_parse_own(a, settings, &list))) return -1;
    for (struct json_each e = json_each(list); json_next(&e);) {
        if (!str_is(json_text(json_get(e.item, "type")), "before")) continue;
        struct json value = json_get(e.item, "temperature");
        enum json_type type = json_type(value);
        return type == JSON_INT || type == JSON_NUMBER ? json_number(value) : -1;
    }
    return -1;
}

struct err prompt_build(struct ctx *cx, struct run *run, struct prompt *out)
{
    const struct task *t = &run->task;
    struct agent_row row;
    struct agent_secret secret;
    memset(out, 0, sizeof *out);
    TRY(load_agent(cx, run, &row, &out->agent));
    TRY(store_agent_secret(cx, run->engine->store, &row, &secret));
    TRY(endpoint_of(cx->arena, &run->engine->settings, t, out->agent, &secret, &out->model));
    TRY(system_prompt(cx, t, out->agent, &out->dialogue.system));
    out->dialogue.wants_json = task_wants_json(t);
    out->dialogue.schema = t->output_schema.count > 2 ? t->output_schema : S("");
    out->dialogue.effort = str(effort_words[t->llm_reasoning_effort]);
    out->dialogue.temperature = temperature_of(cx->arena, out->agent->llm_settings);
    TRY(offer_tools(cx, run, out));
    TRY(read_thread(cx, run, out));
    return cx->arena->exhausted ? err(ERR_MEMORY, "there is no memory for this request") : OK;
}
