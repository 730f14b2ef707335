/* dev/sqlfloor/main.c: the least that durable rows can cost on this machine.
 *
 * SQLite alone, one thread, writes the rows of a task's life into agentd's own
 * schema (read from the migrations, so with its indexes and triggers), in
 * groups of a given size with one commit each: what agentd's writer would cost
 * if there were nothing around it. How many entries a task has and how long
 * they are is told by the caller, who counted them in agentd's database. */
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
"           [--before N] [--after N] [--entry-bytes N] [--request-bytes N] [--pages N] MIGRATION...\n"
"  life     create (1 commit), end (1 commit)     create   the first commit alone\n"
"  delete   tasks made before: rows (1 commit), key slots (1 sync)\n"
"  sync     no rows: 4 KB written and synced, what one sync takes here\n"
"  --group  tasks in one commit                   --fill   tasks that are there before\n"
"  --before, --after   entries written by the first and by the second commit\n"
"  --pages  pages of the log before a checkpoint\n";

static struct {
    const char *dir, *what;
    long tasks, group, fill, before, after, entry_bytes, request_bytes, pages;
    const char *migrations[64];
    int migrations_count;
} want = {.what = "life", .tasks = 2000, .group = 1, .before = 2, .after = 2, .entry_bytes = 200,
          .request_bytes = 400, .pages = 1000};

enum statement {
    BEGIN, COMMIT, ADD_TASK, ADD_TURN, ADD_ENTRY, TAKE_SLOT, END_TASK, END_TURN, DROP_TASK, ERASE_SLOT, FREE_SLOTS, STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ADD_TASK] = "INSERT INTO task (n, org, id, is_named, agent_id, owner, root, depth, run, slot, status, turn, turns, source,"
                 " created_at, updated_at, sealed) VALUES (?1, 1, ?2, 0, ?3, 1, ?1, 0, 1, ?1, 0, 1, 1, 'api', ?4, ?4, ?5)",
    [ADD_TURN] = "INSERT INTO turn (task, number, org, agent_id, version, status, created_at, request)"
                 " VALUES (?1, 1, 1, ?2, '1', 0, ?3, ?4)",
    [ADD_ENTRY] = "INSERT INTO entry (root, task, n, org, turn, run, kind, at, body) VALUES (?1, ?1, ?2, 1, 1, 1, 1, ?3, ?4)",
    [TAKE_SLOT] = "DELETE FROM slot WHERE n = ?1",
    [END_TASK] = "UPDATE task SET status = 4, updated_at = ?2, prompt_tokens = 31, completion_tokens = 16 WHERE n = ?1",
    [END_TURN] = "UPDATE turn SET status = 4, started_at = ?2, finished_at = ?2, prompt_tokens = 31, completion_tokens = 16,"
                 " answer = ?3 WHERE task = ?1 AND number = 1",
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

static void add_entries(int64_t task, long count)
{
    for (long i = 0; i < count; i++) {
        bind_num(ADD_ENTRY, 1, task);
        bind_num(ADD_ENTRY, 2, ++entry_number);
        bind_num(ADD_ENTRY, 3, clock_us());
        bind_noise(ADD_ENTRY, 4, want.entry_bytes, entry_number);
        run(ADD_ENTRY);
    }
}

static void create(int64_t task)
{
    char id[40];
    uint64_t mixed = (uint64_t)task * 0x9e3779b97f4a7c15u;
    snprintf(id, sizeof id, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(mixed >> 32), (unsigned)(mixed >> 16 & 0xffff),
             (unsigned)(mixed & 0xfff), (unsigned)(task & 0xfff), (unsigned long long)(mixed ^ (uint64_t)task) & 0xffffffffffffu);
    bind_num(ADD_TASK, 1, task);
    sqlite3_bind_text(statements[ADD_TASK], 2, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statements[ADD_TASK], 3, agent_id, -1, SQLITE_STATIC);
    bind_num(ADD_TASK, 4, clock_us());
    bind_noise(ADD_TASK, 5, 60, task);
    run(ADD_TASK);
    bind_num(ADD_TURN, 1, task);
    sqlite3_bind_text(statements[ADD_TURN], 2, agent_id, -1, SQLITE_STATIC);
    bind_num(ADD_TURN, 3, clock_us());
    bind_noise(ADD_TURN, 4, want.request_bytes, task);
    run(ADD_TURN);
    bind_num(TAKE_SLOT, 1, task);
    run(TAKE_SLOT);
    add_entries(task, want.before);
}

static void finish(int64_t task)
{
    add_entries(task, want.after);
    bind_num(END_TASK, 1, task);
    bind_num(END_TASK, 2, clock_us());
    run(END_TASK);
    bind_num(END_TURN, 1, task);
    bind_num(END_TURN, 2, clock_us());
    bind_num(END_TURN, 3, entry_number);
    run(END_TURN);
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
    must(sqlite3_exec(db, "INSERT INTO organization (n, id, name, created_at) VALUES (1, 'o', 'o', 1)", NULL, NULL, NULL) ==
             SQLITE_OK, "organization");
    for (int i = 0; i < STATEMENTS; i++)
        must(sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) == SQLITE_OK, sql[i]);
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)(i * 2654435761u >> 13);
}

static void fill(long count)
{
    for (long at = 0; at < count; at += 1000) {
        long piece = count - at < 1000 ? count - at : 1000;
        group(create, at + 1, piece);
        group(finish, at + 1, piece);
    }
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
        {"--tasks", &want.tasks}, {"--group", &want.group}, {"--fill", &want.fill}, {"--before", &want.before},
        {"--after", &want.after}, {"--entry-bytes", &want.entry_bytes}, {"--request-bytes", &want.request_bytes},
        {"--pages", &want.pages}};
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
    if (!want.dir || want.group < 1 || want.entry_bytes > 60000 || want.request_bytes > 60000) {
        fputs(usage, stderr);
        return 2;
    }
    if (strcmp(want.what, "sync") == 0) return measure_syncs();
    bool deletes = strcmp(want.what, "delete") == 0, lives = strcmp(want.what, "life") == 0;
    open_database();
    fill(want.fill + (deletes ? want.tasks : 0));

    int64_t began_us = clock_us(), began_cpu = cpu_us(), next = want.fill + 1, commits = 0;
    for (long left = want.tasks; left > 0; left -= want.group) {
        long piece = left < want.group ? left : want.group;
        group(deletes ? drop : create, next, piece);
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
