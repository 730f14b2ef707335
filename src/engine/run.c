/* engine/run.c: how a task executes.
 *
 * A run is a fiber in the engine's scope. It takes the task's turns one after the other: it writes
 * that the turn begins, lets the model speak and act until there is an answer, and writes how it
 * ended. Each finished model turn and each result is a row before the next step starts: that is
 * what a crash resumes from. Every line that takes `cx` may wait; if the task is ended meanwhile, it
 * returns ERR_CANCELLED, and whoever ended it writes down how. */
#include "engine/run.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/journal.h"
#include "engine/prompt.h"
#include "engine/sub_agent.h"
#include "llm/turn.h"
#include "store/task.h"
#include "store/turn.h"

enum { AGAIN_MS = 1000 }; /* between tries to write what the disk refused */

/* ---- the beginning of a turn ------------------------------------------------------- */

/* Read the row and the turn that comes next into the run. False: none waits. */
static struct err load_turn(struct ctx *cx, struct run *run, bool *is_there)
{
    struct store *store = run->engine->store;
    struct task row;
    int64_t number;
    struct ctx own = *cx;

    run->task.id = run->task.agent_id = run->task.organization_id = S(""); /* others look at these */
    arena_free(&run->arena);
    own.arena = &run->arena;
    TRY(store_task_get(&own, store, run->task.org, run->task.n, &row));
    *is_there = false;
    run->has_next = false;
    if (row.is_outside || row.is_deleting) return OK;
    if (!run->secret.key) TRY(store_task_secret(store, &row, &run->secret));
    number = row.turn;
    if (row.status != TASK_EXECUTING) { /* executing: a crash left it, and it is begun again */
        row.turn = row.status == TASK_PENDING ? row.turn - 1 : row.turn;
        TRY(store_turn_next(&own, store, &row, &number));
    }
    if (!number) return OK;
    TRY(store_task_show(&own, store, &run->secret, &row, number, MOMENT_NOW, 0));
    if (row.run_locally) return OK; /* somebody else's, and those behind it wait for him */
    run->task = row;
    run->has_next = row.turns > number;
    *is_there = true;
    return OK;
}

/* The lease is raised, and the turn is executing: from here on entries are ours. */
static struct err begin_turn(struct ctx *cx, struct run *run)
{
    struct task *t = &run->task;
    int64_t old_run = t->run, now = clock_now_us();
    bool is_new = t->status == TASK_PENDING;
    struct journal journal = journal_new(cx, run);

    t->run = old_run + 1;
    t->status = TASK_EXECUTING;
    t->updated_at = now;
    t->is_outside = false;
    if (is_new) t->started_at = now;
    else t->execution_attempts++;
    store_task_begin(journal.batch, t, old_run);
    store_turn_begin(journal.batch, t);
    if (is_new) TRY(journal_add(cx, &journal, ENTRY_CREATED, S(""), 0));
    TRY(journal_add(cx, &journal, ENTRY_UPDATED, is_new ? S("") : updated_body(cx->arena, t->execution_attempts), 0));
    return journal_write(cx, &journal);
}

/* ---- the end of a turn ----------------------------------------------------------------- */

/* One commit: what was said last, the status, and that it has ended. `said` may be null; with is_answer its
 * text is the result, else the task's own `result` is. */
static struct err end_turn(struct ctx *cx, struct run *run, int status, const struct said *said, bool is_answer)
{
    struct store *store = run->engine->store;
    struct journal journal = journal_new(cx, run);
    struct task ended = run->task;
    int64_t answer = 0;

    TRY(task_move(&ended, status, clock_now_us()));
    journal.at = ended.finished_at;
    if (said) {
        ended.prompt_tokens += said->prompt_tokens;
        ended.completion_tokens += said->completion_tokens;
    }
    store_task_moved(journal.batch, &ended);
    if (said) {
        TRY(journal_add(cx, &journal, ENTRY_SAID, said_body(cx->arena, said), &answer));
        run->speech.entry = answer;
        if (said->prompt_tokens || said->completion_tokens)
            store_turn_count(journal.batch, &ended, said->prompt_tokens, said->completion_tokens);
    }
    TRY(store_turn_finish(cx, store, journal.batch, &run->secret, &ended, is_answer ? answer : 0));
    TRY(journal_add(cx, &journal, ENTRY_FINISHED, S(""), 0));
    TRY(journal_write(cx, &journal));
    run->task.status = ended.status;
    speech_end(run);
    log_event(status == TASK_COMPLETED ? EVENT_task_finished : EVENT_task_failed, LOG_TEXT("task", ended.id), LOG_NUM("turn", ended.turn),
              LOG_WORD("status", task_status_words[status]), LOG_NUM("ms", (ended.finished_at - ended.started_at) / 1000));
    return OK;
}

/* What was said so far of a model turn that broke off; false: nothing. */
static bool partial(struct ctx *cx, const struct run *run, struct said *out)
{
    if (!run->speech.step || run->speech.entry || !run->speech.text.count) return false;
    *out = (struct said){
        .step = run->speech.step, .text = str_copy(cx->arena, buf_str(&run->speech.text)), .is_partial = true};
    return true;
}

/* The turn could not be done: a sentence takes the place of the answer. */
static struct err fail_turn(struct ctx *cx, struct run *run, int status, const char *sentence)
{
    struct said said;
    bool is_partial = partial(cx, run, &said);
    run->task.result = str(sentence ? sentence : "The task ended without a reason");
    return end_turn(cx, run, status, is_partial ? &said : NULL, false);
}

/* A stopped run leaves what it was saying, so that its stream can be read again. */
static void keep_partial(struct ctx *cx, struct run *run)
{
    struct said said;
    if (!partial(cx, run, &said)) return;
    struct journal journal = journal_new(cx, run);
    if (failed(journal_add(cx, &journal, ENTRY_SAID, said_body(cx->arena, &said), &run->speech.entry))) return;
    (void)!failed(journal_write(cx, &journal));
}

/* ---- tools --------------------------------------------------------------------------------- */

struct tool_run {
    struct run *run;
    struct prompt *prompt;
    const struct said_call *call;
    struct open_call place;
    int64_t number;                /* of the call in this turn, from 1 */
    struct str text;               /* the result, in the parent's arena */
    struct arena *arena;           /* the parent's */
};

static struct err do_call(struct ctx *cx, struct tool_run *t, struct tool_outcome *out)
{
    const struct offer *offer = prompt_offer(t->prompt, t->call->name);
    int64_t limit = t->prompt->agent->agno_settings.tool_call_limit;
    out->is_error = true;
    if (!offer) {
        out->text = strf(cx->arena, "There is no tool named %.*s.", (int)(t->call->name.count < 200 ? t->call->name.count : 200),
                         t->call->name.at);
        return OK;
    }
    if (t->call->is_broken) {
        out->text = S("The arguments are not a JSON object.");
        return OK;
    }
    if (limit > 0 && t->number > limit) {
        out->text = strf(cx->arena, "This agent may make at most %lld tool calls in one turn.", (long long)limit);
        return OK;
    }
    return sub_agent_call(cx, t->run, offer, t->call, &t->place, out);
}

/* One call: done, and its result written down. */
static struct err run_one_tool(struct ctx *cx, void *arg)
{
    struct tool_run *t = arg;
    struct tool_outcome outcome = {.said = t->place.said, .call = t->place.call};
    TRY(do_call(cx, t, &outcome));
    struct journal journal = journal_new(cx, t->run);
    TRY(journal_add(cx, &journal, ENTRY_RESULT, outcome_body(cx->arena, &outcome), 0));
    TRY(journal_write(cx, &journal));
    t->text = str_copy(t->arena, outcome.text);
    return OK;
}

/* All open calls of a model turn at once; the turn is done when the slowest is. A tool that fails tells the
 * model so in its result: only our own failures come back as an error. */
static struct err run_tools(struct ctx *cx, struct run *run, struct prompt *p)
{
    struct tool_run *tools = arena_alloc(cx->arena, (size_t)(p->open_count + 1) * sizeof *tools);
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct err e = OK;

    for (int i = 0; i < p->open_count && !failed(e); i++) {
        int call = p->open[i].call;
        tools[i] = (struct tool_run){.run = run, .prompt = p, .call = &p->last->calls[call], .place = p->open[i],
                                     .number = p->calls_done - p->last->calls_count + call + 1, .arena = cx->arena};
        e = scope_spawn(&inner, run_one_tool, &tools[i]);
    }
    if (failed(e)) scope_cancel(&scope);
    struct err closed = scope_close(&inner);
    TRY(e);
    TRY(closed);
    for (int i = 0; i < p->open_count; i++)
        dialogue_result(cx->arena, &p->dialogue, tools[i].call->id, tools[i].text);
    p->open_count = 0;
    return OK;
}

/* ---- what the model said ---------------------------------------------------------------------- */

static void note_used(struct arena *a, struct run *run, struct str name)
{
    struct json list;
    if (failed(json_parse_own(a, run->task.used_tools, &list))) return;
    for (struct json_each e = json_each(list); json_next(&e);)
        if (str_eq(json_text(e.item), name)) return;
    struct buf b = {0};
    buf_add(&b, run->task.used_tools.at, run->task.used_tools.count - 1);
    json_put_comma(&b);
    json_put_text(&b, name);
    buf_add(&b, "]", 1);
    if (!b.is_failed) run->task.used_tools = str_copy(a, buf_str(&b));
    buf_free(&b);
}

static void take_calls(struct ctx *cx, struct run *run, const struct prompt *p, const struct llm_turn *turn, struct said *said)
{
    struct said_call *calls = arena_alloc(cx->arena, (size_t)turn->calls_count * sizeof *calls);
    int i = 0;
    for (const struct llm_call *c = turn->calls; c; c = c->next) {
        const struct offer *offer = prompt_offer(p, c->name);
        calls[i++] = (struct said_call){
            .request_id = uuid_new(cx->arena),
            .id = c->id,
            .name = c->name,
            .arguments = c->arguments.count ? c->arguments : S("{}"),
            .operation_id = offer ? offer->operation_id : S(""),
            .is_broken = c->is_broken,
        };
        if (offer) note_used(cx->arena, run, c->name);
    }
    said->calls = calls;
    said->calls_count = i;
}

static struct said said_of(const struct run *run, const struct llm_turn *turn)
{
    return (struct said){.step = run->speech.step,
                         .text = turn->text,
                         .thought = turn->thought,
                         .prompt_tokens = turn->usage.prompt_tokens,
                         .completion_tokens = turn->usage.completion_tokens};
}

/* The model wants tools: what it said is a row before the first of them runs. */
static struct err say_calls(struct ctx *cx, struct run *run, struct prompt *p, const struct llm_turn *turn)
{
    struct journal journal = journal_new(cx, run);
    struct said *said = NEW(cx->arena, struct said);
    *said = said_of(run, turn);
    take_calls(cx, run, p, turn, said);
    run->task.prompt_tokens += said->prompt_tokens;
    run->task.completion_tokens += said->completion_tokens;
    run->task.updated_at = clock_now_us();
    store_task_moved(journal.batch, &run->task);
    store_turn_count(journal.batch, &run->task, said->prompt_tokens, said->completion_tokens);
    TRY(journal_add(cx, &journal, ENTRY_SAID, said_body(cx->arena, said), &run->speech.entry));
    p->last_n = run->speech.entry;
    TRY(journal_write(cx, &journal));
    speech_end(run);

    p->last = said;
    p->steps_done++;
    p->calls_done += said->calls_count;
    p->tokens_used += said->prompt_tokens + said->completion_tokens;
    p->open = arena_alloc(cx->arena, (size_t)said->calls_count * sizeof *p->open);
    p->open_count = said->calls_count;
    for (int i = 0; i < said->calls_count; i++) p->open[i] = (struct open_call){.said = p->last_n, .call = i};
    dialogue_said(cx->arena, &p->dialogue, said);
    return OK;
}

/* The model has nothing more to call. Is what it said an answer? */
static struct err answer(struct ctx *cx, struct run *run, const struct llm_turn *turn)
{
    struct said said = said_of(run, turn);
    struct json value;
    struct json_fault fault;

    if (turn->refusal.count) {
        run->task.result = strf(cx->arena, "The model refused: %.*s", STR_ARGS(turn->refusal));
        return end_turn(cx, run, TASK_FAILED, &said, false);
    }
    if (str_is(turn->finish, "content_filter")) {
        run->task.result = S("The model's answer was withheld by its provider's content filter");
        return end_turn(cx, run, TASK_FAILED, &said, said.text.count > 0);
    }
    if (!str_trim(said.text).count) {
        run->task.result = S("The model gave an empty answer");
        return end_turn(cx, run, TASK_FAILED, &said, false);
    }
    if (task_wants_json(&run->task) && failed(json_parse(cx->arena, said.text, &value, &fault)))
        return end_turn(cx, run, TASK_FAILED, &said, true);
    return end_turn(cx, run, TASK_COMPLETED, &said, true);
}

/* ---- one turn, whole --------------------------------------------------------------------------------- */

static struct err run_turn(struct ctx *cx, struct run *run)
{
    struct prompt *p = NEW(cx->arena, struct prompt);
    int64_t steps_max = run->engine->settings.steps_max, tokens_max = run->engine->settings.turn_tokens_max;

    TRY(prompt_build(cx, run, p));
    for (const struct used_tool *used = p->used; used; used = used->next) note_used(cx->arena, run, used->name);
    if (p->open_count) TRY(run_tools(cx, run, p)); /* what a crash left open */
    while (p->steps_done < steps_max) {
        struct llm_turn turn;
        if (tokens_max && p->tokens_used >= tokens_max)
            return fail_turn(cx, run, TASK_FAILED, "The turn used all the tokens that it may (turn_tokens_max)");
        speech_begin(run);
        TRY(llm_turn(cx, run->engine->llm, &p->model, &p->dialogue, speech_add, run, &turn));
        if (!turn.calls_count) return answer(cx, run, &turn);
        TRY(say_calls(cx, run, p, &turn));
        TRY(run_tools(cx, run, p));
    }
    return fail_turn(cx, run, TASK_FAILED, "The agent used all its steps without an answer");
}

/* What a failure of ours, or of the model, means for the task. Our own shutdown and somebody else's lease mean
 * nothing: the task is theirs. */
static struct err end_badly(struct ctx *cx, struct run *run, struct err why)
{
    int status = why.code == ERR_LIMIT ? TASK_FAILED : TASK_ERROR;
    const char *sentence = why.what;
    if (why.code == ERR_MEMORY || why.code == ERR_IO || why.code == ERR_FULL || !sentence)
        sentence = "The server could not run this task: it is out of memory or its disk failed";
    for (;;) {
        struct err e = fail_turn(cx, run, status, sentence);
        if (run->order == RUN_LOST_ITS_AGENT) run->order = RUN_GOES_ON; /* it ends already */
        if (!failed(e) || e.code == ERR_CONFLICT || run->order != RUN_GOES_ON) return e;
        TRY(wait_ms(cx, AGAIN_MS)); /* the disk is full or broken: nothing may stay executing for ever */
    }
}

/* A turn in a scope of its own, so that ending it ends nothing else. A limit on its time is the scope's deadline: whatever
 * is waited for then returns, and its own sentence would tell the wrong thing. */
static struct err run_in_scope(struct ctx *cx, struct run *run)
{
    struct ctx inner = scope_open(&run->scope, cx);
    struct err e = OK, closed;
    int64_t most = run->engine->settings.turn_ms_max;
    if (most) inner.deadline_ms = clock_mono_ms() + most;

    run->is_open = true;
    if (!run->has_begun) {
        e = begin_turn(&inner, run);
        run->has_begun = !failed(e);
    }
    if (run->has_begun) e = run_turn(&inner, run);
    run->is_open = false;
    closed = scope_close(&inner);
    if (!failed(e)) e = closed;
    if (failed(e) && most && run->order == RUN_GOES_ON && clock_mono_ms() >= inner.deadline_ms)
        return err(ERR_UPSTREAM, "The turn took longer than it may (turn_ms_max)");
    return e;
}

static struct err take_turns(struct ctx *cx, struct run *run)
{
    for (;;) {
        struct arena_mark mark = arena_mark(cx->arena);
        bool is_there = run->has_begun;
        struct err e = OK;
        if (!run->has_begun) e = load_turn(cx, run, &is_there);
        if (!failed(e) && !is_there) return OK;
        if (!failed(e) && run->order == RUN_GOES_ON) e = run_in_scope(cx, run);
        if (run->order == RUN_LOST_ITS_AGENT) { /* a turn that has not begun finds out itself */
            run->order = RUN_GOES_ON;
            e = run->has_begun ? err(ERR_UPSTREAM, "The agent was deleted") : OK;
        }
        if (run->order == RUN_IS_STOPPED) keep_partial(cx, run);
        if (run->order != RUN_GOES_ON) return OK;
        if (e.code == ERR_CONFLICT || (e.code == ERR_NOT_FOUND && !run->has_begun)) return OK;
        if (failed(e) && !run->has_begun) TRY(wait_ms(cx, AGAIN_MS));
        else if (failed(e) && !task_is_final(run->task.status)) TRY(end_badly(cx, run, e));
        if (run->has_begun && !run->has_next) return OK; /* who accepts one from here on finds no run, and makes one */
        run->has_begun = false;
        arena_rewind(cx->arena, mark);
    }
}

struct err run_main(struct ctx *cx, void *arg)
{
    struct run *run = arg;
    cx->arena->wipe = true;
    struct err e = take_turns(cx, run);
    run_forget(run);
    (void)failed(e); /* an ending that could not be written is taken up by the next start */
    return OK;
}
