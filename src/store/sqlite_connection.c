#include "store/sqlite_connection.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include "store/disk.h"

enum { PARAMETERS_MAX = 64, TABLE_FIRST = 64 };
/* How long we wait for another process (`agentd key`) to end its commit. */
enum { WRITER_PATIENCE_MS = 10000, READER_PATIENCE_MS = 1000 };

struct prepared {
    const char *sql;
    sqlite3_stmt *statement;
    int columns, parameters;
    bool only_reads;
    unsigned char arg_of[PARAMETERS_MAX]; /* parameter i of SQLite is $arg_of[i] + 1 of ours */
};

/* ---- errors ------------------------------------------------------------------------ */

static struct err refusal(int extended)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_TRIGGER: return err(ERR_CONFLICT, "a trigger of the database refused it");
    case SQLITE_CONSTRAINT_FOREIGNKEY: return err(ERR_CONFLICT, "what it belongs to is gone");
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE: return err(ERR_CONFLICT, "it exists already");
    default: return err(ERR_CONFLICT, "a constraint of the database refused it");
    }
}

static struct err failure(sqlite3 *handle, int code)
{
    int system = handle ? sqlite3_system_errno(handle) : 0;
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return refusal(handle ? sqlite3_extended_errcode(handle) : code);
    case SQLITE_NOMEM: return err(ERR_MEMORY, "the database has no memory left");
    case SQLITE_FULL: return err(ERR_FULL, "there is no space left on the disk");
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return err(ERR_BUSY, "another process holds the database");
    case SQLITE_NOTADB: return err(ERR_CONFLICT, "the file is not a database of agentd");
    case SQLITE_READONLY:
    case SQLITE_PERM: return err(ERR_DENIED, "the database may not be written");
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        if (system == ENOSPC || system == EDQUOT || system == EACCES || system == EPERM || system == EROFS)
            return disk_error(system);
        if (code == SQLITE_IOERR_NOMEM) return err(ERR_MEMORY, "the database has no memory left");
        return err(ERR_IO, sqlite3_errstr(code));
    default: return err(ERR_IO, sqlite3_errstr(code));
    }
}

/* ---- opening ----------------------------------------------------------------------- */

static pthread_once_t set_up = PTHREAD_ONCE_INIT;

/* Nobody asks SQLite how much memory it uses, and counting takes a lock that all threads share. */
static void set_up_library(void) { (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

/* SQLite would make the file readable by others. Only ever a new one: closing a descriptor of a file
 * that this process has open would drop its locks. */
static struct err make_file(const char *path)
{
    int fd;
    struct err e = disk_open(path, O_RDWR | O_CREAT | O_EXCL, &fd);
    if (e.code == ERR_CONFLICT) return OK;
    TRY(e);
    disk->close(fd);
    return OK;
}

static const char settings_of_writer[] = "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                                         "PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0";
static const char settings_of_all[] = "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0";

/* What is written into the file itself. auto_vacuum before its first page, so before the journal mode; said again
 * it would be a change. Somebody else's database is left as it is. */
static struct err claim_file(struct connection *c)
{
    struct arena arena = arena_new();
    struct rows tables, mode;
    struct err e = connection_run(c, "SELECT count(*), count(*) FILTER (WHERE name = 'meta') FROM sqlite_schema", NO_ARGS,
                                  &arena, &tables, NULL);
    if (!failed(e) && row_num(&tables, 0, 0) > 0 && row_num(&tables, 0, 1) == 0)
        e = err(ERR_CONFLICT, "the file is not a database of agentd");
    if (!failed(e) && row_num(&tables, 0, 0) == 0) e = connection_script(c, "PRAGMA auto_vacuum = INCREMENTAL");
    if (!failed(e)) e = connection_run(c, "PRAGMA journal_mode = WAL", NO_ARGS, &arena, &mode, NULL);
    if (!failed(e) && !str_is(row_text(&mode, 0, 0), "wal"))
        e = err(ERR_IO, "this file system cannot hold a write-ahead log");
    arena_free(&arena);
    return e;
}

struct err connection_open(struct connection *c, const char *path, enum connection_kind kind)
{
    bool writes = kind == CONNECTION_WRITES;
    *c = (struct connection){0};
    pthread_once(&set_up, set_up_library);
    if (writes) TRY(make_file(path));
    int code = sqlite3_open_v2(path, &c->handle, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL);
    struct err e = code == SQLITE_OK ? OK : failure(c->handle, code);
    if (!failed(e)) {
        sqlite3_extended_result_codes(c->handle, 1);
        sqlite3_busy_timeout(c->handle, writes ? WRITER_PATIENCE_MS : READER_PATIENCE_MS);
        e = connection_script(c, settings_of_all);
    }
    if (!failed(e) && writes) e = claim_file(c);
    if (!failed(e)) e = connection_script(c, writes ? settings_of_writer : "PRAGMA query_only = ON");
    if (failed(e)) connection_close(c);
    return e;
}

void connection_close(struct connection *c)
{
    for (int i = 0; i < c->capacity; i++) {
        if (!c->table[i]) continue;
        sqlite3_finalize(c->table[i]->statement);
        free(c->table[i]);
    }
    free(c->table);
    sqlite3_close(c->handle);
    *c = (struct connection){0};
}

struct err connection_script(struct connection *c, const char *sql)
{
    int code = sqlite3_exec(c->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : failure(c->handle, code);
}

bool connection_is_inside(const struct connection *c) { return !sqlite3_get_autocommit(c->handle); }

/* ---- statements -------------------------------------------------------------------- */

static struct prepared **place_of(const struct connection *c, const char *sql)
{
    uint64_t mixed = (uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15u;
    int at = (int)(mixed >> 40) & (c->capacity - 1);
    while (c->table[at] && c->table[at]->sql != sql) at = (at + 1) & (c->capacity - 1);
    return &c->table[at];
}

static bool make_room(struct connection *c)
{
    if (c->count * 2 < c->capacity) return true;
    struct connection wider = {.capacity = c->capacity ? c->capacity * 2 : TABLE_FIRST};
    wider.table = calloc((size_t)wider.capacity, sizeof *wider.table);
    if (!wider.table) return false;
    for (int i = 0; i < c->capacity; i++)
        if (c->table[i]) *place_of(&wider, c->table[i]->sql) = c->table[i];
    free(c->table);
    c->table = wider.table;
    c->capacity = wider.capacity;
    return true;
}

/* Which of our $1, $2 … each of SQLite's parameters is: it numbers them by first appearance. */
static void map_parameters(struct prepared *p)
{
    p->parameters = sqlite3_bind_parameter_count(p->statement);
    assert(p->parameters <= PARAMETERS_MAX);
    for (int i = 0; i < p->parameters; i++) {
        const char *name = sqlite3_bind_parameter_name(p->statement, i + 1);
        assert(name && name[0] == '$');
        int number = atoi(name + 1);
        assert(number >= 1 && number <= PARAMETERS_MAX);
        p->arg_of[i] = (unsigned char)(number - 1);
    }
}

static struct err prepare(struct connection *c, const char *sql, struct prepared **out)
{
    if (!make_room(c)) return err(ERR_MEMORY, "there is no memory left");
    struct prepared **place = place_of(c, sql);
    *out = *place;
#if AGENTD_DEBUG
    if (*place) assert(strcmp(sqlite3_sql((*place)->statement), sql) == 0); /* a text that was made, not a constant */
#endif
    if (*place) return OK;
    struct prepared *p = calloc(1, sizeof *p);
    if (!p) return err(ERR_MEMORY, "there is no memory left");
    int code = sqlite3_prepare_v3(c->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &p->statement, NULL);
    if (code != SQLITE_OK) {
#if AGENTD_DEBUG
        if (code == SQLITE_ERROR) fprintf(stderr, "statement: %s\n  %s\n", sqlite3_errmsg(c->handle), sql);
#endif
        free(p);
        return failure(c->handle, code);
    }
    p->sql = sql;
    p->columns = sqlite3_column_count(p->statement);
    p->only_reads = sqlite3_stmt_readonly(p->statement);
    map_parameters(p);
    *place = *out = p;
    c->count++;
    return OK;
}

/* Texts and blobs are borrowed: they stay where they are until the statement was reset. */
static int bind_value(sqlite3_stmt *statement, int at, const struct value *v)
{
    const char *bytes = v->text.at ? v->text.at : "";
    switch (v->kind) {
    case VALUE_NUM: return sqlite3_bind_int64(statement, at, v->num);
    case VALUE_TEXT: return sqlite3_bind_text64(statement, at, bytes, v->text.count, SQLITE_STATIC, SQLITE_UTF8);
    case VALUE_BLOB: return sqlite3_bind_blob64(statement, at, bytes, v->text.count, SQLITE_STATIC);
    case VALUE_NULL: break;
    }
    return sqlite3_bind_null(statement, at);
}

static int bind_all(const struct prepared *p, struct args args)
{
    for (int i = 0; i < p->parameters; i++) {
        assert(p->arg_of[i] < args.count);
        int code = bind_value(p->statement, i + 1, &args.values[p->arg_of[i]]);
        if (code != SQLITE_OK) return code;
    }
    return SQLITE_OK;
}

/* ---- rows -------------------------------------------------------------------------- */

/* Rows while they come. The values stand in one piece, which doubles. */
struct growing {
    struct arena *arena;
    struct value *values;
    int room, count, columns; /* of rows */
};

static bool one_more(struct growing *g)
{
    if (g->count < g->room) return true;
    int room = g->room ? g->room * 2 : 1;
    size_t each = sizeof(struct value) * (size_t)g->columns;
    struct value *wider = arena_try_alloc(g->arena, (size_t)room * each);
    if (!wider) return false;
    if (g->count) memcpy(wider, g->values, (size_t)g->count * each);
    g->values = wider;
    g->room = room;
    return true;
}

static bool copy_column(struct growing *g, sqlite3_stmt *statement, int column, struct value *out)
{
    int type = sqlite3_column_type(statement, column);
    *out = (struct value){.kind = VALUE_NULL};
    if (type == SQLITE_NULL) return true;
    if (type == SQLITE_INTEGER || type == SQLITE_FLOAT) {
        *out = num(sqlite3_column_int64(statement, column));
        return true;
    }
    const void *bytes = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(statement, column)
                                            : sqlite3_column_blob(statement, column);
    size_t count = (size_t)sqlite3_column_bytes(statement, column);
    char *copy = bytes || !count ? arena_try_alloc(g->arena, count + 1) : NULL; /* ends with a zero byte */
    if (!copy) return false;
    if (count) memcpy(copy, bytes, count);
    out->kind = type == SQLITE_TEXT ? VALUE_TEXT : VALUE_BLOB;
    out->text = str_n(copy, count);
    return true;
}

static bool copy_row(struct growing *g, sqlite3_stmt *statement)
{
    if (!one_more(g)) return false;
    for (int i = 0; i < g->columns; i++)
        if (!copy_column(g, statement, i, &g->values[g->count * g->columns + i])) return false;
    g->count++;
    return true;
}

#if AGENTD_DEBUG
static bool is_any_busy(const struct connection *c)
{
    for (sqlite3_stmt *s = sqlite3_next_stmt(c->handle, NULL); s; s = sqlite3_next_stmt(c->handle, s))
        if (sqlite3_stmt_busy(s)) return true;
    return false;
}
#endif

struct err connection_prepare(struct connection *c, const char *sql)
{
    struct prepared *unused;
    return prepare(c, sql, &unused);
}

struct err connection_run(struct connection *c, const char *sql, struct args args, struct arena *arena, struct rows *rows,
                          int64_t *changed)
{
    struct prepared *p;
    TRY(prepare(c, sql, &p));
    struct growing found = {.arena = arena, .columns = p->columns};
    struct err e = OK;
    int code = bind_all(p, args);
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(p->statement)) == SQLITE_ROW)
            if (rows && !copy_row(&found, p->statement)) {
                e = err(ERR_MEMORY, "there is no memory left");
                break;
            }
    if (!failed(e) && code != SQLITE_DONE) e = failure(c->handle, code);
    if (changed) *changed = p->columns || p->only_reads ? found.count : sqlite3_changes64(c->handle);
    sqlite3_reset(p->statement);
#if AGENTD_DEBUG
    assert(!is_any_busy(c));
#endif
    if (rows) *rows = (struct rows){found.count, found.columns, found.values};
    return e;
}

/* ---- the log ----------------------------------------------------------------------- */

static int note_pages(void *pages, sqlite3 *handle, const char *name, int count)
{
    (void)handle, (void)name;
    *(int *)pages = count;
    return SQLITE_OK;
}

void connection_count_log(struct connection *c, int *pages) { sqlite3_wal_hook(c->handle, note_pages, pages); }

int connection_checkpoint(struct connection *c, int wait_ms)
{
    int all = 0, copied = 0;
    if (wait_ms) sqlite3_busy_timeout(c->handle, wait_ms);
    int mode = wait_ms ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
    int code = sqlite3_wal_checkpoint_v2(c->handle, NULL, mode, &all, &copied);
    if (wait_ms) sqlite3_busy_timeout(c->handle, WRITER_PATIENCE_MS);
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return all > 0 ? all : 1; /* a full disk: later, perhaps */
    return all - copied;
}

void connection_empty_log(struct connection *c, int wait_ms)
{
    sqlite3_busy_timeout(c->handle, wait_ms);
    (void)sqlite3_wal_checkpoint_v2(c->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL); /* later, if not now */
    sqlite3_busy_timeout(c->handle, WRITER_PATIENCE_MS);
}
