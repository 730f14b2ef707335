/* engine/sub_agent.c: a call of a sub-agent is a sub-task.
 *
 * The sub-task, its first turn and the trigger in the parent's journal are one commit, so that a
 * crash leaves all of them or none, and the call is never made twice. */
#include "engine/sub_agent.h"
#include "engine/act.h"
#include "store/task.h"

/* {"query":…,"files":[…]} -> the sub-task's input. False: not in that form. */
static bool read_arguments(struct ctx *cx, const struct said_call *call, struct task *child)
{
    struct json v;
    struct json_fault fault;
    if (failed(json_parse(cx->arena, call->arguments, &v, &fault))) return false;
    struct json query = json_get(v, "query"), files = json_get(v, "files");
    if (json_type(query) != JSON_TEXT || !json_text(query).count) return false;
    child->input.text = json_text(query);
    child->input.files = S("[]");
    if (json_type(files) != JSON_LIST) return !json_is_there(files) || json_is_null(files);
    for (struct json_each e = json_each(files); json_next(&e);)
        if (json_type(e.item) != JSON_TEXT) return false;
    child->input.files = json_compact(cx->arena, files);
    return true;
}

/* The first sentence among the faults of an acceptance: news for the model. */
static struct str refusal(struct ctx *cx, struct err e, struct faults *faults)
{
    struct json list;
    if (faults->count && !failed(json_parse_own(cx->arena, faults_body(faults), &list))) {
        struct json_each each = json_each(json_get(list, "detail"));
        if (json_next(&each)) return json_text(json_get(each.item, "msg"));
    }
    return str(e.what ? e.what : "The sub-task could not be started");
}

/* Make the sub-task. `child` is where to wait; with is_error in the outcome there is none. */
static struct err start(struct ctx *cx, struct run *run, const struct offer *offer, const struct said_call *call,
                        const struct open_call *place, struct task *child, struct tool_outcome *out)
{
    struct agent_row row;
    struct err e = store_agent_find(cx, run->engine->store, offer->target_id, &row);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && row.is_deleting)) {
        out->text = S("This agent was deleted.");
        return OK;
    }
    TRY(e);
    shape_defaults(cx->arena, &task_shape, child);
    if (!read_arguments(cx, call, child)) {
        out->text = S("The arguments must be {\"query\": text, \"files\": list of addresses}, with a query.");
        return OK;
    }
    child->input.user = run->task.input.user;
    child->source = S("agent");
    child->triggering_agent_id = run->task.agent_id;
    child->output_format = child->llm_reasoning_effort = -1;
    struct faults faults = faults_new(cx->arena);
    struct acceptance a = {.agent = &row, .task = child, .faults = &faults, .org = run->task.org,
                           .org_id = run->task.organization_id, .parent = run, .said = place->said, .call = place->call};
    e = engine_start(cx, run->engine, &a);
    bool is_ours = e.code == ERR_CANCELLED || e.code == ERR_MEMORY || e.code == ERR_IO || e.code == ERR_FULL;
    if (failed(e) && !is_ours) out->text = refusal(cx, e, &faults);
    else out->is_error = false;
    faults_free(&faults);
    return is_ours ? e : OK;
}

static struct str ending(struct ctx *cx, const struct task *child, bool *is_error)
{
    *is_error = child->status != TASK_COMPLETED;
    if (!*is_error) return child->result;
    return strf(cx->arena, "The sub-task ended as %s: %.*s", task_status_words[child->status],
                STR_ARGS(child->result.at ? child->result : S("there is no result")));
}

struct err sub_agent_call(struct ctx *cx, struct run *run, const struct offer *offer, const struct said_call *call,
                          const struct open_call *place, struct tool_outcome *out)
{
    struct engine *engine = run->engine;
    struct task *child = NEW(cx->arena, struct task);
    out->is_error = false;
    if (place->sub_task) { /* made before a crash */
        struct err e = store_task_get(cx, engine->store, run->task.org, place->sub_task, child);
        out->is_error = e.code == ERR_NOT_FOUND;
        if (out->is_error) out->text = S("The sub-task was deleted.");
        else TRY(e);
    } else {
        out->is_error = true;
        TRY(start(cx, run, offer, call, place, child, out));
    }
    if (out->is_error) return OK;

    struct err e = engine_wait(cx, engine, child, 1, -1);
    if (e.code == ERR_NOT_FOUND) {
        out->is_error = true;
        out->text = S("The sub-task was deleted.");
        return OK;
    }
    /* Nobody waits for it any more. Where the whole tree is ended or left, that is somebody else's matter. */
    if (failed(e) && (run->order == RUN_GOES_ON || run->order == RUN_LOST_ITS_AGENT)) act_stop_behind(engine, child);
    TRY(e);
    out->text = ending(cx, child, &out->is_error);
    return OK;
}
