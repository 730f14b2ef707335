#include "store/store.h"
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/id.h"
#include "base/log.h"
#include "io/loop.h"
#include "io/scope.h"
#include "io/wait.h"
#include "store/cells.h"
#include "store/disk.h"
#include "store/keyring.h"
#include "store/master.h"
#include "store/migrate.h"
#include "store/ring.h"
#include "store/rotation.h"
#include "store/sqlite.h"

/* How a start goes, and why in this order (each step may be the last before a power cut):
 *
 *   1. the directory, its lock. Everything is read, and refused or not, before anything is written.
 *   2. one commit: the schema, the numbers of this start, and `stamp_next`, the stamp to come;
 *   3. the keyring gets that stamp; a new one is made when there never was one;
 *   4. its pool is filled, the erasing slots are overwritten, and all of it is synced;
 *   5. one commit: `stamp` = what the keyring has.
 *
 * Database and keyring belong together when the keyring's stamp is the database's `stamp` or
 * `stamp_next`: the second is a crash between 3 and 5. Without a `stamp` no start ever came to its end, so
 * nothing was sealed, and a missing keyring is just not made yet. The commit of 2 also says which of the two
 * it was, or after a second crash neither would be known.
 *
 * Until then the names of files may not be on the disk, whoever made them: so the directory and the one above
 * are synced before a keyring is made, and before a `stamp` is written beside one. */
enum { PATH_BYTES_MAX = 1024, PERSISTENT_PAUSE_MS = 60000, SHRINK_PAUSE_MS = 10000, SHRINK_STEP_MS = 20 };
/* Numbers of one start: more than it draws in a day at full speed; the rest is given back when it ends well. */
static const int64_t numbers_of_server = INT64_C(1) << 32, numbers_of_command = 16;

struct block {
    int64_t next, end;
};
struct opened {
    struct store store; /* first: what callers hold */
    char *directory, *database, *keyring, *master, *spare_room;
    struct reserve reserve;
    int lock;
    struct cells *cells;
    struct ring ring;
    bool is_ring_open;
    struct block numbers, spare;
    struct scope scope; /* of the keeper */
    struct ctx keeper_cx;
    bool is_kept;
};

static const struct err no_memory = {ERR_MEMORY, "there is no memory left"};

/* ---- the directory ----------------------------------------------------------------- */

static char *joined(const char *directory, const char *name)
{
    size_t count = strlen(directory) + strlen(name) + 2;
    char *path = malloc(count);
    if (path) {
        memcpy(path, directory, strlen(directory));
        path[strlen(directory)] = '/';
        memcpy(path + strlen(directory) + 1, name, strlen(name) + 1);
    }
    return path;
}

static char *copied(struct str s)
{
    char *z = malloc(s.count + 1);
    if (z && s.count) memcpy(z, s.at, s.count);
    if (z) z[s.count] = 0;
    return z;
}

/* "/" stays; other slashes at the end are no part of the name. */
static struct str without_slashes(struct str path)
{
    while (path.count > 1 && path.at[path.count - 1] == '/') path.count--;
    return path;
}

static struct err opened_new(const struct store_settings *s, struct opened **out)
{
    struct str directory = without_slashes(s->directory);
    if (directory.count == 0 || directory.count > PATH_BYTES_MAX - 64)
        return err(ERR_INVALID, "the path of the data directory is empty or too long");
    struct opened *o = calloc(1, sizeof *o);
    if (!o) return no_memory;
    o->lock = -1;
    *out = o;
    if (!(o->directory = copied(directory))) return no_memory;
    o->database = joined(o->directory, "agentd.db");
    o->keyring = joined(o->directory, "keyring");
    o->spare_room = joined(o->directory, "reserve");
    o->reserve = (struct reserve){.path = o->spare_room, .bytes = s->reserve_bytes};
    o->master = s->master_key_file.count ? copied(s->master_key_file) : joined(o->directory, "master.key");
    return o->database && o->keyring && o->master && o->spare_room ? OK : no_memory;
}

/* A sentence that names the directory. */
static struct err about(struct ctx *cx, const struct opened *o, struct err e, const char *sentence)
{
    return errf(cx->arena, e.code, "%s: %s", o->directory, sentence);
}

static struct err make_directory(struct ctx *cx, struct opened *o)
{
    struct err e = disk_make_directory(o->directory);
    if (e.code == ERR_CONFLICT) return OK;
    if (e.code == ERR_NOT_FOUND) return about(cx, o, e, "the directory above does not exist");
    if (e.code == ERR_DENIED) return about(cx, o, e, "the data directory may not be made here");
    return failed(e) ? about(cx, o, e, e.what) : OK;
}

static struct err sync_names(const struct opened *o)
{
    char above[PATH_BYTES_MAX + 8];
    const char *slash = strrchr(o->directory, '/');
    size_t count = slash ? (size_t)(slash - o->directory) : 0;
    memcpy(above, o->directory, count);
    memcpy(above + count, slash ? "/" : ".", 2);
    TRY(disk_sync_directory(above));
    return disk_sync_directory(o->directory);
}

/* The lock goes with the descriptor, however the process ends. */
static struct err take_lock(struct ctx *cx, struct opened *o)
{
    char *path = joined(o->directory, "lock");
    if (!path) return no_memory;
    struct err e = disk_open(path, O_RDWR | O_CREAT, &o->lock);
    free(path);
    if (e.code == ERR_DENIED) return about(cx, o, e, "the data directory may not be written");
    if (failed(e)) return about(cx, o, e, e.what);
    if (flock(o->lock, LOCK_EX | LOCK_NB) == 0) return OK;
    return about(cx, o, (struct err){ERR_BUSY, 0}, "the data directory is in use by another agentd");
}

static struct rotation rotation_of(const struct opened *o, const struct store_settings *s)
{
    return (struct rotation){.directory = o->directory, .keyring = o->keyring, .cells = o->cells,
                             .master = s->master_key_file.count ? NULL : o->master};
}

/* What a crash left of a rotation is put in order by whoever holds the lock. */
static struct err finish_rotation(struct ctx *cx, struct opened *o, const struct store_settings *s)
{
    struct rotation rotation = rotation_of(o, s);
    struct err e = rotation_finish(&rotation);
    return failed(e) ? about(cx, o, e, e.what) : OK;
}

static struct err open_database(struct ctx *cx, struct opened *o, const struct store_settings *s)
{
    struct db_settings settings = {.path = o->database, .group_jobs_max = s->group_jobs_max, .queue_max = s->queue_max,
                                   .readers = s->readers, .checkpoint_pages = s->checkpoint_pages,
                                   .reserve = &o->reserve};
    struct err e = db_open(cx, &settings, &o->store.db);
    return failed(e) ? about(cx, o, e, e.what) : OK;
}

/* ---- do they belong together? ------------------------------------------------------ */

struct belonging {
    int schema; /* 0: the database is new */
    struct str installation, stamp, stamp_next; /* at = null: not there */
    bool has_master, has_ring;
    unsigned char master[32];
};

#define ACCEPTING "agentd keyring accept --data %s"

static struct err read_database(struct ctx *cx, struct opened *o, struct belonging *b)
{
    struct err e = migrate_reached(cx, o->store.db, &b->schema);
    if (failed(e)) return about(cx, o, e, e.what);
    if (b->schema == 0) return OK;
    TRY(meta_get(cx, o->store.db, "installation", &b->installation));
    TRY(meta_get(cx, o->store.db, "stamp", &b->stamp));
    return meta_get(cx, o->store.db, "stamp_next", &b->stamp_next);
}

static struct err read_master(struct ctx *cx, struct opened *o, const struct store_settings *s, struct belonging *b)
{
    struct err e = master_read(o->master, b->master);
    b->has_master = !failed(e);
    bool may_make = !b->has_ring && !b->stamp.at && s->master_key_file.count == 0;
    if (!failed(e) || (e.code == ERR_NOT_FOUND && may_make)) return OK;
    if (e.code == ERR_NOT_FOUND) return errf(cx->arena, e.code, "the master key is missing: there is no file %s", o->master);
    return errf(cx->arena, e.code, "the master key in %s cannot be read: %s", o->master, e.what);
}

static struct err read_ring(struct ctx *cx, struct opened *o, const struct belonging *b)
{
    struct err e = ring_open(&o->ring, o->keyring, o->cells, b->master);
    if (failed(e)) return errf(cx->arena, e.code, "%s: %s", o->keyring, e.what);
    o->is_ring_open = true;
    return OK;
}

static struct err compare(struct ctx *cx, const struct opened *o, const struct belonging *b)
{
    if (!b->has_ring && !b->stamp.at) return OK;
    if (!b->has_ring)
        return errf(cx->arena, ERR_CONFLICT, "%s is missing, and with it every key of this database; to go on with an empty "
                    "one: " ACCEPTING, o->keyring, o->directory);
    bool is_same = b->installation.at && str_is(b->installation, o->ring.installation);
    if (is_same && (ring_stamp_is(o->ring.stamp, b->stamp) || ring_stamp_is(o->ring.stamp, b->stamp_next))) return OK;
    return errf(cx->arena, ERR_CONFLICT, "%s: database and keyring do not belong together (is one of them a restored copy?); "
                "to go on with them as they are: " ACCEPTING, o->directory, o->directory);
}

/* Reads and decides; changes nothing. Between db_begin and db_commit. */
static struct err look(struct ctx *cx, struct opened *o, const struct store_settings *s, struct belonging *b)
{
    TRY(read_database(cx, o, b));
    b->has_ring = ring_exists(o->keyring);
    if (!b->has_ring) TRY(compare(cx, o, b));
    TRY(read_master(cx, o, s, b));
    if (!b->has_ring) return OK;
    TRY(read_ring(cx, o, b));
    return compare(cx, o, b);
}

/* ---- numbers ----------------------------------------------------------------------- */

static const char reserve_sql[] = "UPDATE number SET next = next + $1 WHERE name = 'n' RETURNING next";

static struct err reserve_inside(struct ctx *cx, struct opened *o, int64_t count)
{
    struct rows rows;
    TRY(db_read_inside(cx, o->store.db, reserve_sql, ARGS(num(count)), &rows));
    if (rows.count != 1) return err(ERR_IO, "the database has lost its numbers");
    o->numbers = (struct block){row_num(&rows, 0, 0) - count, row_num(&rows, 0, 0)};
    return OK;
}

int64_t store_number(struct store *store)
{
    struct opened *o = (struct opened *)store;
    if (o->numbers.next == o->numbers.end) {
        o->numbers = o->spare;
        o->spare = (struct block){0};
    }
    assert(o->numbers.next < o->numbers.end);
    return o->numbers.next++;
}

static struct err reserve_spare(struct ctx *cx, struct opened *o)
{
    if (o->spare.end || o->numbers.end - o->numbers.next > numbers_of_server / 2) return OK;
    struct batch *b = batch_new(cx->arena);
    batch_add(b, reserve_sql, ARGS(num(numbers_of_server)), 1);
    TRY(db_write(cx, o->store.db, b));
    int64_t end = row_num(batch_rows(b, 0), 0, 0);
    o->spare = (struct block){end - numbers_of_server, end};
    return OK;
}

/* What was not drawn, if nobody reserved after us. */
static void give_numbers_back(struct opened *o)
{
    if (o->numbers.end && !o->spare.end && o->numbers.next < o->numbers.end)
        db_ride(o->store.db, "UPDATE number SET next = $1 WHERE name = 'n' AND next = $2",
                ARGS(num(o->numbers.next), num(o->numbers.end)), NULL, NULL);
}

/* ---- the first commit -------------------------------------------------------------- */

static struct err make_schema(struct ctx *cx, struct opened *o, struct belonging *b)
{
    struct db *db = o->store.db;
    TRY(migrate_from(cx, db, b->schema));
    if (b->installation.at) return OK;
    b->installation = uuid_new(cx->arena);
    TRY(meta_set(cx, db, "installation", b->installation));
    return db_script(cx, db, "INSERT INTO number (name, next) VALUES ('n', 1), ('slot', 16)");
}

static void keep_installation(struct opened *o, struct str id)
{
    size_t count = id.count < sizeof o->store.installation ? id.count : sizeof o->store.installation - 1;
    memcpy(o->store.installation, id.at, count);
    o->store.installation[count] = 0;
}

static struct err first_commit(struct ctx *cx, struct opened *o, const struct store_settings *s, struct belonging *b,
                               struct ring_stamp *next)
{
    struct db *db = o->store.db;
    TRY(db_begin(cx, db));
    TRY(look(cx, o, s, b));
    *next = ring_stamp_next(o->ring.stamp);
    TRY(make_schema(cx, o, b));
    if (b->has_ring && !b->stamp.at) TRY(sync_names(o));
    /* What we read there may have been written by a process that died before it synced. */
    if (b->has_ring && !ring_stamp_is(o->ring.stamp, b->stamp)) TRY(ring_sync(&o->ring));
    if (b->has_ring) TRY(meta_set(cx, db, "stamp", str(ring_stamp_text(cx->arena, o->ring.stamp))));
    TRY(meta_set(cx, db, "stamp_next", str(ring_stamp_text(cx->arena, *next))));
    TRY(reserve_inside(cx, o, numbers_of_server));
    TRY(db_commit(cx, db));
    keep_installation(o, b->installation);
    return OK;
}

/* ---- the keyring ------------------------------------------------------------------- */

static struct err make_ring(struct opened *o, struct belonging *b, struct ring_stamp stamp)
{
    if (!b->has_master) {
        TRY(master_make(o->master, b->master));
        log_plain(EVENT_keyring_master_made);
    }
    /* A keyring whose master key is not on the disk would be refused for ever. */
    TRY(sync_names(o));
    TRY(ring_make(&o->ring, o->keyring, o->cells, b->master, o->store.installation, stamp));
    o->is_ring_open = true;
    return OK;
}

static struct err raise_ring(struct opened *o, struct belonging *b, struct ring_stamp stamp)
{
    if (b->has_ring) return ring_raise(&o->ring, stamp);
    TRY(make_ring(o, b, stamp));
    return sync_names(o);
}

/* Steps 4 and 5. */
static struct err ready_keyring(struct ctx *cx, struct opened *o, const struct store_settings *s, struct ring_stamp stamp)
{
    struct db *db = o->store.db;
    struct rows rows;
    TRY(db_read_inside(cx, db, "SELECT next FROM number WHERE name = 'slot'", NO_ARGS, &rows));
    if (rows.count != 1) return err(ERR_IO, "the database has lost its numbers");
    TRY(keyring_open(cx, db, &o->ring, s->pool_slots, row_num(&rows, 0, 0) - 1, &o->store.keyring));
    TRY(keyring_tend(cx, o->store.keyring));
    TRY(keyring_sweep(cx, o->store.keyring));
    struct batch *b = batch_new(cx->arena);
    batch_add(b, "INSERT INTO meta (name, value) VALUES ('stamp', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
              ARGS(text(str(ring_stamp_text(cx->arena, stamp)))), 1);
    return db_write(cx, db, b);
}

/* ---- the keeper -------------------------------------------------------------------- */

/* A fiber that does in the background what nobody should wait for. */
static struct err keep(struct ctx *cx, void *arg)
{
    struct opened *o = arg;
    struct arena_mark mark = arena_mark(cx->arena);
    for (;;) {
        struct err e = keyring_wait(cx, o->store.keyring, PERSISTENT_PAUSE_MS);
        if (failed(e) && e.code != ERR_TIMEOUT) return OK;
        bool is_quiet = e.code == ERR_TIMEOUT;
        e = keyring_tend(cx, o->store.keyring);
        if (!failed(e)) e = reserve_spare(cx, o);
        if (!failed(e) && is_quiet) e = db_flush(cx, o->store.db);
        if (failed(e) && e.code != ERR_CANCELLED) log_event(EVENT_keyring_not_filled, LOG_WORD("why", e.what ? e.what : ""));
        arena_rewind(cx->arena, mark);
    }
}

/* Another one, that gives back what mass deletes have left empty, and keeps the reserve. */
static struct err shrink(struct ctx *cx, void *arg)
{
    struct opened *o = arg;
    struct arena_mark mark = arena_mark(cx->arena);
    bool is_more = false;
    while (!failed(wait_ms(cx, is_more ? SHRINK_STEP_MS : SHRINK_PAUSE_MS))) {
        struct err e = db_shrink(cx, o->store.db, &is_more);
        if (!failed(e) && !is_more) e = reserve_make(cx, &o->reserve);
        if (failed(e)) is_more = false; /* a full disk, perhaps: it is tried again */
        arena_rewind(cx->arena, mark);
    }
    return OK;
}

static struct err start_keeper(struct ctx *cx, struct opened *o)
{
    if (!cx->loop) return OK;
    o->keeper_cx = scope_open(&o->scope, cx);
    o->is_kept = true;
    TRY(scope_spawn(&o->keeper_cx, shrink, o));
    return scope_spawn(&o->keeper_cx, keep, o);
}

static void stop_keeper(struct ctx *cx, struct opened *o)
{
    if (!o->is_kept) return;
    struct ctx own = o->keeper_cx;
    own.fiber = cx->fiber;
    own.arena = cx->arena;
    scope_cancel(&o->scope);
    struct err e = scope_close(&own);
    (void)e; /* it was told to end */
    o->is_kept = false;
}

/* ---- opening and closing ----------------------------------------------------------- */

static void let_go(struct opened *o)
{
    if (o->store.keyring) keyring_close(o->store.keyring);
    else if (o->is_ring_open) ring_close(&o->ring);
    if (o->store.db) db_close(o->store.db);
    cells_close(o->cells);
    if (o->lock >= 0) disk->close(o->lock);
    free(o->directory);
    free(o->database);
    free(o->keyring);
    free(o->master);
    free(o->spare_room);
    free(o);
}

static struct err open_all(struct ctx *cx, struct opened *o, const struct store_settings *s)
{
    struct belonging b = {0};
    struct ring_stamp next;
    if (!(o->cells = cells_open())) return no_memory;
    TRY(make_directory(cx, o));
    TRY(take_lock(cx, o));
    TRY(finish_rotation(cx, o, s));
    TRY(open_database(cx, o, s));
    struct err e = first_commit(cx, o, s, &b, &next);
    if (!failed(e)) e = raise_ring(o, &b, next);
    explicit_bzero(b.master, sizeof b.master);
    if (failed(e)) db_rollback(o->store.db);
    TRY(e);
    TRY(db_start(cx, o->store.db));
    if (cx->loop) loop_pardon(cx->loop); /* nobody is served yet */
    TRY(ready_keyring(cx, o, s, next));
    struct err kept = reserve_make(cx, &o->reserve);
    if (failed(kept)) log_event(EVENT_store_no_reserve, LOG_WORD("why", kept.what));
    return start_keeper(cx, o);
}

struct err store_open(struct ctx *cx, const struct store_settings *s, struct store **out)
{
    struct opened *o = NULL;
    struct err e = opened_new(s, &o);
    if (!failed(e)) e = open_all(cx, o, s);
    if (failed(e)) {
        if (o) stop_keeper(cx, o), let_go(o);
        return e;
    }
    *out = &o->store;
    return OK;
}

void store_close(struct ctx *cx, struct store *store)
{
    struct opened *o = (struct opened *)store;
    struct scope scope;
    stop_keeper(cx, o);
    /* Whatever ended us, the last writes are ours to make. */
    struct ctx last = *cx;
    if (cx->loop) last = scope_open_shielded(&scope, cx, 0);
    struct err e = OK;
    if (store->keyring) e = keyring_erase_untaken(&last, store->keyring);
    give_numbers_back(o);
    if (!failed(e)) e = db_flush(&last, store->db);
    if (cx->loop) {
        struct err closed = scope_close(&last);
        e = failed(e) ? e : closed;
    }
    if (failed(e)) log_event(EVENT_store_not_tidied, LOG_WORD("why", e.what ? e.what : "")); /* the next start does it */
    let_go(o);
}

/* ---- beside a running server ------------------------------------------------------- */

/* A schema is made by whoever comes first, but moved on only by who holds the lock: the server that runs is an older one. */
static struct err open_rows(struct ctx *cx, struct opened *o, const struct store_settings *s)
{
    struct belonging b = {0};
    TRY(make_directory(cx, o));
    TRY(open_database(cx, o, s));
    TRY(db_begin(cx, o->store.db));
    TRY(read_database(cx, o, &b));
    if (b.schema > 0 && b.schema < migrate_newest()) TRY(take_lock(cx, o));
    TRY(make_schema(cx, o, &b));
    TRY(reserve_inside(cx, o, numbers_of_command));
    TRY(db_commit(cx, o->store.db));
    if (!b.stamp.at) TRY(sync_names(o));
    keep_installation(o, b.installation);
    return db_start(cx, o->store.db);
}

struct err store_open_rows(struct ctx *cx, const struct store_settings *s, struct store **out)
{
    struct opened *o = NULL;
    struct err e = opened_new(s, &o);
    if (!failed(e)) e = open_rows(cx, o, s);
    if (failed(e)) {
        if (o) let_go(o);
        return e;
    }
    *out = &o->store;
    return OK;
}

/* ---- agentd keyring accept --------------------------------------------------------- */

/* Keys that the database calls free are destroyed by the next start: an old copy of the keyring brought them back. */
static struct err accept_inside(struct ctx *cx, struct opened *o, const struct belonging *b)
{
    struct db *db = o->store.db;
    if (b->schema == 0) return errf(cx->arena, ERR_NOT_FOUND, "%s holds no database yet", o->directory);
    if (!b->has_ring) {
        TRY(meta_set(cx, db, "stamp", (struct str){0}));
        return meta_set(cx, db, "stamp_next", (struct str){0});
    }
    if (!str_is(b->installation, o->ring.installation)) {
        if (b->stamp.at)
            return errf(cx->arena, ERR_CONFLICT, "%s is of another installation and opens nothing here: move it away and say "
                        "this again", o->keyring);
        TRY(meta_set(cx, db, "installation", str(o->ring.installation)));
    }
    TRY(meta_set(cx, db, "stamp", str(ring_stamp_text(cx->arena, o->ring.stamp))));
    return db_script(cx, db, "UPDATE slot SET state = 1");
}

static struct err accept(struct ctx *cx, struct opened *o, const struct store_settings *s)
{
    struct belonging b = {0};
    if (!(o->cells = cells_open())) return no_memory;
    if (access(o->database, F_OK) != 0) return errf(cx->arena, ERR_NOT_FOUND, "%s holds no database yet", o->directory);
    TRY(take_lock(cx, o));
    TRY(finish_rotation(cx, o, s));
    TRY(open_database(cx, o, s));
    TRY(db_begin(cx, o->store.db));
    struct err e = read_database(cx, o, &b);
    b.has_ring = ring_exists(o->keyring);
    if (!failed(e) && b.has_ring) e = read_master(cx, o, s, &b);
    if (!failed(e) && b.has_ring) e = read_ring(cx, o, &b);
    explicit_bzero(b.master, sizeof b.master);
    if (!failed(e)) e = accept_inside(cx, o, &b);
    if (!failed(e)) return db_commit(cx, o->store.db);
    db_rollback(o->store.db);
    return e;
}

struct err store_keyring_accept(struct ctx *cx, const struct store_settings *s)
{
    struct opened *o = NULL;
    struct err e = opened_new(s, &o);
    if (!failed(e)) e = accept(cx, o, s);
    if (o) let_go(o);
    return e;
}

/* ---- agentd keyring rotate --------------------------------------------------------- */

static struct err rotate_to(struct ctx *cx, struct opened *o, const struct store_settings *s, struct str file)
{
    struct rotation rotation = rotation_of(o, s);
    unsigned char key[32];
    const char *path = str_z(cx->arena, file);
    if (!file.count) return rotation_make(&rotation, &o->ring, NULL);
    struct err e = master_read(path, key);
    if (failed(e)) e = errf(cx->arena, e.code, "the new master key in %s cannot be read: %s", path, e.what);
    else e = rotation_make(&rotation, &o->ring, key);
    explicit_bzero(key, sizeof key);
    return e;
}

static struct err rotate(struct ctx *cx, struct opened *o, const struct store_settings *s, struct str file)
{
    struct belonging b = {.has_ring = true};
    if (!file.count && s->master_key_file.count)
        return err(ERR_INVALID, "the master key is not in the data directory: name the file with the new one");
    if (!(o->cells = cells_open())) return no_memory;
    if (access(o->keyring, F_OK) != 0) return errf(cx->arena, ERR_NOT_FOUND, "there is no keyring %s", o->keyring);
    TRY(take_lock(cx, o));
    TRY(finish_rotation(cx, o, s));
    struct err e = read_master(cx, o, s, &b);
    if (!failed(e)) e = read_ring(cx, o, &b);
    explicit_bzero(b.master, sizeof b.master);
    return failed(e) ? e : rotate_to(cx, o, s, file);
}

struct err store_keyring_rotate(struct ctx *cx, const struct store_settings *s, struct str file)
{
    struct opened *o = NULL;
    struct err e = opened_new(s, &o);
    if (!failed(e)) e = rotate(cx, o, s, file);
    if (o) let_go(o);
    return e;
}
