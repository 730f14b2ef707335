#include "api/operator.h"
#include <string.h>
#include "api/export.h"
#include "base/json.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "net/local.h"
#include "store/organization.h"

/* ---- what can be said ---------------------------------------------------------------- */

static struct err delete_organization(struct ctx *cx, struct operator *op, const struct organization *org, struct json said,
                                      struct buf *answer)
{
    struct holdings held;
    (void)said;
    TRY(engine_erase_organization(cx, op->engine, org->n, &held));
    json_put_key(answer, "agents");
    json_put_int(answer, held.agents);
    json_put_key(answer, "tasks");
    json_put_int(answer, held.tasks);
    json_put_key(answer, "keys");
    json_put_int(answer, held.keys);
    return OK;
}

static struct err erase_person(struct ctx *cx, struct operator *op, const struct organization *org, struct json said,
                               struct buf *answer)
{
    int64_t tasks;
    struct str user = json_text(json_get(said, "user"));
    if (!user.count) return err(ERR_INVALID, "the id of a user is a text that is not empty");
    struct err e = engine_erase_person(cx, op->engine, org->n, user, &tasks);
    if (failed(e)) return errf(cx->arena, e.code, "%s; tasks erased until then: %lld", e.what, (long long)tasks);
    json_put_key(answer, "tasks");
    json_put_int(answer, tasks);
    return OK;
}

static struct err export_all(struct ctx *cx, struct operator *op, const struct organization *org, struct json said,
                             struct buf *answer)
{
    struct exported made;
    TRY(export_organization(cx, op->store, org, json_text(json_get(said, "file")), &made));
    json_put_key(answer, "agents");
    json_put_int(answer, made.agents);
    json_put_key(answer, "tasks");
    json_put_int(answer, made.tasks);
    json_put_key(answer, "bytes");
    json_put_int(answer, made.bytes);
    return OK;
}

static const struct command {
    const char *name;
    struct err (*run)(struct ctx *, struct operator *, const struct organization *, struct json said, struct buf *answer);
} commands[] = {
    {"org delete", delete_organization},
    {"erase", erase_person},
    {"export", export_all},
};

static struct err run(struct ctx *cx, struct operator *op, struct str line, struct buf *answer)
{
    struct json said;
    struct organization org;
    TRY(json_parse(cx->arena, line, &said, NULL));
    struct str name = json_text(json_get(said, "command"));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!str_is(name, commands[i].name)) continue;
        TRY(store_organization_find(cx, op->store, json_text(json_get(said, "org")), &org));
        json_put_key(answer, "organization_id");
        json_put_text(answer, org.id);
        json_put_key(answer, "organization");
        json_put_text(answer, org.name);
        return commands[i].run(cx, op, &org, said, answer);
    }
    return err(ERR_INVALID, "the server does not know this command: it is of another version");
}

/* Whatever it is, the answer is an object. */
static void answer_line(struct ctx *cx, struct str line, struct buf *answer, void *arg)
{
    buf_add(answer, "{", 1);
    struct err e = run(cx, arg, line, answer);
    if (failed(e)) {
        answer->count = 1;
        json_put_key(answer, "error");
        json_put_text(answer, str(e.what ? e.what : "it was interrupted"));
    }
    buf_add(answer, "}", 1);
}

/* ---- the server's side ----------------------------------------------------------------- */

struct err operator_open(struct ctx *cx, struct operator *op, struct str directory)
{
    return local_open(cx, strf(cx->arena, "%.*s/control", STR_ARGS(directory)), answer_line, op, &op->local);
}

void operator_close(struct ctx *cx, struct operator *op)
{
    if (op->local) local_close(cx, op->local);
    op->local = NULL;
}

/* ---- the command's side ------------------------------------------------------------------ */

struct stay { /* on a directory that no server has */
    struct arena *arena;
    const struct store_settings *settings;
    struct str line;
    struct buf *answer;
    struct err outcome;
};

/* Nothing runs and nothing is taken up: only what the command asks for, and what an earlier one left, is done. */
static struct err work_here(struct ctx *cx, struct stay *stay)
{
    const struct engine_settings settings = {.erase_rows_max = 20000};
    struct operator op = {0};
    TRY(store_open(cx, stay->settings, &op.store));
    struct err e = engine_open(cx, &settings, op.store, NULL, &op.engine);
    if (!failed(e)) {
        answer_line(cx, stay->line, stay->answer, &op);
        engine_close(cx, op.engine);
    }
    store_close(cx, op.store);
    return e;
}

static struct err stay_main(struct ctx *cx, void *arg)
{
    struct stay *stay = arg;
    stay->outcome = work_here(cx, stay);
    if (failed(stay->outcome) && stay->outcome.what) stay->outcome.what = str_z(stay->arena, str(stay->outcome.what));
    return OK;
}

struct err operator_do(struct arena *arena, const struct store_settings *settings, struct str line, struct buf *answer)
{
    struct stay stay = {.arena = arena, .settings = settings, .line = line, .answer = answer};
    struct str path = strf(arena, "%.*s/control", STR_ARGS(settings->directory));
    struct str asked = strf(arena, "%.*s\n", STR_ARGS(line));
    bool is_answered;
    if (line.count >= LOCAL_LINE_MAX) return err(ERR_INVALID, "the command is too long");
    TRY(local_ask(path, asked, answer, &is_answered));
    if (is_answered) return OK;
    TRY(loop_run(stay_main, &stay));
    return stay.outcome;
}
