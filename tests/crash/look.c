/* tests/crash/look.c: the server is held against what was promised: by asking it, and by reading its files. */
#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "crash.h"

enum { PATIENCE_MS = 20000, SLOT_BYTES = 64, NOTES = 512 };

static sqlite3 *database_open(const char *data)
{
    sqlite3 *db;
    if (sqlite3_open_v2(f("%s/agentd.db", data), &db, SQLITE_OPEN_READWRITE, NULL)) trouble("no database in %s", data);
    sqlite3_busy_timeout(db, 5000);
    return db;
}

/* ---- asking ------------------------------------------------------------------------- */

static struct turn *turn_asked(struct task *t, const char *text)
{
    for (int i = 0; i < t->turns_count; i++) {
        size_t count = strlen(t->turns[i].label);
        if (text[0] == '#' && !strncmp(text + 1, t->turns[i].label, count) && text[1 + count] == ' ') return &t->turns[i];
    }
    trouble("%s: nobody ever asked \"%s\"", t->id, text);
}

/* Every message that was accepted stands in the thread, once, with what was announced as its answer. */
static void check_thread(struct task *t, struct json thread)
{
    bool is_seen[TURNS] = {0}, has_answer[TURNS] = {0};
    struct turn *turn = NULL;
    for (struct json_each e = json_each(thread); json_next(&e);) {
        const char *content = text_of(e.item, "content");
        if (!strcmp(text_of(e.item, "role"), "user")) {
            turn = turn_asked(t, content);
            if (is_seen[turn - t->turns]) trouble("%s stands twice in the thread", turn->label);
            if (turn->known == NEVER) trouble("%s was refused (%d), and is there now", turn->label, turn->refused);
            is_seen[turn - t->turns] = true;
        } else {
            if (!turn) trouble("%s: an answer without a question", t->id);
            has_answer[turn - t->turns] = true;
            announce(turn, "completed", content);
        }
    }
    for (int i = 0; i < t->turns_count; i++) {
        turn = &t->turns[i];
        if (turn->known == UNKNOWN && is_seen[i]) turn->known = KNOWN;
        if (!is_seen[i] && (turn->known == KNOWN || model_label(turn->label))) trouble("%s was accepted and is lost", turn->label);
        if (!is_seen[i]) turn->known = NEVER;
        if (!strcmp(turn->status, "completed") && !has_answer[i]) trouble("the answer of %s is lost", turn->label);
    }
}

/* The tools of all its steps, whichever life of the server they were called in. */
static void check_used(const struct turn *turn, struct json used)
{
    bool manager = strpbrk(turn->plan, "mM"), helper = strpbrk(turn->plan, "cCdD");
    size_t found = 0;
    for (struct json_each e = json_each(used); json_next(&e);)
        found += str_is(json_text(e.item), "agent_manager") ? manager : str_is(json_text(e.item), "agent_helper") ? helper : 9;
    if (found != (size_t)manager + helper) trouble("%s (%s) has %zu of its tools in used_tools", turn->label, turn->plan, found);
}

/* Nothing of ours is open. False: it died. */
static bool look_at_task(struct task *t)
{
    int status = ask("GET", f("/v1/tasks/%s", t->id), "");
    if (!status) return false;
    if (status != 200 && status != 404) trouble("%s is answered %d", t->id, status);
    if (status == 200 && t->is_gone) trouble("%s was deleted and is there", t->id);
    if (status == 404) {
        if (t->delete_asked && !t->is_gone) {
            task_goes(t, "it was deleted");
            t->is_erased = true;
        }
        if (!t->is_gone && task_is_known(t)) trouble("%s was accepted and is lost", t->id);
        for (int i = 0; i < t->turns_count && !t->is_gone; i++) t->turns[i].known = NEVER;
        return true;
    }
    t->delete_asked = false; /* it was not heard */
    struct json json = answer_json();
    struct turn *turn = turn_asked(t, text_of(json_get(json, "input"), "text"));
    if (turn->known == NEVER) trouble("%s was refused (%d), and is there", turn->label, turn->refused);
    announce(turn, text_of(json, "status"), text_of(json, "result"));
    if (!strcmp(turn->status, "completed")) check_used(turn, json_get(json, "used_tools"));
    status = ask("GET", f("/v1/tasks/%s/thread", t->id), "");
    if (status && status != 200) trouble("the thread of %s is answered %d", t->id, status);
    if (status) check_thread(t, answer_json());
    return status != 0;
}

/* Those that were deleted by themselves. */
static bool look_at_children(void)
{
    for (int i = 0; i < children_count; i++) {
        int status = ask("GET", f("/v1/tasks/%s", children[i].id), "");
        if (!status) return false;
        if (children[i].is_gone && status != 404) trouble("sub-task %s was deleted and is there", children[i].id);
        if (status == 404) children[i].is_gone = true;
    }
    return true;
}

static bool look_at_agents(void)
{
    for (int a = 0; a < agents_count; a++) {
        if (!agents[a].is_there) continue;
        int status = ask("GET", f("/v1/agents/%s", agents[a].id), "");
        if (!status) return false;
        if (status != (agents[a].is_gone ? 404 : 200) && !(agents[a].delete_asked && status == 404))
            trouble("agent %s is answered %d", agents[a].id, status);
        agents[a].is_gone = status == 404;
        agents[a].delete_asked = agents[a].is_gone;
        for (int i = 0; i < tasks_count && agents[a].is_gone; i++)
            if (tasks[i].agent == a) {
                task_goes(&tasks[i], "its agent was deleted");
                tasks[i].delete_asked = true;
            }
    }
    return true;
}

bool look_after_start(void)
{
    if (!look_at_agents() || !look_at_children()) return false;
    for (int i = 0; i < tasks_count; i++)
        if (!tasks[i].is_replaced && !look_at_task(&tasks[i])) return false;
    return true;
}

/* On the live database, as a reader of its own. */
static int count_of_gone(void)
{
    sqlite3 *db = database_open(f("%s/data", child.top));
    sqlite3_stmt *row;
    int count = -1;
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM agent WHERE deleting = 1", -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW)
        count = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    if (count < 0) trouble("the agents cannot be counted");
    return count;
}

/* ---- at rest ------------------------------------------------------------------------- */

static bool is_at_rest(struct task *t)
{
    if (t->is_gone) return true;
    for (int i = 0; i < t->turns_count; i++)
        if (turn_is_open(&t->turns[i]) && !t->turns[i].may_stop) return false;
    return true;
}

/* A turn that may have been stopped has no answer then; so the task itself is asked. */
static bool wait_for_rest(struct task *t)
{
    for (int64_t until = now_ms() + PATIENCE_MS;;) {
        if (!look_at_task(t)) return false;
        if (t->is_gone || !task_is_known(t)) return true;
        int status = ask("GET", f("/v1/tasks/%s", t->id), "");
        if (!status) return false;
        const char *word = text_of(answer_json(), "status");
        bool is_final = strcmp(word, "executing") != 0 && strcmp(word, "pending") != 0;
        if (is_final && is_at_rest(t)) return true;
        if (now_ms() > until) trouble("%s is stuck: %s", t->id, word);
        if (!pump(2)) return false;
    }
}

/* Each call of a sub-agent made one sub-task. */
static bool look_at_sub_tasks(const struct task *t)
{
    int most = 0;
    bool is_exact = !child.plan.runs_max; /* else one may be refused */
    for (int i = 0; i < t->turns_count; i++) {
        const struct turn *turn = &t->turns[i];
        if (turn->known != NEVER) most += model_calls(turn->plan);
        if (turn->may_stop || t->has_lost) is_exact = false;
    }
    int status = ask("GET", f("/v1/tasks?parent_task_id=%s", t->id), "");
    if (!status) return false;
    int64_t total = json_int(json_get(answer_json(), "total"));
    if (status != 200 || total > most || (is_exact && total != most))
        trouble("%s has %lld sub-tasks, not %d (%d)", t->id, (long long)total, most, status);
    return true;
}

/* Agents are erased behind their answer. */
static bool wait_for_sweep(void)
{
    bool is_any = false;
    for (int a = 0; a < agents_count; a++) is_any |= agents[a].is_gone;
    for (int64_t until = now_ms() + PATIENCE_MS; is_any; is_any = count_of_gone() > 0) {
        if (!pump(2)) return false;
        if (now_ms() > until) trouble("an agent that was deleted is still there");
    }
    return true;
}

bool look_at_rest(void)
{
    for (int64_t until = now_ms() + PATIENCE_MS; !peer_is_quiet();) {
        if (!pump(2)) return false;
        if (now_ms() > until) trouble("something that was asked is not answered, or a stream does not end");
    }
    for (int i = 0; i < tasks_count; i++)
        if (!tasks[i].is_gone && task_is_known(&tasks[i]) && !wait_for_rest(&tasks[i])) return false;
    if (!wait_for_sweep()) return false;
    for (int i = 0; i < tasks_count; i++)
        if (!tasks[i].is_gone && task_is_known(&tasks[i]) && !look_at_sub_tasks(&tasks[i])) return false;
    return true;
}

/* ---- keys ----------------------------------------------------------------------------- */

static struct note {
    int task; /* of tasks: the root */
    char id[64];
    int64_t slot;
    unsigned char wrapped[SLOT_BYTES];
} notes[NOTES];
static int notes_count;

void keys_forget(void) { notes_count = 0; }

static bool slot_read(int fd, int64_t slot, unsigned char wrapped[SLOT_BYTES])
{
    return pread(fd, wrapped, SLOT_BYTES, slot * SLOT_BYTES) == SLOT_BYTES;
}

static void note_key(int fd, int task, int64_t slot, const char *id)
{
    struct note note = {.task = task, .slot = slot};
    snprintf(note.id, sizeof note.id, "%s", id);
    if (!slot_read(fd, slot, note.wrapped)) trouble("slot %lld lies behind the end of the keyring", (long long)slot);
    for (int i = 0; i < notes_count; i++)
        if (notes[i].slot == slot && !memcmp(notes[i].wrapped, note.wrapped, SLOT_BYTES)) return;
    if (notes_count < NOTES) notes[notes_count++] = note;
}

/* With the live database a reader of its own: it never is the last to close, and changes nothing. */
void keys_note(const char *data)
{
    sqlite3 *db = database_open(data);
    sqlite3_stmt *rows;
    int fd = open(f("%s/keyring", data), O_RDONLY | O_CLOEXEC);
    if (sqlite3_prepare_v2(db, "SELECT r.id, t.slot, t.id FROM task t JOIN task r ON r.n = t.root", -1, &rows, NULL))
        trouble("the tasks of %s cannot be read: %s", data, sqlite3_errmsg(db));
    while (sqlite3_step(rows) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(rows, 0);
        for (int i = 0; i < tasks_count; i++)
            if (!strcmp(tasks[i].id, id) && !tasks[i].is_replaced)
                note_key(fd, i, sqlite3_column_int64(rows, 1), (const char *)sqlite3_column_text(rows, 2));
    }
    sqlite3_finalize(rows);
    sqlite3_close(db);
    close(fd);
}

static bool is_erased(const struct note *note)
{
    for (int i = 0; i < children_count; i++)
        if (children[i].is_gone && !strcmp(children[i].id, note->id)) return true;
    return tasks[note->task].is_erased;
}

void keys_are_gone(const char *data, const char *when)
{
    int fd = open(f("%s/keyring", data), O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < notes_count; i++) {
        unsigned char now[SLOT_BYTES];
        if (!is_erased(&notes[i]) || !slot_read(fd, notes[i].slot, now)) continue;
        if (!memcmp(now, notes[i].wrapped, SLOT_BYTES)) trouble("a key of %s is still there %s", tasks[notes[i].task].id, when);
    }
    close(fd);
}

/* ---- the files, after an orderly end ---------------------------------------------------- */

static void expect(sqlite3 *db, const char *sql, const char *wanted)
{
    sqlite3_stmt *row;
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL)) trouble("%s: %s", sql, sqlite3_errmsg(db));
    bool is_there = sqlite3_step(row) == SQLITE_ROW;
    const char *got = is_there ? (const char *)sqlite3_column_text(row, 0) : "";
    if (strcmp(got, wanted) != 0) trouble("%s gives %s, not %s", sql, got, wanted);
    sqlite3_finalize(row);
}

#define IN_USE "(SELECT slot AS n FROM task UNION ALL SELECT slot FROM agent UNION ALL" \
               " SELECT slot FROM organization WHERE slot IS NOT NULL)"

void look_on_disk(const char *data)
{
    sqlite3 *db = database_open(data);
    expect(db, "PRAGMA integrity_check", "ok");
    expect(db, "SELECT count(*) FROM pragma_foreign_key_check", "0");
    expect(db, "SELECT count(*) - count(DISTINCT n) FROM " IN_USE, "0");
    expect(db, "SELECT count(*) FROM slot WHERE n IN " IN_USE, "0");
    expect(db, "SELECT count(*) FROM slot WHERE n >= (SELECT next FROM number WHERE name = 'slot')", "0");
    expect(db, "SELECT count(*) + (SELECT count(*) FROM slot) + 16 - (SELECT next FROM number WHERE name = 'slot') FROM " IN_USE, "0");
    expect(db, "SELECT count(*) FROM slot WHERE state = 1", "0");
    expect(db, "SELECT count(*) FROM task WHERE status < 2 OR turns > turn OR deleting = 1", "0");
    expect(db, "SELECT count(*) FROM turn WHERE status < 2", "0");
    expect(db, "SELECT count(*) FROM agent WHERE deleting = 1", "0");
    expect(db, "SELECT count(*) FROM turn WHERE task NOT IN (SELECT n FROM task)", "0");
    for (int i = 0; i < tasks_count; i++) {
        if (tasks[i].is_gone && !tasks[i].is_replaced) expect(db, f("SELECT count(*) FROM task WHERE id = '%s'", tasks[i].id), "0");
        if (tasks[i].is_gone) tasks[i].is_erased = true; /* with its agent */
    }
    sqlite3_close(db);
    keys_are_gone(data, "at the end");
}
