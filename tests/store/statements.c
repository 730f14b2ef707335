/* Rules that hold for every statement in src/store, so that no new one can forget them. */
#include <dirent.h>
#include <stdio.h>
#include "house.h"

/* ---- who may be read ------------------------------------------------------------------------ */

static const char *const tenant_tables[] = {"agent", "version", "task", "turn", "entry", "api_key", "person", 0};

static bool is_word_at(struct str text, size_t at, const char *word)
{
    size_t count = strlen(word);
    const char ends[] = " (),;\n=+";

    return at + count <= text.count && !memcmp(text.at + at, word, count) &&
           (at + count == text.count || strchr(ends, text.at[at + count])) && (at == 0 || strchr(ends, text.at[at - 1]));
}

/* "FROM agent", "UPDATE task" …: is a tenant's table read or written here? */
static bool touches_tenant(struct str sql)
{
    static const char *const begins[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", 0};
    bool is_statement = false; /* else it is a piece that a macro puts into one */

    for (int i = 0; begins[i]; i++) is_statement |= is_word_at(sql, 0, begins[i]);
    if (!is_statement) return false;
    static const char *const verbs[] = {"FROM", "JOIN", "INTO", "UPDATE", 0};

    for (size_t i = 0; i < sql.count; i++)
        for (int v = 0; verbs[v]; v++) {
            if (!is_word_at(sql, i, verbs[v])) continue;
            size_t at = i + strlen(verbs[v]);
            while (at < sql.count && sql.at[at] == ' ') at++;
            for (int t = 0; tenant_tables[t]; t++)
                if (is_word_at(sql, at, tenant_tables[t])) return true;
        }
    return false;
}

static bool has_at(struct str sql, size_t at, const char *words)
{
    return str_is(str_cut(sql, at, strlen(words)), words);
}

/* A condition on it, or its value among those inserted. A list of columns that is only read is neither. */
static bool names_organization(struct str sql)
{
    bool is_insert = false;

    for (size_t i = 0; i < sql.count; i++) is_insert |= is_word_at(sql, i, "INTO");
    for (size_t i = 0; i < sql.count; i++) {
        size_t at = i + (sql.at[i] == '.'); /* t.org as well */
        if (is_insert && is_word_at(sql, i, "org")) return true;
        if ((at > i || is_word_at(sql, i, "org")) && (has_at(sql, at, "org = ") || has_at(sql, at, "org IN "))) return true;
    }
    return false;
}

/* Names of the source's own texts: #define TASK_COLUMNS "SELECT …" */
struct named {
    struct str name, text;
};
static struct named named[256];
static int named_count;

static bool is_name(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* One piece of C from *at: appended to `out` when it is a literal or the name of a text. */
enum piece { PIECE_TEXT, PIECE_SPACE, PIECE_OTHER };
static enum piece take(struct str source, size_t *at, struct buf *out)
{
    const char *p = source.at + *at;
    size_t left = source.count - *at, count = 0;

    if (left > 1 && p[0] == '/' && p[1] == '*') {
        const char *end = memmem(p + 2, left - 2, "*/", 2);
        *at += end ? (size_t)(end - p) + 2 : left;
        return PIECE_SPACE;
    }
    if (*p == '"') {
        for ((*at)++; *at < source.count && source.at[*at] != '"'; (*at)++) {
            if (source.at[*at] == '\\') (*at)++;
            buf_add(out, source.at + *at, 1);
        }
        (*at)++;
        return PIECE_TEXT;
    }
    if (*p == '\'') {
        *at += left > 3 && p[1] == '\\' ? 4 : 3;
        return PIECE_OTHER;
    }
    while (count < left && is_name(p[count])) count++;
    *at += count ? count : 1;
    for (int i = 0; count && i < named_count; i++)
        if (str_eq(named[i].name, str_n(p, count))) {
            buf_add_str(out, named[i].text);
            return PIECE_TEXT;
        }
    return *p == ' ' || *p == '\n' || *p == '\\' ? PIECE_SPACE : PIECE_OTHER;
}

static void take_define(struct str line)
{
    struct buf text = {0};
    size_t count = 0;

    line = str_cut(line, 8, line.count);
    while (count < line.count && is_name(line.at[count])) count++;
    struct str name = str_n(line.at, count);
    for (size_t at = count; at < line.count;)
        if (take(line, &at, &text) == PIECE_OTHER) text.count = 0;
    if (text.count && named_count < 256) named[named_count++] = (struct named){name, str_copy(test_arena(), buf_str(&text))};
    buf_free(&text);
}

/* The next text of a C source, and where it begins: adjacent pieces are one. #define lines become names. */
static bool next_literal(struct str source, size_t *at, size_t *start, struct buf *out)
{
    out->count = 0;
    while (*at < source.count) {
        if (!out->count) *start = *at;
        struct str rest = str_cut(source, *at, source.count);
        if (str_starts(rest, S("#define ")) && (*at == 0 || source.at[*at - 1] == '\n')) {
            size_t end = 0;
            while (end < rest.count && (rest.at[end] != '\n' || rest.at[end - 1] == '\\')) end++;
            take_define(str_cut(rest, 0, end));
            *at += end;
        } else if (take(source, at, out) == PIECE_OTHER && out->count) {
            return true;
        }
    }
    return out->count > 0;
}

/* Said in the statement itself: "any organisation", for the reasons in store/unscoped.h. */
static bool is_marked(struct str sql)
{
    return memmem(sql.at, sql.count, "/* any organisation */", 22) != 0;
}

/* A list or a count, for a reader thread. */
static bool is_scan(struct str source, size_t start)
{
    while (start && (source.at[start - 1] == ' ' || source.at[start - 1] == '\n')) start--;
    return start >= 5 && has_at(source, start - 5, "SCAN(");
}

/* Statements on tenants' tables, file by file. */
struct look {
    void (*see)(struct look *, struct str sql, bool is_scan);
    struct ctx *cx;
    struct store *store;
    const char *path;
    struct buf wrong; /* a line each */
    int statements;
};

static void look_through(struct look *look)
{
    struct buf source = {0}, sql = {0};
    char piece[1024];
    const char *path = look->path;
    size_t start = 0;
    FILE *file = fopen(path, "r");

    CHECK(file != 0);
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) buf_add(&source, piece, n);
    fclose(file);
    named_count = 0;
    for (size_t at = 0; next_literal(buf_str(&source), &at, &start, &sql);) {
        if (!touches_tenant(buf_str(&sql))) continue;
        look->statements++;
        look->see(look, buf_str(&sql), is_scan(buf_str(&source), start));
    }
    buf_free(&source);
    buf_free(&sql);
}

static void look_at_all(struct look *look)
{
    DIR *folder = opendir("src/store");

    CHECK(folder != 0);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strstr(entry->d_name, ".c") && !strstr(entry->d_name, ".h")) continue;
        look->path = arena_printf(test_arena(), "src/store/%s", entry->d_name);
        look_through(look);
    }
    closedir(folder);
    if (look->wrong.count) test_fail(__FILE__, __LINE__, str_z(test_arena(), buf_str(&look->wrong)));
    CHECK(look->statements >= 10);
}

static void wants_organization(struct look *look, struct str sql, bool scans)
{
    (void)scans;
    if (is_marked(sql) || names_organization(sql)) return;
    buf_addf(&look->wrong, "\n%s: %.*s", look->path, STR_ARGS(sql));
}

TEST(every_statement_on_a_tenants_table_names_the_organisation)
{
    struct look look = {.see = wants_organization};

    look_at_all(&look);
}

TEST(a_statement_without_an_organisation_is_noticed)
{
    CHECK(touches_tenant(S("SELECT a FROM agent WHERE n = $1")) && !names_organization(S("SELECT n, org, a FROM agent WHERE n = $1")));
    CHECK(names_organization(S("SELECT a FROM agent WHERE n = $1 AND org = $2")));
    CHECK(names_organization(S("SELECT a FROM task AS t WHERE t.org = $1")));
    CHECK(touches_tenant(S("INSERT INTO version (agent, org) VALUES ($1, $2)")) && names_organization(S("INSERT INTO version (agent, org) VALUES")));
    CHECK(!names_organization(S("INSERT INTO version (agent) VALUES")) && !touches_tenant(S("SELECT 1 FROM slot")));
    CHECK(!touches_tenant(S("SELECT task FROM number WHERE agents = 1")) && touches_tenant(S("DELETE FROM entry")));
}

/* ---- what a statement costs -------------------------------------------------------------------- */

/* A step of SQLite's plan that goes through everything that an organisation, or everybody, has. */
static bool is_walk(struct str step)
{
    static const char *const walks[] = {"SCAN task", "SCAN turn", "SCAN entry", "SCAN agent", "SCAN version", "SCAN t", "SCAN e",
                                        "SCAN u", "SCAN c", "SCAN a", 0};
    for (int i = 0; walks[i]; i++)
        if (is_word_at(step, 0, walks[i])) return !memmem(step.at, step.count, "_deleting", 9); /* nearly always empty */
    return memmem(step.at, step.count, "(org=?)", 7) || memmem(step.at, step.count, "AUTOMATIC", 9);
}

static void wants_short_walk(struct look *look, struct str sql, bool scans)
{
    enum { ARGS_MAX = 32 };
    struct value nothing[ARGS_MAX] = {{.kind = VALUE_NULL}};
    struct rows plan;

    /* When it is deleted, all of it is looked at, once. */
    if (scans || is_marked(sql) || memmem(sql.at, sql.count, "/* the whole organisation */", 28)) return;
    const char *question = str_z(test_arena(), strf(test_arena(), "EXPLAIN QUERY PLAN %.*s", STR_ARGS(sql)));
    CHECK_OK(db_read(look->cx, look->store->db, POINT(question), (struct args){nothing, ARGS_MAX}, &plan));
    for (int i = 0; i < plan.count; i++)
        if (is_walk(row_text(&plan, i, 3)))
            buf_addf(&look->wrong, "\n%s: %.*s\n    %.*s", look->path, STR_ARGS(row_text(&plan, i, 3)), STR_ARGS(sql));
}

/* What runs on the loop, or in the writer, must not cost more because there is more of other things. */
TEST(no_statement_but_a_list_walks_through_an_organisation)
{
    struct ctx cx = plain_cx();
    struct look look = {.see = wants_short_walk, .cx = &cx, .store = house_open(&cx, test_dir())};

    look_at_all(&look);
    store_close(&cx, look.store);
}
