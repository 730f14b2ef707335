#include "api/export.h"
#include <fcntl.h>
#include <unistd.h>
#include "base/json.h"
#include "io/wait.h"
#include "store/agent.h"
#include "store/disk.h"
#include "store/entry.h"
#include "store/task.h"

enum { PAGE = 50, FLUSH_BYTES = 65536 };
static const char *const kinds[] = {"", "created", "updated", "said", "trigger", "result", "finished"};

struct export {
    struct store *store;
    const struct organization *org;
    struct exported *counts;
    struct buf out;
    int fd;
};

/* All but what is to be kept: the last byte tells whether a comma comes next. */
static struct err flush(struct export *x, size_t kept)
{
    if (x->out.is_failed) return err(ERR_MEMORY, "there is no memory for this");
    size_t count = x->out.count - kept;
    TRY(disk_write(x->fd, x->out.at, count, x->counts->bytes));
    x->counts->bytes += (int64_t)count;
    buf_drop_front(&x->out, count);
    return OK;
}

static void open_list(struct buf *out, const char *name)
{
    json_put_key(out, name);
    buf_add(out, "[", 1);
}

static void put_int(struct buf *out, const char *name, int64_t n)
{
    json_put_key(out, name);
    json_put_int(out, n);
}

/* ---- agents ---------------------------------------------------------------------------- */

static struct err put_version(struct ctx *cx, struct export *x, const struct agent_row *row, int64_t number)
{
    struct agent *agent = NEW(cx->arena, struct agent);
    TRY(store_agent_version(cx, x->store, row, number, agent));
    agent->organization_id = x->org->id;
    agent_show(cx->arena, agent);
    json_put_comma(&x->out);
    shape_write(&x->out, &agent_shape, agent);
    return OK;
}

/* The draft, then what was deployed, oldest first. */
static struct err put_agent(struct ctx *cx, struct export *x, const struct agent_row *row)
{
    json_put_comma(&x->out);
    buf_add(&x->out, "{", 1);
    json_put_key(&x->out, "id");
    json_put_text(&x->out, row->id);
    json_put_key(&x->out, "draft");
    TRY(put_version(cx, x, row, VERSION_DRAFT));
    open_list(&x->out, "versions");
    for (int64_t number = 1; number <= row->version; number++) TRY(put_version(cx, x, row, number));
    buf_add(&x->out, "]}", 2);
    return OK;
}

/* ---- tasks ------------------------------------------------------------------------------- */

static struct err put_turns(struct ctx *cx, struct export *x, const struct secret *secret, const struct task *row)
{
    open_list(&x->out, "turns");
    for (int64_t turn = 1; turn <= row->turns; turn++) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct task *t = NEW(cx->arena, struct task);
        *t = *row;
        TRY(store_task_show(cx, x->store, secret, t, turn, MOMENT_NOW, 0));
        json_put_comma(&x->out);
        shape_write(&x->out, &task_shape, t);
        arena_rewind(cx->arena, mark);
    }
    buf_add(&x->out, "]", 1);
    return OK;
}

static void put_entry(struct buf *out, const struct entry *e)
{
    json_put_comma(out);
    buf_add(out, "{", 1);
    put_int(out, "n", e->n);
    put_int(out, "turn", e->turn);
    json_put_key(out, "kind");
    json_put_text(out, str(kinds[e->kind]));
    json_put_key(out, "at");
    json_put_time(out, e->at);
    json_put_key(out, "body");
    json_put_raw(out, e->body.count ? e->body : S("null"));
    buf_add(out, "}", 1);
}

static struct err put_entries(struct ctx *cx, struct export *x, const struct secret *secret, const struct task *t)
{
    int64_t after = 0;
    open_list(&x->out, "entries");
    for (int count = PAGE; count == PAGE;) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct entry *entries;
        TRY(store_entry_list(cx, x->store, secret, t->org, t->root, t->n, after, PAGE, &entries, &count));
        for (int i = 0; i < count; i++) {
            put_entry(&x->out, &entries[i]);
            after = entries[i].n;
        }
        arena_rewind(cx->arena, mark);
    }
    buf_add(&x->out, "]", 1);
    return OK;
}

static struct err put_task(struct ctx *cx, struct export *x, const struct task_place *place)
{
    struct task *t = NEW(cx->arena, struct task);
    struct secret secret;
    TRY(store_task_get(cx, x->store, place->org, place->n, t));
    TRY(store_task_secret(x->store, t, &secret));
    json_put_comma(&x->out);
    buf_add(&x->out, "{", 1);
    json_put_key(&x->out, "id");
    json_put_text(&x->out, t->id);
    struct err e = put_turns(cx, x, &secret, t);
    if (!failed(e)) e = put_entries(cx, x, &secret, t);
    buf_add(&x->out, "}", 1);
    secret_drop(x->store->keyring, &secret);
    return e;
}

/* ---- all ------------------------------------------------------------------------------------ */

/* One thing, whole or not at all: what was deleted meanwhile does not open. Others run in between. */
static struct err settle(struct ctx *cx, struct export *x, size_t before, struct err e, int64_t *count)
{
    if (e.code == ERR_IO || e.code == ERR_NOT_FOUND) x->out.count = before;
    else if (failed(e)) return e;
    else (*count)++;
    if (x->out.count > FLUSH_BYTES) TRY(flush(x, 1));
    return wait_turn(cx);
}

static struct err put_agents(struct ctx *cx, struct export *x)
{
    struct agent_row *rows;
    int count;
    open_list(&x->out, "agents");
    TRY(store_agent_list_all(cx, x->store, x->org->n, &rows, &count));
    for (int i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(cx->arena);
        size_t before = x->out.count;
        TRY(settle(cx, x, before, put_agent(cx, x, &rows[i]), &x->counts->agents));
        arena_rewind(cx->arena, mark);
    }
    buf_add(&x->out, "]", 1);
    return OK;
}

static struct err put_tasks(struct ctx *cx, struct export *x)
{
    int64_t after = 0;
    open_list(&x->out, "tasks");
    for (int count = PAGE; count == PAGE;) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct task_place *places;
        TRY(store_task_walk(cx, x->store, x->org->n, after, PAGE, &places, &count));
        for (int i = 0; i < count; i++) {
            size_t before = x->out.count;
            after = places[i].n;
            TRY(settle(cx, x, before, put_task(cx, x, &places[i]), &x->counts->tasks));
        }
        arena_rewind(cx->arena, mark);
    }
    buf_add(&x->out, "]", 1);
    return OK;
}

static struct err put_all(struct ctx *cx, struct export *x)
{
    buf_add_str(&x->out, S("{\"format\":\"agentd export 1\""));
    json_put_key(&x->out, "organization_id");
    json_put_text(&x->out, x->org->id);
    json_put_key(&x->out, "organization");
    json_put_text(&x->out, x->org->name);
    json_put_key(&x->out, "created_at");
    json_put_time(&x->out, x->org->created_at);
    TRY(put_agents(cx, x));
    TRY(put_tasks(cx, x));
    buf_add(&x->out, "}\n", 2);
    TRY(flush(x, 0));
    return disk_sync(x->fd);
}

struct err export_organization(struct ctx *cx, struct store *store, const struct organization *org, struct str path,
                               struct exported *out)
{
    struct export x = {.store = store, .org = org, .counts = out};
    const char *name = str_z(cx->arena, path);
    *out = (struct exported){0};
    if (!path.count || path.at[0] != '/') return err(ERR_INVALID, "the file of an export is named by a whole path");
    struct err e = disk_open(name, O_WRONLY | O_CREAT | O_EXCL, &x.fd);
    if (failed(e)) return errf(cx->arena, e.code, "%s: %s", name, e.what);
    e = put_all(cx, &x);
    disk->close(x.fd);
    if (x.out.at) explicit_bzero(x.out.at, x.out.capacity);
    buf_free(&x.out);
    if (failed(e)) unlink(name);
    return e;
}
