/* engine/start.c: a message becomes a turn, on disk, and then it runs.
 *
 * A new task is one commit: its key's slot, its row, its first turn and, if there is a place for it, the
 * beginning of the run. Its run is in the registry before that commit, so that nobody who looks can miss it. A
 * message for a task that is there is one commit too: the turn that waits; whoever runs the task takes it. */
#include "base/clock.h"
#include "base/id.h"
#include "engine/endpoint.h"
#include "engine/journal.h"
#include "engine/model.h"
#include "engine/quota.h"
#include "model/agent.h"
#include "store/entry.h"
#include "store/task.h"
#include "store/turn.h"
#include <assert.h>

enum { TRIES = 16 }; /* two who name the same new id meet at most once or twice */

static const struct loc *body(void)
{
    static const struct loc loc = {.name = "body"};
    return &loc;
}

static struct str quoted(struct arena *a, struct str text)
{
    struct buf b = {0};
    json_put_text(&b, text);
    struct str s = str_copy(a, buf_str(&b));
    buf_free(&b);
    return s;
}

static void refuse(struct acceptance *a, const char *field, struct str value, const char *sentence)
{
    fault_value(a->faults, LOC(body(), field), quoted(a->faults->arena, value), sentence);
}

static struct err refused(void) { return err(ERR_INVALID, "the request breaks a rule"); }

/* ---- which agent, in which version, with which model --------------------------------- */

static struct err no_such_version(struct acceptance *a)
{
    static const struct loc query = {.name = "query"};
    fault_value(a->faults, LOC(&query, "version"), quoted(a->faults->arena, a->version), "No such version");
    return refused();
}

/* Frozen with the turn: a deploy never touches it. The draft is frozen by its content. */
static struct err choose_version(struct ctx *cx, struct engine *engine, struct acceptance *a, struct known_agent **out)
{
    struct task *t = a->task;
    int64_t number = a->agent->version;
    bool is_draft = str_is(a->version, "draft");
    if (!is_draft && a->version.count && !str_is(a->version, "latest") &&
        (!str_to_int(a->version, &number) || number < 1 || a->version.at[0] == '0' || a->version.at[0] == '+'))
        return no_such_version(a);
    struct err e = agents_hold(cx, engine, a->agent, is_draft ? VERSION_DRAFT : number, out);
    if (e.code == ERR_NOT_FOUND && number > a->agent->version) return no_such_version(a); /* else the agent is gone */
    TRY(e);
    t->agent_version = is_draft ? S("draft") : strf(cx->arena, "%lld", (long long)number);
    if (is_draft) t->draft = agent_content(cx->arena, &(*out)->agent);
    return OK;
}

static struct str own(struct arena *arena, struct str text) { return text.at ? str_copy(arena, text) : text; }

static bool choose_provider(struct arena *arena, struct acceptance *a, const struct agent *agent)
{
    struct task *t = a->task;
    t->model_provider = own(arena, agent->model_provider);
    t->model_name = own(arena, agent->model_name);
    if (t->llm_model_provider.at) {
        struct str canonical;
        enum provider_state state = engine_provider(t->llm_model_provider, &canonical);
        if (state == PROVIDER_UNKNOWN) {
            fault_enum(a->faults, LOC(body(), "llm_model_provider"), quoted(a->faults->arena, t->llm_model_provider),
                       provider_words, false);
            return false;
        }
        if (state == PROVIDER_LATER) {
            refuse(a, "llm_model_provider", t->llm_model_provider, "agentd cannot speak to this provider yet");
            return false;
        }
        if (!str_eq(canonical, agent->model_provider)) {
            t->model_provider = canonical;
            t->model_name = engine_default_model(canonical);
        }
    }
    if (t->llm_model_name.count) t->model_name = t->llm_model_name;
    return true;
}

/* What the call left open, the agent says; effective values are kept with the turn. */
static bool choose_rest(struct arena *arena, struct acceptance *a, const struct agent *agent)
{
    struct task *t = a->task;
    if (t->output_format < 0) t->output_format = agent->output_format;
    if (!t->output_schema.at) t->output_schema = own(arena, agent->output_schema);
    if (!t->voice_id.at) t->voice_id = own(arena, agent->voice_id);
    if (t->llm_reasoning_effort < 0)
        t->llm_reasoning_effort = t->think_mode == THINK_HARDER ? EFFORT_HIGH : agent->llm_reasoning_effort;
    if (!t->source.count) t->source = S("api");
    return choose_provider(arena, a, agent);
}

/* All that the agent has a say in. The task borrows nothing of it. */
static struct err choose(struct ctx *cx, struct engine *engine, struct acceptance *a)
{
    struct known_agent *known = NULL;
    TRY(choose_version(cx, engine, a, &known));
    bool is_good = choose_rest(cx->arena, a, &known->agent);
    agents_drop(known);
    return is_good ? OK : refused();
}

/* ---- where it hangs ------------------------------------------------------------------- */

/* A parent that the caller names: unknown 422, another organisation's 403, being deleted 409. */
static struct err find_parent(struct ctx *cx, struct engine *engine, struct acceptance *a, struct task *parent)
{
    struct err e = store_task_find(cx, engine->store, a->org, a->task->parent_execution, parent);
    if (e.code == ERR_NOT_FOUND) {
        struct task held;
        if (!failed(store_task_holding(cx, engine->store, a->org, a->task->parent_execution, &held)))
            return err(ERR_CONFLICT, "Task is being deleted");
        refuse(a, "parent_execution_id", a->task->parent_execution, "There is no such task");
        return refused();
    }
    return e;
}

static struct err hang(struct ctx *cx, struct engine *engine, struct acceptance *a)
{
    struct task *t = a->task, found, *parent = &found;
    int64_t count, depth_max = engine->settings.tree_depth_max;
    t->owner = a->agent->n;
    t->root = t->n;
    t->parent = 0;
    t->depth = 1;
    if (a->parent) parent = &a->parent->task;
    else if (t->parent_execution.at) TRY(find_parent(cx, engine, a, parent));
    else return OK;

    struct str shown = a->parent ? parent->id : t->parent_execution;
    if (parent->depth >= depth_max) {
        refuse(a, "parent_execution_id", shown,
               arena_printf(cx->arena, "A tree of tasks may be at most %lld deep (tree_depth_max)", (long long)depth_max));
        return refused();
    }
    TRY(store_task_tree_count(cx, engine->store, a->org, parent->root, engine->settings.sub_tasks_max + 2, &count));
    if (count > engine->settings.sub_tasks_max) {
        refuse(a, "parent_execution_id", shown,
               arena_printf(cx->arena, "A tree may have at most %lld sub-tasks (sub_tasks_max)", (long long)engine->settings.sub_tasks_max));
        return refused();
    }
    t->parent = parent->n;
    t->root = parent->root;
    t->depth = parent->depth + 1;
    t->owner = parent->owner;
    t->parent_execution = parent->id;
    return OK;
}

/* The agent that is said to have triggered it: unknown 422, another organisation's 403. */
static struct err check_trigger(struct ctx *cx, struct engine *engine, struct acceptance *a)
{
    struct agent_row row;
    if (!a->task->triggering_agent_id.at || a->parent) return OK;
    struct err e = store_agent_find(cx, engine->store, a->task->triggering_agent_id, &row);
    if (!failed(e) && row.org != a->org) return err(ERR_DENIED, 0);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && row.is_deleting)) {
        refuse(a, "triggering_agent_id", a->task->triggering_agent_id, "There is no such agent");
        return refused();
    }
    return e;
}

/* ---- a new task --------------------------------------------------------------------------- */

/* The parent's journal hears of the sub-task in the commit that makes it. */
static struct err add_trigger(struct ctx *cx, struct journal *journal, const struct acceptance *a)
{
    struct run *parent = a->parent;
    struct trigger trigger = {.said = a->said, .call = a->call, .task = a->task->n, .task_id = a->task->id,
                              .agent_id = a->task->agent_id};
    struct entry *e = &journal->entries[journal->entries_count++];
    *e = (struct entry){.n = store_number(parent->engine->store), .root = parent->task.root, .task = parent->task.n,
                        .turn = parent->task.turn, .run = parent->task.run, .at = clock_now_us(), .kind = ENTRY_TRIGGER,
                        .body = trigger_body(cx->arena, &trigger)};
    return store_entry_insert(cx, parent->engine->store, journal->batch, &parent->secret, parent->task.org, e);
}

/* Everything of a new task in one batch. With `begins` its first turn is executing in it. */
static struct err write_new(struct ctx *cx, struct engine *engine, struct acceptance *a, struct run *run, bool begins)
{
    struct store *store = engine->store;
    struct task *t = &run->task;
    struct journal journal = journal_new(cx, run);

    TRY(keyring_take(cx, store->keyring, journal.batch, &t->slot, &run->secret));
    a->task->slot = t->slot;
    struct err e = store_task_insert(cx, store, journal.batch, &run->secret, t);
    if (!failed(e)) e = store_turn_insert(cx, store, journal.batch, &run->secret, t, 1, t->created_at);
    store_idempotent_add(journal.batch, a->org, a->once, &(struct made){.n = t->n, .turn = 1, .after = a->after}, t->created_at);
    if (!failed(e) && a->parent) e = add_trigger(cx, &journal, a);
    if (!failed(e) && begins) e = journal_add(cx, &journal, ENTRY_CREATED, S(""), 0);
    if (!failed(e) && begins) e = journal_add(cx, &journal, ENTRY_UPDATED, S(""), 0);
    if (!failed(e)) e = journal_write(cx, &journal);
    a->is_beaten = e.code == ERR_CONFLICT;
    if (failed(e)) keyring_untake(store->keyring, t->slot);
    return e;
}

/* What the run keeps of the task lives in its own arena. */
static struct err copy_task(struct run *run, const struct task *t)
{
    run->task = *t;
    task_keep(&run->arena, &run->task);
    return run->arena.exhausted ? err(ERR_MEMORY, "there is no memory for this request") : OK;
}

/* Held outside: a row and a turn that wait for somebody to report; no run. */
static struct err start_new(struct ctx *cx, struct engine *engine, struct acceptance *a)
{
    struct task *t = a->task;
    bool is_outside = t->run_locally, has_place = engine_has_place(engine);
    if (!a->parent && !is_outside) TRY(quota_run(engine, a->org));
    if (a->parent && !has_place) return err(ERR_BUSY, "The server runs as many tasks as it may; the sub-task was not started");
    if (!is_outside && !has_place && engine->pending_count >= engine->settings.pending_max)
        return err(ERR_BUSY, "The server has too many tasks that wait");
    bool begins = !is_outside && has_place;
    struct run *run = run_new(engine, t->n, t->root);
    if (!run) return err(ERR_MEMORY, "there is no memory for this request");
    struct err e = copy_task(run, t);
    if (!failed(e)) {
        run->task.is_outside = is_outside;
        run->task.run = 1;
        run->task.turn = run->task.turns = 1;
        run->task.status = begins ? TASK_EXECUTING : TASK_PENDING;
        run->task.started_at = begins ? t->created_at : 0;
        run->has_begun = begins;
        e = write_new(cx, engine, a, run, begins);
    }
    /* No wait from here to the spawn: an act that came meanwhile has found the run and told it to end. */
    if (!failed(e) && begins) {
        struct err spawned = run_spawn(run);
        if (!failed(spawned)) return OK;
        run_forget(run); /* no stack: it stays executing on disk, and is taken up when there is one */
        return engine_take_up(engine, t->org, t->n);
    }
    run_forget(run);
    return failed(e) || is_outside ? e : engine_take_up(engine, t->org, t->n);
}

/* ---- one message more ------------------------------------------------------------------------- */

/* A task that is held: may this message join it? */
static struct err check_held(struct ctx *cx, struct engine *engine, const struct acceptance *a, const struct task *held)
{
    int64_t waiting;
    if (held->is_deleting || engine_is_erasing(engine, held->n)) return err(ERR_CONFLICT, "Task is being deleted");
    if (!str_eq(held->agent_id, a->agent->id)) return err(ERR_CONFLICT, "Task belongs to another agent");
    if (a->task->parent_execution.at && !str_eq(a->task->parent_execution, held->parent_execution))
        return err(ERR_CONFLICT, "Task has another parent");
    TRY(store_turn_waiting(cx, engine->store, a->org, held->n, &waiting));
    if (waiting >= engine->settings.turns_waiting_max) return err(ERR_CONFLICT, "Too many messages are waiting on this task");
    return OK;
}

/* Look again. */
static struct err beaten(struct acceptance *a)
{
    a->is_beaten = true;
    return err(ERR_CONFLICT, "The task was changed meanwhile");
}

/* What is on disk is accepted, whoever hangs up: it is not left lying because its caller no longer waits. */
static struct err take_up_accepted(struct ctx *cx, struct engine *engine, int64_t org, int64_t n)
{
    struct scope scope;
    struct ctx inner = scope_open_shielded(&scope, cx, 0);
    struct err e = act_clear(&inner, engine, n), closed = scope_close(&inner);
    if (failed(e) || failed(closed)) return failed(e) ? e : closed;
    return engine_take_up(engine, org, n);
}

static struct err start_next(struct ctx *cx, struct engine *engine, struct acceptance *a, const struct task *held)
{
    struct task *t = a->task;
    struct secret secret;
    TRY(check_held(cx, engine, a, held));
    if (!t->run_locally && !run_of(engine, held->n)) TRY(quota_run(engine, a->org));
    if (act_over(engine, held->n)) { /* we wait, and then what we know of it is old */
        TRY(act_clear(cx, engine, held->n));
        return beaten(a);
    }
    t->n = held->n, t->root = held->root, t->parent = held->parent, t->depth = held->depth, t->owner = held->owner;
    t->slot = held->slot, t->run = held->run, t->turns = held->turns;
    t->parent_execution = held->parent_execution;
    t->triggering_agent_id = held->triggering_agent_id;
    t->is_outside = t->run_locally;
    t->has_children = held->has_children;
    t->sealed = t->title.at ? (struct str){0} : held->sealed;
    t->turn = held->turns + 1;
    int64_t now = clock_now_us();
    a->after = store_number(engine->store);

    TRY(store_task_secret(engine->store, held, &secret));
    struct batch *batch = batch_new(cx->arena);
    store_task_accept(batch, t, now);
    store_idempotent_add(batch, a->org, a->once, &(struct made){.n = t->n, .turn = t->turn, .after = a->after}, now);
    struct err e = store_turn_insert(cx, engine->store, batch, &secret, t, t->turn, now);
    if (!failed(e)) e = store_task_describe(cx, engine->store, batch, &secret, t);
    if (!failed(e)) e = db_write(cx, engine->store->db, batch);
    a->is_beaten = e.code == ERR_CONFLICT;
    struct err shown = e;
    if (!failed(e)) {
        run_call(engine, held->n);
        shown = store_task_show(cx, engine->store, &secret, t, t->turn, MOMENT_CREATED, INT64_MAX);
    }
    secret_drop(engine->store->keyring, &secret);
    TRY(e);
    t->turns = t->turn;
    t->created_at = held->created_at;
    t->updated_at = now;
    /* It is accepted, and runs, even if it could not be shown. */
    TRY(take_up_accepted(cx, engine, a->org, held->n));
    if (shown.code == ERR_NOT_FOUND) return err(ERR_CONFLICT, "Task is being deleted"); /* between the commit and the look */
    return shown;
}

/* ---- once and no more --------------------------------------------------------------------------- */

/* A request of this key was there before: what it made is the answer, nothing is made anew. */
static struct err find_made(struct ctx *cx, struct engine *engine, struct acceptance *a)
{
    static const struct loc header = {.name = "header"};
    struct made made;
    if (!a->once || !a->once->hash.at) return OK;
    struct err e = store_idempotent_find(cx, engine->store, a->org, a->once, &made);
    if (e.code == ERR_NOT_FOUND) return OK;
    TRY(e);
    if (!made.is_same_body) {
        fault_value(a->faults, LOC(&header, "idempotency-key"), S("null"), "Key was used with another body");
        return refused();
    }
    struct task row;
    e = store_task_get(cx, engine->store, a->org, made.n, &row);
    bool is_gone = e.code == ERR_NOT_FOUND || (!failed(e) && (row.is_deleting || engine_is_erasing(engine, row.n)));
    if (is_gone) return err(ERR_GONE, 0);
    TRY(e);
    *a->task = row;
    a->task->turn = made.turn;
    a->after = made.after;
    a->is_again = true;
    return OK;
}

/* ---- the two ways ------------------------------------------------------------------------------ */

static struct err start_once(struct ctx *cx, struct engine *engine, struct acceptance *a, bool has_id)
{
    struct task *t = a->task, held;
    if (has_id) {
        struct err e = store_task_holding(cx, engine->store, a->org, t->id, &held);
        if (!failed(e)) return start_next(cx, engine, a, &held);
        if (e.code == ERR_NOT_FOUND) e = store_task_whose(cx, engine->store, t->id);
        if (e.code != ERR_NOT_FOUND) return e;
        if (act_erasing(engine, a->org, t->id)) return err(ERR_CONFLICT, "Task is being deleted");
    }
    t->turn = t->turns = 1;
    t->n = a->after = store_number(engine->store);
    if (!has_id) t->id = uuid_new(cx->arena);
    t->is_named = has_id;
    t->created_at = t->updated_at = clock_now_us();
    TRY(hang(cx, engine, a));
    if (t->parent) TRY(act_clear(cx, engine, t->parent));
    return start_new(cx, engine, a);
}

struct err engine_start(struct ctx *cx, struct engine *engine, struct acceptance *a)
{
    struct task *t = a->task;
    bool has_id = t->id.at != NULL;

    if (engine->is_closing) return err(ERR_BUSY, "The server is stopping");
    TRY(find_made(cx, engine, a));
    if (a->is_again) return OK;
    if (a->agent->status == AGENT_INACTIVE) return err(ERR_CONFLICT, "Agent is inactive");
    if (!a->parent) TRY(quota_message(engine, a->org));
    TRY(choose(cx, engine, a));
    TRY(check_trigger(cx, engine, a));
    t->org = a->org;
    t->organization_id = a->org_id;
    t->agent_id = a->agent->id;
    t->status = TASK_PENDING;
    t->execution_attempts = 1;
    struct str parent = t->parent_execution, triggering = t->triggering_agent_id;
    for (int i = 0; i < TRIES; i++) {
        a->is_beaten = false;
        struct err e = start_once(cx, engine, a, has_id);
        if (!a->is_beaten) return e;
        /* Somebody was quicker: the id is taken, a message came, the agent is being deleted. Look again. */
        struct agent_row row;
        TRY(store_agent_find(cx, engine->store, a->agent->id, &row));
        if (row.is_deleting) return err(ERR_NOT_FOUND, "Agent not found");
        TRY(find_made(cx, engine, a));
        if (a->is_again) return OK;
        t->parent_execution = parent;
        t->triggering_agent_id = triggering;
    }
    return err(ERR_BUSY, "The task is being changed by too many at once");
}
