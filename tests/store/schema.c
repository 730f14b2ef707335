/* Two rules that hold for all tables and all statements, so that no new one can forget them. */
#include <dirent.h>
#include <stdio.h>
#include "house.h"

/* ---- what is erased with whom ----------------------------------------------------------- */

/* Tables that hold nothing of a tenant; organization is where all the others end. */
static const char *const own_tables[] = {"meta", "number", "slot", "organization", 0};

static bool is_own(struct str table)
{
    for (int i = 0; own_tables[i]; i++)
        if (str_is(table, own_tables[i])) return true;
    return str_starts(table, S("sqlite_"));
}

TEST(every_table_that_can_hold_a_users_text_goes_with_its_owner)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    struct rows tables, keys;

    CHECK_OK(db_read(&cx, store->db, POINT("SELECT name FROM sqlite_master WHERE type = 'table'"), NO_ARGS, &tables));
    CHECK(tables.count >= 10);
    for (int i = 0; i < tables.count; i++) {
        struct str table = row_text(&tables, i, 0);
        if (is_own(table)) continue;
        CHECK_OK(db_read(&cx, store->db,
                         POINT("SELECT \"table\" FROM pragma_foreign_key_list($1)"
                               " WHERE on_delete = 'CASCADE' AND \"table\" IN ('task', 'agent', 'organization')"),
                         ARGS(text(table)), &keys));
        if (!keys.count) test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%.*s hangs from nothing", STR_ARGS(table)));
    }
    store_close(&cx, store);
}

/* ---- who may be read ------------------------------------------------------------------------ */

static const char *const tenant_tables[] = {"agent", "version", "task", "turn", "entry", "api_key", 0};

static bool is_word_at(struct str text, size_t at, const char *word)
{
    size_t count = strlen(word);
    const char ends[] = " (),;\n=";

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

/* The next text of a C source: adjacent pieces are one. #define lines become names. */
static bool next_literal(struct str source, size_t *at, struct buf *out)
{
    out->count = 0;
    while (*at < source.count) {
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

/* The statements in a file; those that break the rule are added to `wrong`, a line each. */
static int look_through(const char *path, struct buf *wrong)
{
    struct buf source = {0}, sql = {0};
    char piece[1024];
    int statements = 0;
    FILE *file = fopen(path, "r");

    CHECK(file != 0);
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) buf_add(&source, piece, n);
    fclose(file);
    named_count = 0;
    for (size_t at = 0; next_literal(buf_str(&source), &at, &sql);) {
        if (!touches_tenant(buf_str(&sql))) continue;
        statements++;
        if (is_marked(buf_str(&sql))) continue;
        if (!names_organization(buf_str(&sql))) buf_addf(wrong, "\n%s: %.*s", path, STR_ARGS(buf_str(&sql)));
    }
    buf_free(&source);
    buf_free(&sql);
    return statements;
}

TEST(every_statement_on_a_tenants_table_names_the_organisation)
{
    struct buf wrong = {0};
    int statements = 0;
    DIR *folder = opendir("src/store");

    CHECK(folder != 0);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strstr(entry->d_name, ".c"))
            statements += look_through(arena_printf(test_arena(), "src/store/%s", entry->d_name), &wrong);
    closedir(folder);
    if (wrong.count) test_fail(__FILE__, __LINE__, str_z(test_arena(), buf_str(&wrong)));
    CHECK(statements >= 10);
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
