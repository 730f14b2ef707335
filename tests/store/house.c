#include "house.h"
#include <dirent.h>
#include <stdio.h>
#include "base/log.h"
#include <stdlib.h>
#include <sys/stat.h>
#include "io/loop.h"

struct ctx plain_cx(void) { return (struct ctx){.arena = test_arena()}; }

struct store_settings house_settings(const char *directory)
{
    return (struct store_settings){.directory = str(directory), .group_jobs_max = 256, .queue_max = 1024, .readers = 2,
                                   .pool_slots = 8, .checkpoint_pages = 1000};
}

struct store *house_open(struct ctx *cx, const char *directory)
{
    struct store_settings settings = house_settings(directory);
    struct store *store;
    CHECK_OK(store_open(cx, &settings, &store));
    return store;
}

char *house_path(const char *directory, const char *name) { return arena_printf(test_arena(), "%s/%s", directory, name); }

static struct str file_bytes(const char *path)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    struct buf all = {0};
    char piece[65536];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) buf_add(&all, piece, n);
    fclose(file);
    char *at = arena_try_alloc(test_arena(), all.count + 1);
    CHECK(at != NULL);
    if (all.count) memcpy(at, all.at, all.count);
    struct str out = str_n(at, all.count);
    buf_free(&all);
    return out;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

struct str house_bytes(const char *directory)
{
    char *names[64];
    int count = 0;
    DIR *dir = opendir(directory);
    CHECK(dir != NULL);
    for (struct dirent *d; (d = readdir(dir));)
        if (d->d_name[0] != '.' && count < 64) names[count++] = str_z(test_arena(), str(d->d_name));
    closedir(dir);
    qsort(names, (size_t)count, sizeof names[0], by_name);
    struct buf all = {0};
    for (int i = 0; i < count; i++) {
        struct str bytes = file_bytes(house_path(directory, names[i]));
        buf_addf(&all, "%s %zu\n", names[i], bytes.count);
        buf_add_str(&all, bytes);
    }
    char *at = arena_try_alloc(test_arena(), all.count + 1);
    CHECK(at != NULL);
    memcpy(at, all.at, all.count);
    struct str out = str_n(at, all.count);
    buf_free(&all);
    return out;
}

void house_copy(const char *from, const char *to)
{
    struct str bytes = file_bytes(from);
    FILE *file = fopen(to, "wb");
    CHECK(file != NULL && fwrite(bytes.at, 1, bytes.count, file) == bytes.count);
    fclose(file);
}

static struct err run_on_loop(struct ctx *cx, void *arg)
{
    (*(void (**)(struct ctx *))arg)(cx);
    return OK;
}

void on_loop(void (*fn)(struct ctx *)) { CHECK_OK(loop_run(run_on_loop, &fn)); }

/* ---- rows -------------------------------------------------------------------------- */

void add_org(struct ctx *cx, struct db *db, int64_t n)
{
    struct batch *b = batch_new(cx->arena);
    struct str name = strf(cx->arena, "org%lld", (long long)n);
    batch_add(b, "INSERT INTO organization (n, id, name, created_at) VALUES ($1, $2, $2, 1)", ARGS(num(n), text(name)), 1);
    CHECK_OK(db_write(cx, db, b));
}

void task_batch(struct batch *b, int64_t n, int64_t slot, struct str sealed)
{
    struct str id = strf(b->arena, "task%lld", (long long)n);
    batch_add(b, "INSERT INTO task (n, org, id, is_named, agent_id, owner, root, depth, run, slot, status, turn, turns, source,"
                 " created_at, updated_at, sealed) VALUES ($1, 1, $2, 0, 'a', 1, $1, 0, 1, $3, 0, 1, 1, 'api', 1, 1, $4)",
              ARGS(num(n), text(id), num(slot), blob(sealed)), 1);
}

void entry_batch(struct batch *b, int64_t task, int64_t n, int64_t run, struct str body)
{
    batch_add(b, "INSERT INTO entry (root, task, n, org, turn, run, kind, at, body) VALUES ($1, $1, $2, 1, 1, $3, 1, 1, $4)",
              ARGS(num(task), num(n), num(run), blob(body)), 1);
}

int64_t count_of(struct ctx *cx, struct db *db, const char *sql)
{
    struct rows rows;
    CHECK_OK(db_read(cx, db, POINT(sql), NO_ARGS, &rows));
    CHECK(rows.count == 1);
    return row_num(&rows, 0, 0);
}

/* The tests' own output is what counts. */
__attribute__((constructor)) static void be_quiet(void) { log_open(-1); }
