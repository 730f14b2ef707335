#include "store/sqlite.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/log.h"
#include "io/loop.h"
#include "io/offload.h"
#include "store/batch.h"
#include "store/sqlite_connection.h"

/* A group is first applied without savepoints, which cost a copy of every page they see changed: nearly
 * always nothing is refused, or what is refused has changed nothing yet. Only when a batch was refused
 * half way the group starts over, with a savepoint around each batch.
 *
 * The log is copied into the database between groups, before the next one, so that nobody who has
 * been served waits for it. LOG_TOO_LONG times the bound means that some reader was always
 * in the way: then the writer waits for them for a moment. */
enum { READERS_MAX = 16, VALUES_MAX = 8, LOG_TOO_LONG = 8, LOG_PATIENCE_MS = 50 };

struct ride {
    struct ride *next;
    const char *sql;
    void (*done)(void *);
    void *arg;
    int count;
    struct value values[VALUES_MAX];
    char bytes[]; /* of their texts */
};
struct rides {
    struct ride *first, **last;
    int count;
};

struct write { /* one waiter's job; without a batch only for what rides */
    struct job job;
    struct batch *batch;
    bool empties_log; /* first */
};

struct reader {
    struct db *db;
    struct worker *worker;
    int scans; /* that wait for it; the loop's */
    struct connection connection;
};
struct scan {
    struct job job;
    const char *sql;
    struct args args;
    struct arena found;
    struct rows rows;
};

struct db {
    struct loop *loop;
    struct db_settings settings;
    char *path;
    struct connection writer, point;
    struct worker *writing;
    bool is_reading;              /* `point` is in a transaction, until `reading_ends` */
    struct deferred reading_ends;
    struct reader readers[READERS_MAX];
    int readers_count;
    int log_pages, checkpoint_at; /* the writer's */
    bool is_closing;
    bool is_shrinking; /* many pages were free, and some still are */
    pthread_mutex_t lock;         /* over the lists below */
    struct rides waiting, finished;
};

/* ---- opening ----------------------------------------------------------------------- */

/* Prepared at the start: it is wanted when there is no memory left. */
static const char rollback_sql[] = "ROLLBACK";

static struct err open_writer(struct db *db, const char *path)
{
    TRY(connection_open(&db->writer, path, CONNECTION_WRITES));
    struct err e = connection_prepare(&db->writer, rollback_sql);
    if (failed(e)) connection_close(&db->writer);
    return e;
}

struct err db_open(struct ctx *cx, const struct db_settings *settings, struct db **out)
{
    assert(settings->readers <= READERS_MAX && settings->checkpoint_pages < 1 << 30);
    struct db *db = calloc(1, sizeof *db);
    char *path = strdup(settings->path);
    struct err e = db && path ? open_writer(db, path) : err(ERR_MEMORY, "there is no memory left");
    if (failed(e)) {
        free(db);
        free(path);
        return e;
    }
    db->loop = cx->loop;
    db->settings = *settings;
    db->path = path;
    db->checkpoint_at = (int)settings->checkpoint_pages;
    db->waiting.last = &db->waiting.first;
    db->finished.last = &db->finished.first;
    pthread_mutex_init(&db->lock, NULL);
    connection_count_log(&db->writer, &db->log_pages);
    *out = db;
    return OK;
}

struct err db_begin(struct ctx *cx, struct db *db)
{
    (void)cx;
    return connection_script(&db->writer, "BEGIN IMMEDIATE");
}

struct err db_script(struct ctx *cx, struct db *db, const char *sql)
{
    (void)cx;
    return connection_script(&db->writer, sql);
}

struct err db_commit(struct ctx *cx, struct db *db)
{
    (void)cx;
    struct err e = connection_script(&db->writer, "COMMIT");
    if (failed(e)) db_rollback(db);
    return e;
}

void db_rollback(struct db *db)
{
    if (!connection_is_inside(&db->writer)) return;
    struct err e = connection_run(&db->writer, rollback_sql, NO_ARGS, NULL, NULL, NULL);
    (void)e; /* write_group tries again */
}

struct err db_read_inside(struct ctx *cx, struct db *db, const char *sql, struct args args, struct rows *rows)
{
    return connection_run(&db->writer, sql, args, cx->arena, rows, NULL);
}

struct err db_write_inside(struct ctx *cx, struct db *db, const char *sql, struct args args)
{
    return connection_run(&db->writer, sql, args, cx->arena, NULL, NULL);
}

bool db_has_table(struct db *db, const char *name)
{
    struct arena arena = arena_new();
    struct rows found = {0};
    struct err e = connection_run(&db->writer, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1",
                                  ARGS(text(str(name))), &arena, &found, NULL);
    arena_free(&arena);
    return !failed(e) && found.count == 1;
}

/* ---- what rides -------------------------------------------------------------------- */

static void rides_add(struct rides *r, struct ride *ride)
{
    ride->next = NULL;
    *r->last = ride;
    r->last = &ride->next;
    r->count++;
}

static struct rides rides_take(struct db *db, struct rides *from)
{
    pthread_mutex_lock(&db->lock);
    struct rides taken = *from;
    *from = (struct rides){.last = &from->first};
    pthread_mutex_unlock(&db->lock);
    return taken;
}

/* Before what is there already: a lost group's rides go with the next one. */
static void rides_give(struct db *db, struct rides *to, struct rides *given)
{
    if (!given->first) return;
    pthread_mutex_lock(&db->lock);
    *given->last = to->first;
    if (!to->first) to->last = given->last;
    to->first = given->first;
    to->count += given->count;
    pthread_mutex_unlock(&db->lock);
}

void db_ride(struct db *db, const char *sql, struct args args, void (*done)(void *), void *arg)
{
    assert(args.count <= VALUES_MAX);
    size_t bytes = 0;
    for (int i = 0; i < args.count; i++) bytes += args.values[i].text.count;
    struct ride *ride = db->is_closing ? NULL : malloc(sizeof *ride + bytes);
    if (!ride) return; /* by its nature it may be lost: what it says is found out again after a restart */
    *ride = (struct ride){.sql = sql, .done = done, .arg = arg, .count = args.count};
    char *at = ride->bytes;
    for (int i = 0; i < args.count; i++) {
        ride->values[i] = args.values[i];
        size_t count = args.values[i].text.count;
        if (count) ride->values[i].text.at = memcpy(at, args.values[i].text.at, count);
        at += count;
    }
    pthread_mutex_lock(&db->lock);
    rides_add(&db->waiting, ride);
    pthread_mutex_unlock(&db->lock);
}

/* On the loop's thread, after a group: whoever rode with it hears so. */
static void tell_riders(struct db *db)
{
    struct rides told = rides_take(db, &db->finished);
    while (told.first) {
        struct ride *ride = told.first;
        told.first = ride->next;
        if (ride->done) ride->done(ride->arg);
        free(ride);
    }
}

int db_riding(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    int count = db->waiting.count;
    pthread_mutex_unlock(&db->lock);
    return count;
}

/* ---- a group ----------------------------------------------------------------------- */

static struct err run_plain(struct db *db, const char *sql) { return connection_run(&db->writer, sql, NO_ARGS, NULL, NULL, NULL); }

static struct err run_step(struct db *db, struct batch *b, struct step *s)
{
    TRY(connection_run(&db->writer, s->sql, s->args, &b->returned, &s->rows, &s->changed));
    if (s->expected == ANY_CHANGES || s->changed == s->expected) return OK;
    return err(ERR_CONFLICT, "it is no longer as it was");
}

/* `has_traces`: it failed after it had changed something. */
static struct err run_steps(struct db *db, struct batch *b, bool *has_traces)
{
    int index = 0;
    arena_free(&b->returned);
    b->refused = -1;
    *has_traces = false;
    for (struct step *s = b->first; s; s = s->next, index++) {
        s->changed = 0;
        struct err e = run_step(db, b, s);
        *has_traces = *has_traces || s->changed > 0;
        if (e.code == ERR_CONFLICT) b->refused = index;
        TRY(e);
    }
    return OK;
}

/* A failure that SQLite answered by rolling everything back is the group's. */
static struct err apply(struct db *db, struct batch *b, bool careful, bool *has_traces)
{
    if (careful) TRY(run_plain(db, "SAVEPOINT batch"));
    struct err e = run_steps(db, b, has_traces);
    if (!careful || !connection_is_inside(&db->writer)) return e;
    struct err undone = failed(e) ? run_plain(db, "ROLLBACK TO batch") : OK;
    if (!failed(undone)) undone = run_plain(db, "RELEASE batch");
    if (failed(undone)) db_rollback(db); /* rather the whole group than half a batch */
    *has_traces = false;
    return failed(undone) ? undone : e;
}

static struct err apply_rides(struct db *db, struct rides *rides)
{
    for (struct ride *r = rides->first; r; r = r->next) {
        struct err e = connection_run(&db->writer, r->sql, (struct args){r->values, r->count}, NULL, NULL, NULL);
        if (failed(e) && !connection_is_inside(&db->writer)) return e;
        if (failed(e)) r->done = NULL; /* one statement leaves no trace when it fails; nobody waits for it */
    }
    return OK;
}

/* What the waiters asked for, up to the commit. `is_half`: start over, carefully. */
static struct err apply_all(struct db *db, struct job *jobs, struct rides *rides, bool careful, bool *is_half)
{
    db_rollback(db); /* half a group, or one that could not be taken back */
    if (connection_is_inside(&db->writer)) return err(ERR_MEMORY, "the database has no memory left");
    TRY(run_plain(db, "BEGIN IMMEDIATE"));
    TRY(apply_rides(db, rides));
    *is_half = false;
    for (struct job *job = jobs; job && !*is_half; job = job->next) {
        struct batch *b = ((struct write *)job)->batch;
        job->outcome = OK;
        if (!b) continue;
        job->outcome = apply(db, b, careful, is_half);
        if (!connection_is_inside(&db->writer)) return job->outcome;
        if (!failed(job->outcome)) *is_half = false;
    }
    return *is_half ? OK : run_plain(db, "COMMIT");
}

static void checkpoint_if_due(struct db *db)
{
    if (!db->settings.checkpoint_pages || db->log_pages < db->checkpoint_at) return;
    int bound = (int)db->settings.checkpoint_pages;
    int left = connection_checkpoint(&db->writer, db->log_pages > bound * LOG_TOO_LONG ? LOG_PATIENCE_MS : 0);
    /* A log that was copied whole starts anew with the next commit, which says how long it is then. */
    db->checkpoint_at = left ? db->log_pages + bound / 4 + 1 : bound;
    if (!left) db->log_pages = 0;
}

static void lose(struct job *jobs, struct err why)
{
    for (struct job *job = jobs; job; job = job->next) {
        struct batch *b = ((struct write *)job)->batch;
        job->outcome = why;
        if (!b) continue;
        b->refused = -1;
        arena_free(&b->returned);
    }
}

/* The writer: everything that waits, in one commit. */
static void write_group(void *self, struct job *jobs)
{
    struct db *db = self;
    bool is_half = false;
    checkpoint_if_due(db);
    for (struct job *job = jobs; job; job = job->next)
        if (((struct write *)job)->empties_log) connection_empty_log(&db->writer, LOG_PATIENCE_MS);
    struct rides rides = rides_take(db, &db->waiting);
    struct err e = apply_all(db, jobs, &rides, false, &is_half);
    if (is_half && !failed(e)) e = apply_all(db, jobs, &rides, true, &is_half);
    db_rollback(db); /* does nothing after a commit */
    if (failed(e)) {
        log_event(e.code == ERR_FULL ? EVENT_store_full : EVENT_store_failed, LOG_WORD("why", e.what ? e.what : ""));
        lose(jobs, e);
    }
    rides_give(db, failed(e) ? &db->waiting : &db->finished, &rides);
}

/* ---- point reads, together ------------------------------------------------------------ */

/* Beginning and ending a look at the database costs locks, more than a row does: so the fibers that run before
 * the loop polls again look together. A write that was answered ends the look: who has been answered
 * sees its own. */
static void end_reading(void *self)
{
    struct db *db = self;
    if (!db->is_reading) return;
    db->is_reading = false;
    if (!connection_is_inside(&db->point)) return; /* a failure has ended it */
    struct err e = connection_run(&db->point, "COMMIT", NO_ARGS, NULL, NULL, NULL);
    (void)failed(e); /* nothing was written */
}

static struct err begin_reading(struct ctx *cx, struct db *db)
{
    if (db->is_reading || !cx->loop) return OK;
    TRY(connection_run(&db->point, "BEGIN", NO_ARGS, NULL, NULL, NULL));
    db->is_reading = true;
    loop_defer(db->loop, &db->reading_ends, end_reading, db);
    return OK;
}

/* ---- db_write ---------------------------------------------------------------------- */

static void settle(struct batch *b)
{
    if (b) arena_adopt(b->arena, &b->returned);
}

static struct err submit(struct ctx *cx, struct db *db, struct write *write)
{
    struct err e;
    if (!cx->loop || !db->writing) {
        write_group(db, &write->job);
        e = write->job.outcome;
    } else if (worker_queued(db->writing) >= db->settings.queue_max) {
        return err(ERR_BUSY, "too many writes are waiting");
    } else {
        e = worker_do(cx, db->writing, &write->job);
    }
    end_reading(db);
    settle(write->batch);
    tell_riders(db);
    return e;
}

struct err db_write(struct ctx *cx, struct db *db, struct batch *b)
{
    if (cx->arena->exhausted || b->arena->exhausted) return err(ERR_MEMORY, "there is no memory left for this request");
    if (batch_is_empty(b)) return OK;
    struct reserve *reserve = db->settings.reserve;
    struct write write = {.batch = b};
    if (reserve && reserve->is_given && !b->is_urgent) return err(ERR_FULL, "there is no space left on the disk");
    struct err e = submit(cx, db, &write);
    if (e.code != ERR_FULL || !b->is_urgent || !reserve) return e;
    reserve_give(reserve);
    write = (struct write){.batch = b, .empties_log = true}; /* its room, too */
    return submit(cx, db, &write);
}

void db_write_together(struct ctx *cx, struct db *db, struct batch *const *batches, int count, struct err *outcomes)
{
    assert(!db->writing);
    struct write *writes = arena_try_alloc(cx->arena, (size_t)count * sizeof *writes);
    for (int i = 0; i < count; i++) outcomes[i] = err(ERR_MEMORY, "there is no memory left for this request");
    if (!writes || count == 0) return;
    for (int i = 0; i < count; i++)
        writes[i] = (struct write){.job = {.next = i + 1 < count ? &writes[i + 1].job : NULL}, .batch = batches[i]};
    write_group(db, &writes[0].job);
    for (int i = 0; i < count; i++) {
        outcomes[i] = writes[i].job.outcome;
        settle(batches[i]);
    }
    tell_riders(db);
}

struct err db_flush(struct ctx *cx, struct db *db)
{
    while (db_riding(db)) {
        struct write write = {0};
        TRY(submit(cx, db, &write));
    }
    return OK;
}

struct err db_copy(struct ctx *cx, struct db *db, const char *path)
{
    (void)cx;
    assert(!db->writing);
    return connection_run(&db->writer, "VACUUM INTO $1", ARGS(text(str(path))), NULL, NULL, NULL);
}

/* ---- shrinking --------------------------------------------------------------------------- */

/* 256 pages are a megabyte: some milliseconds of the writer. Fewer free ones are soon used again. */
enum { SHRINK_PAGES = 256, SHRINK_LEAST = 1024 };

static struct err pages_free(struct ctx *cx, struct db *db, int64_t *count)
{
    struct rows rows;
    TRY(db_read(cx, db, POINT("PRAGMA freelist_count"), NO_ARGS, &rows));
    *count = row_num(&rows, 0, 0);
    return OK;
}

struct err db_shrink(struct ctx *cx, struct db *db, bool *is_more)
{
    int64_t before, after;
    struct batch *b = batch_new(cx->arena);
    *is_more = false;
    TRY(pages_free(cx, db, &before));
    bool is_tight = db->settings.reserve && db->settings.reserve->is_given; /* then every page counts */
    int64_t least = is_tight ? 1 : db->is_shrinking ? SHRINK_PAGES : SHRINK_LEAST;
    if (before < least) return OK;
    *is_more = true;
    if (db->writing && worker_queued(db->writing)) return OK;
    db->is_shrinking = true;
    static_assert(SHRINK_PAGES == 256, "as the statement says");
    batch_add(b, "PRAGMA incremental_vacuum(256)", NO_ARGS, ANY_CHANGES);
    batch_urge(b);
    TRY(db_write(cx, db, b));
    TRY(pages_free(cx, db, &after));
    *is_more = after >= SHRINK_PAGES && after < before;
    if (*is_more) return OK;
    db->is_shrinking = false;
    struct write write = {.empties_log = true};
    return submit(cx, db, &write);
}

/* ---- db_read ----------------------------------------------------------------------- */

static void scan_all(void *self, struct job *jobs)
{
    struct reader *reader = self;
    for (struct job *job = jobs; job; job = job->next) {
        struct scan *scan = (struct scan *)job;
        job->outcome = OK;
        if (!reader->connection.handle) job->outcome = connection_open(&reader->connection, reader->db->path, CONNECTION_READS);
        if (!failed(job->outcome))
            job->outcome = connection_run(&reader->connection, scan->sql, scan->args, &scan->found, &scan->rows, NULL);
    }
}

/* The one with the least to do; a further one is opened when all are busy. */
static struct reader *reader_for(struct db *db)
{
    struct reader *best = NULL;
    for (int i = 0; i < db->readers_count; i++)
        if (!best || db->readers[i].scans < best->scans) best = &db->readers[i];
    if (best && (best->scans == 0 || db->readers_count >= db->settings.readers)) return best;
    struct reader *next = &db->readers[db->readers_count];
    next->db = db;
    next->worker = worker_open(db->loop, "reader", 1, scan_all, next);
    if (!next->worker) return best;
    db->readers_count++;
    return next;
}

static struct err read_elsewhere(struct ctx *cx, struct db *db, const char *sql, struct args args, struct rows *rows)
{
    struct reader *reader = reader_for(db);
    if (!reader) return err(ERR_MEMORY, "there is no thread left to read with");
    if (reader->scans >= db->settings.queue_max) return err(ERR_BUSY, "too many lists are waiting");
    struct scan scan = {.sql = sql, .args = args, .found = {.wipe = cx->arena->wipe}};
    reader->scans++;
    struct err e = worker_do(cx, reader->worker, &scan.job);
    reader->scans--;
    end_reading(db); /* nor does anybody see less than before */
    arena_adopt(cx->arena, &scan.found);
    if (!failed(e)) *rows = scan.rows;
    return e;
}

struct err db_read(struct ctx *cx, struct db *db, struct statement statement, struct args args, struct rows *rows)
{
    *rows = (struct rows){0};
    if (cx->arena->exhausted) return err(ERR_MEMORY, "there is no memory left for this request");
    if (statement.is_scan && cx->loop && db->writing && db->settings.readers > 0)
        return read_elsewhere(cx, db, statement.sql, args, rows);
    TRY(begin_reading(cx, db));
    return connection_run(&db->point, statement.sql, args, cx->arena, rows, NULL);
}

/* ---- starting and closing ---------------------------------------------------------- */

struct err db_start(struct ctx *cx, struct db *db)
{
    TRY(connection_open(&db->point, db->path, CONNECTION_READS));
    if (!cx->loop) return OK;
    db->writing = worker_open(cx->loop, "writer", db->settings.group_jobs_max, write_group, db);
    return db->writing ? OK : err(ERR_MEMORY, "there is no thread left to write with");
}

void db_close(struct db *db)
{
    db->is_closing = true;
    if (db->writing) worker_close(db->writing);
    loop_undefer(&db->reading_ends);
    end_reading(db);
    for (int i = 0; i < db->readers_count; i++) {
        worker_close(db->readers[i].worker);
        if (db->readers[i].connection.handle) connection_close(&db->readers[i].connection);
    }
    struct rides rides = rides_take(db, &db->waiting);
    rides_give(db, &db->finished, &rides);
    for (struct ride *r = db->finished.first, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    if (db->point.handle) connection_close(&db->point);
    connection_close(&db->writer);
    pthread_mutex_destroy(&db->lock);
    free(db->path);
    free(db);
}
