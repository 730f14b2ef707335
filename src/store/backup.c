#include "store/backup.h"
#include <fcntl.h>
#include <unistd.h>
#include "store/agent.h"
#include "store/disk.h"
#include "store/ring.h"
#include "store/sqlite.h"
#include "store/task.h"
#include "store/turn.h"
#include "store/unscoped.h"

enum { PIECE_BYTES = 2048, AT_ONCE = 64 };

static char *inside(struct ctx *cx, struct str directory, const char *name)
{
    return arena_printf(cx->arena, "%.*s/%s", STR_ARGS(directory), name);
}

static struct err about(struct ctx *cx, const char *path, struct err e) { return errf(cx->arena, e.code, "%s: %s", path, e.what); }

/* ---- files --------------------------------------------------------------------------- */

static struct err copy_bytes(int from, int to, int64_t *count)
{
    char piece[PIECE_BYTES];
    size_t got = sizeof piece;
    for (*count = 0; got == sizeof piece; *count += (int64_t)got) {
        TRY(disk_read(from, piece, sizeof piece, *count, &got));
        if (got) TRY(disk_write(to, piece, got, *count));
    }
    return disk_sync(to);
}

static struct err copy_file(struct ctx *cx, const char *from, const char *to, int flags, int64_t *count)
{
    int source, target;
    struct err e = disk_open(from, O_RDONLY, &source);
    if (failed(e)) return about(cx, from, e);
    e = disk_open(to, O_WRONLY | O_CREAT | flags, &target);
    if (!failed(e)) {
        e = copy_bytes(source, target, count);
        disk->close(target);
    }
    disk->close(source);
    return failed(e) ? about(cx, to, e) : OK;
}

static struct err make_directory(struct ctx *cx, struct str path)
{
    char *name = str_z(cx->arena, path);
    struct err e = disk_make_directory(name);
    return failed(e) && e.code != ERR_CONFLICT ? about(cx, name, e) : OK;
}

/* ---- a backup -------------------------------------------------------------------------- */

static struct err sync_file(const char *path)
{
    int fd;
    TRY(disk_open(path, O_RDWR, &fd));
    struct err e = disk_sync(fd);
    disk->close(fd);
    return e;
}

static struct err copy_database(struct ctx *cx, const struct store_settings *s, const char *to, int64_t *bytes)
{
    struct store *store;
    int fd;
    struct err e = disk_open(to, O_RDWR | O_CREAT | O_EXCL, &fd); /* SQLite would make it readable by others */
    if (failed(e)) return about(cx, to, e);
    disk->close(fd);
    TRY(store_open_rows(cx, s, &store));
    e = db_copy(cx, store->db, to);
    store_close(cx, store);
    if (!failed(e)) e = sync_file(to);
    if (failed(e)) {
        unlink(to); /* half a copy is none */
        return about(cx, to, e);
    }
    if (disk_open(to, O_RDONLY, &fd).code == ERR_NONE) {
        *bytes = (int64_t)lseek(fd, 0, SEEK_END);
        disk->close(fd);
    }
    return OK;
}

struct err store_backup(struct ctx *cx, const struct store_settings *s, struct str to, struct str keyring, struct backup *out)
{
    int64_t bytes;
    *out = (struct backup){0};
    TRY(make_directory(cx, to));
    TRY(copy_database(cx, s, inside(cx, to, "agentd.db"), &out->database_bytes));
    TRY(copy_file(cx, inside(cx, s->directory, "keyring"), str_z(cx->arena, keyring), 0, &bytes));
    out->slots = bytes / RING_SLOT_BYTES - RING_SLOT_FIRST;
    return disk_sync_directory(str_z(cx->arena, to));
}

/* ---- what opens ------------------------------------------------------------------------- */

static bool is_open(struct err e) { return e.code != ERR_IO && e.code != ERR_NOT_FOUND; }

/* Its request is always there, sealed with its key; other failures are told. */
static struct err open_task(struct ctx *cx, struct store *store, const struct task_place *place)
{
    struct task *task = NEW(cx->arena, struct task), *shown = NEW(cx->arena, struct task);
    struct turn_row turn;
    struct secret secret;
    TRY(store_task_get(cx, store, place->org, place->n, task));
    TRY(store_turn_get(cx, store, task, task->turn, &turn));
    TRY(store_task_secret(store, task, &secret));
    *shown = *task;
    struct err e = store_turn_open(cx, store, &secret, &turn, shown);
    secret_drop(store->keyring, &secret);
    return e;
}

/* With what is below it, as a delete does. */
static struct err remove_task(struct ctx *cx, struct store *store, const struct task_place *place, int64_t *removed)
{
    struct batch *batch = batch_new(cx->arena);
    int index = store_task_drop(batch, place->org, place->n);
    TRY(db_write(cx, store->db, batch));
    const struct rows *rows = batch_rows(batch, index);
    int64_t *slots = arena_try_alloc(cx->arena, (size_t)(rows->count + 1) * sizeof *slots);
    if (!slots) return err(ERR_MEMORY, "there is no memory left");
    for (int i = 0; i < rows->count; i++) slots[i] = row_num(rows, i, 0);
    *removed += rows->count;
    return keyring_destroy(cx, store->keyring, slots, rows->count);
}

static struct err try_tasks(struct ctx *cx, struct store *store, struct restored *out)
{
    int64_t after = 0;
    for (int count = AT_ONCE; count == AT_ONCE;) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct rows rows;
        TRY(db_read(cx, store->db, POINT(SQL_TASKS_ALL), ARGS(num(after), num(AT_ONCE)), &rows));
        count = rows.count;
        for (int i = 0; i < count; i++) {
            struct task_place place = {row_num(&rows, i, 0), row_num(&rows, i, 1)};
            struct err e = open_task(cx, store, &place);
            after = place.n;
            if (is_open(e)) TRY(e);
            else TRY(remove_task(cx, store, &place, &out->tasks_removed));
        }
        arena_rewind(cx->arena, mark);
    }
    return OK;
}

/* An agent that does not open is marked: the next start erases it with its trees. */
static struct err try_agents(struct ctx *cx, struct store *store, struct restored *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db, POINT(SQL_AGENTS_ALL), NO_ARGS, &rows));
    for (int i = 0; i < rows.count; i++) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct agent_row row;
        struct agent *agent = NEW(cx->arena, struct agent);
        TRY(store_agent_get(cx, store, row_num(&rows, i, 0), row_num(&rows, i, 1), &row));
        struct err e = store_agent_version(cx, store, &row, VERSION_DRAFT, agent);
        if (is_open(e)) TRY(e);
        else TRY(store_agent_mark(cx, store, &row));
        out->agents_removed += !is_open(e);
        out->agents += is_open(e);
        arena_rewind(cx->arena, mark);
    }
    return OK;
}

static struct err try_all(struct ctx *cx, const struct store_settings *s, struct restored *out)
{
    struct store *store;
    struct rows rows;
    TRY(store_open(cx, s, &store));
    struct err e = try_tasks(cx, store, out);
    if (!failed(e)) e = try_agents(cx, store, out);
    if (!failed(e)) e = db_read(cx, store->db, POINT(SQL_TASKS_COUNT), NO_ARGS, &rows);
    if (!failed(e)) out->tasks = row_num(&rows, 0, 0);
    store_close(cx, store);
    return e;
}

/* ---- a restore ----------------------------------------------------------------------------- */

static struct err has_master(struct ctx *cx, const struct store_settings *s)
{
    const char *path = s->master_key_file.count ? str_z(cx->arena, s->master_key_file) : inside(cx, s->directory, "master.key");
    if (access(path, R_OK) == 0) return OK;
    return errf(cx->arena, ERR_NOT_FOUND, "the master key must be there first: there is no file %s", path);
}

/* Under another name until all of it is there. */
static struct err copy_back(struct ctx *cx, const struct store_settings *s, struct str from, struct str keyring)
{
    const char *database = inside(cx, s->directory, "agentd.db"), *unfinished = inside(cx, s->directory, "agentd.db.new");
    int64_t bytes;
    TRY(copy_file(cx, str_z(cx->arena, keyring), inside(cx, s->directory, "keyring"), O_TRUNC, &bytes));
    TRY(copy_file(cx, inside(cx, from, "agentd.db"), unfinished, O_TRUNC, &bytes));
    TRY(disk_rename(unfinished, database));
    return disk_sync_directory(str_z(cx->arena, s->directory));
}

struct err store_restore(struct ctx *cx, const struct store_settings *s, struct str from, struct str keyring, struct restored *out)
{
    const char *database = inside(cx, s->directory, "agentd.db");
    *out = (struct restored){0};
    TRY(make_directory(cx, s->directory));
    if (access(database, F_OK) == 0) return errf(cx->arena, ERR_CONFLICT, "%s is there already", database);
    TRY(has_master(cx, s));
    TRY(copy_back(cx, s, from, keyring));
    struct err e = store_keyring_accept(cx, s);
    if (!failed(e)) e = try_all(cx, s, out);
    if (failed(e)) unlink(database); /* so that it can be said again */
    return e;
}
