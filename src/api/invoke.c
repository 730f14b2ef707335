/* api/invoke.c: three ways of reading one thing.
 *
 * To invoke an agent is to have a turn accepted: from then on it is on disk and runs, whoever listens. A
 * client that hangs up ends nothing. Synchronous: wait for the turn's end. Asynchronous: do not wait. Stream:
 * read the journal as it grows. */
#include "api/agent.h"
#include "api/once.h"
#include "api/task.h"
#include "base/clock.h"
#include "config.h"

/* The path's agent, then everything in the query and the body, then a turn on disk. */
static struct err invoke(struct ctx *cx, struct call *call, struct task *task, struct acceptance *a)
{
    struct agent_row *agent = NEW(cx->arena, struct agent_row);
    struct idempotent *once = NEW(cx->arena, struct idempotent);
    struct given given = {0};

    TRY(agent_of_caller(cx, call, agent));
    TRY(call_once(cx, call, once));
    shape_defaults(cx->arena, &task_shape, task);
    call_read(call, &task_shape, SHAPE_CREATE, task, &given);
    if (json_type(call->body) == JSON_OBJECT) task_check(task, &given, call->body, &call->faults);
    TRY(call_check(call));
    task->organization_id = (struct str){0};
    *a = (struct acceptance){.agent = agent, .version = call_text(call, "version"), .task = task, .faults = &call->faults,
                             .org = call->who.org, .org_id = call->who.org_id, .once = once};
    return engine_start(cx, call->app->engine, a);
}

/* POST /v1/agents/{agent_id}/invoke
 *
 * Waits for the end of its own turn, at most sync_timeout; then the task as it is, for the run goes on. So it does
 * when the server is stopped meanwhile, at the next start: a refusal would have the work done twice. */
struct err api_invoke_agent(struct ctx *cx, struct call *call)
{
    struct task *task = NEW(cx->arena, struct task);
    struct acceptance a;

    TRY(invoke(cx, call, task, &a));
    struct err e = engine_wait(cx, call->app->engine, task, task->turn, call->app->config->sync_timeout * 1000);
    if (a.is_again && e.code == ERR_NOT_FOUND) return err(ERR_GONE, 0);
    if (a.is_again && e.code == ERR_CANCELLED) return reply_task(cx, call, task);
    if (e.code == ERR_NOT_FOUND) task_was_deleted(task, clock_now_us());
    else if (e.code != ERR_CANCELLED) TRY(e);
    return reply_task_as_it_is(call, task);
}

/* POST /v1/agents/{agent_id}/invoke/async */
struct err api_invoke_agent_async(struct ctx *cx, struct call *call)
{
    struct task *task = NEW(cx->arena, struct task);
    struct acceptance a;

    TRY(invoke(cx, call, task, &a));
    if (!a.is_again) return reply_task_as_it_is(call, task);
    struct err e = reply_task(cx, call, task);
    return e.code == ERR_NOT_FOUND ? err(ERR_GONE, 0) : e; /* deleted since it was looked up */
}

/* POST /v1/agents/{agent_id}/invoke/stream */
struct err api_invoke_agent_stream(struct ctx *cx, struct call *call)
{
    struct task *task = NEW(cx->arena, struct task);
    struct acceptance a;
    struct follower *follower;

    TRY(invoke(cx, call, task, &a));
    TRY(follow_open(cx, call->app->engine, task, task->turn, a.after, S(""), (enum sub_tasks)call_enum(call, "sub_tasks"),
                    &follower));
    return reply_stream(cx, call, follower);
}
