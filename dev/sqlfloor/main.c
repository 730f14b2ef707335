/* dev/sqlfloor/main.c: the least that durable rows can cost on this machine.
 *
 * SQLite alone, one thread, writes the rows of a task's life into agentd's own
 * schema (read from the migrations, so with its indexes and triggers), in
 * groups of a given size with one commit each: what agentd's writer would cost
 * if there were nothing around it. A task that runs writes, in two commits: its key's slot
 * is taken, the task, its turn, the entries CREATED and UPDATED; then the entries SAID and
 * FINISHED, and how task and turn ended. How long the sealed ones are
 * is told by the caller, who looked into agentd's database. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
"sqlfloor: raw SQLite doing the rows of a task; prints one JSON object\n"
"  sqlfloor --dir DIR [--what life|create|delete|sync] [--tasks N] [--group N] [--fill N]\n"
"           [--said-bytes N] [--request-bytes N] [--pages N] MIGRATION...\n"
"  life     a task that begins (1 commit), and ends (1 commit)\n"
"  create   a task that waits for somebody (1 commit)\n"
"  delete   tasks made before: rows (1 commit), key slots (1 sync)\n"
"  sync     no rows: 4 KB written and synced, what one sync takes here\n"
"  --group  tasks in one commit                   --fill   tasks that are there before\n"
"  --said-bytes, --request-bytes   how long what was said and asked is, sealed\n"
"  --pages  pages of the log before a checkpoint\n";

static struct {
    const char *dir, *what;
    long tasks, group, fill, said_bytes, request_bytes, pages;
    const char *migrations[64];
    int migrations_count;
} want = {.what = "life", .tasks = 2000, .group = 1, .said_bytes = 120, .request_bytes = 400,
          .pages = 1000};

enum statement {
    BEGIN, COMMIT, ADD_TASK, ADD_TURN, ADD_ENTRY, ADD_SLOT, TAKE_SLOT, END_TASK, END_TURN, DROP_TASK, ERASE_SLOT, FREE_SLOTS, STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ADD_TASK] = "INSERT INTO task (n, org, id, is_named, agent_id, owner, root, depth, run, slot, status, is_outside, turn, turns,"
                 " source, created_at, updated_at) SELECT ?1, 1, ?2, 0, ?3, 1, ?1, 1, 1, ?1, ?4, ?5, 1, 1, 'api', ?6, ?6"
                 " WHERE EXISTS (SELECT 1 FROM agent WHERE n = 1 AND org = 1 AND deleting = 0)",
    [ADD_TURN] = "INSERT INTO turn (task, number, org, agent_id, version, status, created_at, started_at, request)"
                 " VALUES (?1, 1, 1, ?2, '1', ?3, ?4, ?5, ?6)",
    [ADD_ENTRY] = "INSERT INTO entry (root, task, n, org, turn, run, kind, at, body) VALUES (?1, ?1, ?2, 1, 1, 1, ?3, ?4, ?5)",
    [ADD_SLOT] = "INSERT INTO slot (n, state) VALUES (?1, 0)",
    [TAKE_SLOT] = "DELETE FROM slot WHERE n = ?1 AND state = 0",
    [END_TASK] = "UPDATE task SET status = 5, updated_at = ?2, prompt_tokens = 31, completion_tokens = 16"
                 " WHERE n = ?1 AND org = 1 AND run = 1 AND deleting = 0",
    [END_TURN] = "UPDATE turn SET status = 5, finished_at = ?2, prompt_tokens = 31, completion_tokens = 16, answer = ?3"
                 " WHERE task = ?1 AND number = 1 AND org = 1",
    [DROP_TASK] = "DELETE FROM task WHERE n = ?1",
    [ERASE_SLOT] = "INSERT INTO slot (n, state) VALUES (?1, 1)",
    [FREE_SLOTS] = "UPDATE slot SET state = 0 WHERE state = 1",
};

static sqlite3 *db;
static sqlite3_stmt *statements[STATEMENTS];
static int64_t entry_number;
static int keyring;
static char agent_id[] = "47c3b020-9a6b-4699-8d94-d92d71929b53";
static unsigned char noise[65536];

static void must(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "sqlfloor: %s: %s\n", what, db ? sqlite3_errmsg(db) : "");
    exit(1);
}

static int64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void run(enum statement which)
{
    sqlite3_stmt *statement = statements[which];
    int code = sqlite3_step(statement);
    must(code == SQLITE_DONE || code == SQLITE_ROW, sql[which]);
    sqlite3_reset(statement);
}

static void bind_num(enum statement which, int at, int64_t value) { sqlite3_bind_int64(statements[which], at, value); }

/* A different stretch of noise each time, as sealed bytes are. */
static void bind_noise(enum statement which, int at, long len, int64_t seed)
{
    size_t room = sizeof noise - (size_t)len;
    sqlite3_bind_blob(statements[which], at, noise + (size_t)seed * 97 % room, (int)len, SQLITE_STATIC);
}

enum kind { CREATED, UPDATED, SAID, FINISHED }; /* the numbers do not matter */

static void add_entry(int64_t task, enum kind kind)
{
    bind_num(ADD_ENTRY, 1, task);
    bind_num(ADD_ENTRY, 2, ++entry_number);
    bind_num(ADD_ENTRY, 3, kind);
    bind_num(ADD_ENTRY, 4, clock_us());
    if (kind == SAID) bind_noise(ADD_ENTRY, 5, want.said_bytes, entry_number);
    else sqlite3_bind_null(statements[ADD_ENTRY], 5);
    run(ADD_ENTRY);
}

static void add_slot(int64_t task)
{
    bind_num(ADD_SLOT, 1, task);
    run(ADD_SLOT);
}

static void create(int64_t task, bool begins)
{
    char id[40];
    uint64_t mixed = (uint64_t)task * 0x9e3779b97f4a7c15u;
    snprintf(id, sizeof id, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(mixed >> 32), (unsigned)(mixed >> 16 & 0xffff),
             (unsigned)(mixed & 0xfff), (unsigned)(task & 0xfff), (unsigned long long)(mixed ^ (uint64_t)task) & 0xffffffffffffu);
    bind_num(TAKE_SLOT, 1, task);
    run(TAKE_SLOT);
    bind_num(ADD_TASK, 1, task);
    sqlite3_bind_text(statements[ADD_TASK], 2, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statements[ADD_TASK], 3, agent_id, -1, SQLITE_STATIC);
    bind_num(ADD_TASK, 4, begins);
    bind_num(ADD_TASK, 5, !begins);
    bind_num(ADD_TASK, 6, clock_us());
    run(ADD_TASK);
    bind_num(ADD_TURN, 1, task);
    sqlite3_bind_text(statements[ADD_TURN], 2, agent_id, -1, SQLITE_STATIC);
    bind_num(ADD_TURN, 3, begins);
    bind_num(ADD_TURN, 4, clock_us());
    if (begins) bind_num(ADD_TURN, 5, clock_us());
    else sqlite3_bind_null(statements[ADD_TURN], 5);
    bind_noise(ADD_TURN, 6, want.request_bytes, task);
    run(ADD_TURN);
}

static void hold(int64_t task) { create(task, false); }

static void begin(int64_t task)
{
    create(task, true);
    add_entry(task, CREATED);
    add_entry(task, UPDATED);
}

static void finish(int64_t task)
{
    bind_num(END_TASK, 1, task);
    bind_num(END_TASK, 2, clock_us());
    run(END_TASK);
    add_entry(task, SAID);
    bind_num(END_TURN, 1, task);
    bind_num(END_TURN, 2, clock_us());
    bind_num(END_TURN, 3, entry_number);
    run(END_TURN);
    add_entry(task, FINISHED);
}

static void drop(int64_t task)
{
    bind_num(DROP_TASK, 1, task);
    run(DROP_TASK);
    bind_num(ERASE_SLOT, 1, task);
    run(ERASE_SLOT);
}

static void group(void (*each)(int64_t), int64_t first, int64_t count)
{
    run(BEGIN);
    if (each == drop) run(FREE_SLOTS);     /* those of the group before */
    for (int64_t i = 0; i < count; i++) each(first + i);
    run(COMMIT);
    if (each != drop) return;
    for (int64_t i = 0; i < count; i++)
        must(pwrite(keyring, noise + (first + i) % 1024, 64, (first + i) * 64) == 64, "keyring");
    must(fdatasync(keyring) == 0, "keyring sync");
}

/* ---- opening -------------------------------------------------------------------- */

static void run_file(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "re");
    must(file != NULL, path);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = 0;
    must(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, path);
}

static void open_database(void)
{
    char path[2048], pragma[128];
    snprintf(path, sizeof path - 16, "%s/floor.keys", want.dir);
    keyring = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(keyring >= 0, path);
    must(posix_fallocate(keyring, 0, 64 * (want.fill + want.tasks + 1)) == 0, "keyring");
    must(fsync(keyring) == 0, "keyring");

    snprintf(path, sizeof path - 16, "%s/floor.db", want.dir);
    must(sqlite3_open(path, &db) == SQLITE_OK, path);
    snprintf(pragma, sizeof pragma, "PRAGMA wal_autocheckpoint=%ld", want.pages);
    must(sqlite3_exec(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA secure_delete=ON; PRAGMA foreign_keys=ON", NULL, NULL, NULL) == SQLITE_OK, "pragma");
    must(sqlite3_exec(db, pragma, NULL, NULL, NULL) == SQLITE_OK, pragma);
    for (int i = 0; i < want.migrations_count; i++) run_file(want.migrations[i]);
    must(sqlite3_exec(db, "INSERT INTO organization (n, id, name, created_at) VALUES (1, 'o', 'o', 1);"
                          "INSERT INTO agent (n, org, id, unique_name, slot, status, version, created_at, updated_at, draft)"
                          " VALUES (1, 1, 'a', 'a', 0, 0, 1, 1, 1, x'00')", NULL, NULL, NULL) == SQLITE_OK, "owners");
    for (int i = 0; i < STATEMENTS; i++)
        must(sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) == SQLITE_OK, sql[i]);
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)(i * 2654435761u >> 13);
}

/* In pieces, so that no commit is much longer than agentd's. */
static void in_pieces(void (*each)(int64_t), int64_t first, int64_t count)
{
    for (int64_t at = 0; at < count; at += 1000) group(each, first + at, count - at < 1000 ? count - at : 1000);
}

/* Tasks that are over. */
static void fill(int64_t first, int64_t count)
{
    in_pieces(begin, first, count);
    in_pieces(finish, first, count);
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static int measure_syncs(void)
{
    char path[2048];
    static int64_t took[200];
    snprintf(path, sizeof path, "%s/floor.sync", want.dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    for (int i = 0; i < 200; i++) {
        int64_t began = clock_us();
        must(pwrite(fd, noise, 4096, 4096L * i) == 4096 && fdatasync(fd) == 0, "sync");
        took[i] = clock_us() - began;
    }
    close(fd);
    unlink(path);
    qsort(took, 200, sizeof took[0], by_size);
    printf("{\"sync_p50_us\":%lld,\"sync_p99_us\":%lld}\n", (long long)took[100], (long long)took[198]);
    return 0;
}

static bool option(const char *name, const char *value)
{
    struct { const char *name; long *number; } numbers[] = {
        {"--tasks", &want.tasks}, {"--group", &want.group}, {"--fill", &want.fill}, {"--said-bytes", &want.said_bytes},
        {"--request-bytes", &want.request_bytes}, {"--pages", &want.pages}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        *numbers[i].number = atol(value);
        return *numbers[i].number >= 0 && *numbers[i].number < 100000000;
    }
    if (strcmp(name, "--dir") == 0) want.dir = value;
    else if (strcmp(name, "--what") == 0) want.what = value;
    else return false;
    return true;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && option(argv[i], argv[i + 1])) i++;
        else if (argv[i][0] != '-' && want.migrations_count < 64) want.migrations[want.migrations_count++] = argv[i];
        else want.dir = NULL, i = argc;
    }
    if (!want.dir || want.group < 1 || want.said_bytes > 60000 || want.request_bytes > 60000) {
        fputs(usage, stderr);
        return 2;
    }
    if (strcmp(want.what, "sync") == 0) return measure_syncs();
    bool deletes = strcmp(want.what, "delete") == 0, lives = strcmp(want.what, "life") == 0;
    open_database();
    in_pieces(add_slot, 1, want.fill + want.tasks); /* agentd keeps a pool of filled ones */
    fill(1, want.fill);
    if (deletes) in_pieces(hold, want.fill + 1, want.tasks);

    int64_t began_us = clock_us(), began_cpu = cpu_us(), next = want.fill + 1, commits = 0;
    for (long left = want.tasks; left > 0; left -= want.group) {
        long piece = left < want.group ? left : want.group;
        group(deletes ? drop : lives ? begin : hold, next, piece);
        if (lives) group(finish, next, piece);
        next += piece;
        commits += lives ? 2 : 1;
    }
    double tasks = (double)want.tasks;
    printf("{\"tasks\":%ld,\"group\":%ld,\"cpu_us_per_task\":%.2f,\"wall_us_per_task\":%.2f,\"wall_us_per_commit\":%.1f}\n",
           want.tasks, want.group, (double)(cpu_us() - began_cpu) / tasks, (double)(clock_us() - began_us) / tasks,
           (double)(clock_us() - began_us) / (double)commits);
    return 0;
}
