/* files.c: what lies in the data directory. */
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include "flow/play.h"

static bool file_has(const char *path, struct str text)
{
    FILE *file = fopen(path, "re");
    if (!file) return false;
    struct buf bytes = {0};
    char part[1 << 16];
    for (size_t got; (got = fread(part, 1, sizeof part, file)) > 0;) buf_add(&bytes, part, got);
    fclose(file);
    bool found = bytes.count > 0 && memmem(bytes.at, bytes.count, text.at, text.count);
    buf_free(&bytes);
    return found;
}

int files_with(const char *directory, const char *text, const char **where)
{
    return files_with_bytes(directory, str(text), where);
}

int files_with_bytes(const char *directory, struct str text, const char **where)
{
    int count = 0, looked_at = 0;
    DIR *entries = opendir(directory);
    CHECK(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        const char *path = f("%s/%s", directory, entry->d_name);
        struct stat about;
        if (entry->d_name[0] == '.' || stat(path, &about) != 0 || !S_ISREG(about.st_mode)) continue;
        looked_at++;
        if (!file_has(path, text)) continue;
        count++;
        if (where) *where = path;
    }
    closedir(entries);
    CHECK(looked_at >= 2); /* a database and a keyring at least: we look at the right place */
    return count;
}

void copy_directory(const char *from, const char *to)
{
    const char *const args[] = {"/bin/cp", "-a", from, to, 0};
    CHECK(program_run(args, 0).status == 0);
}

static sqlite3 *opened(const char *path)
{
    sqlite3 *db;
    CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, 0) == SQLITE_OK);
    return db;
}

void edit_rows(const char *database, const char *sql)
{
    sqlite3 *db = opened(database);
    char *why = 0;
    int code = sqlite3_exec(db, sql, 0, 0, &why);
    const char *kept = why ? f("%s", why) : "";
    sqlite3_free(why);
    sqlite3_close(db);
    if (code != SQLITE_OK) test_fail(__FILE__, __LINE__, kept);
}

const char *row_text(const char *database, const char *sql)
{
    sqlite3 *db = opened(database);
    sqlite3_stmt *statement = 0;
    const char *kept = "";
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, 0);
    if (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0))
        kept = f("%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    if (code != SQLITE_OK) test_fail(__FILE__, __LINE__, f("%s", sql));
    return kept;
}

void *lock_rows(const char *database)
{
    sqlite3 *db = opened(database);
    sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", 0, 0, 0) != SQLITE_OK) test_fail(__FILE__, __LINE__, sqlite3_errmsg(db));
    return db;
}

void unlock_rows(void *lock)
{
    CHECK(sqlite3_exec(lock, "ROLLBACK", 0, 0, 0) == SQLITE_OK);
    sqlite3_close(lock);
}
