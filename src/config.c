#include "config.h"
#include <ctype.h>

struct row {
    const char *name, *unit, *normal_text, *sentence;
    int64_t low, normal, high;
    size_t at;
};
static const struct row rows[] = {
#define TEXT(name, normal, sentence) {#name, 0, normal, sentence, 0, 0, 0, offsetof(struct config, name)},
#define NUMBER(name, unit, low, normal, high, sentence) {#name, #unit, 0, sentence, low, normal, high, offsetof(struct config, name)},
#include "config.def"
#undef TEXT
#undef NUMBER
};
enum { ROWS_COUNT = sizeof rows / sizeof *rows };

/* Does a name from outside mean this row? `mark` is what stands for '_' there: '-' or '_', in any case. */
static bool is_named(const struct row *row, struct str name, char mark)
{
    if (strlen(row->name) != name.count) return false;
    for (size_t i = 0; i < name.count; i++) {
        char c = name.at[i] == mark ? '_' : (char)tolower((unsigned char)name.at[i]);
        if (c != row->name[i]) return false;
    }
    return true;
}

static const struct row *row_named(struct str name, char mark)
{
    for (int i = 0; i < ROWS_COUNT; i++)
        if (is_named(&rows[i], name, mark)) return &rows[i];
    return NULL;
}

/* `shown` is the name as the user wrote it. */
static struct err set(struct arena *a, const struct row *row, struct str shown, struct str value, struct config *out)
{
    char *at = (char *)out + row->at;
    int64_t n;
    if (!row->unit) {
        memcpy(at, &value, sizeof value);
        return OK;
    }
    if (!str_to_int(value, &n) || n < row->low || n > row->high)
        return errf(a, ERR_INVALID, "%.*s must be a whole number from %lld to %lld (%s), not \"%.*s\"", STR_ARGS(shown),
                    (long long)row->low, (long long)row->high, row->unit, (int)(value.count < 60 ? value.count : 60), value.at);
    memcpy(at, &n, sizeof n);
    return OK;
}

static void set_defaults(struct config *out)
{
    for (int i = 0; i < ROWS_COUNT; i++) {
        char *at = (char *)out + rows[i].at;
        struct str text = str(rows[i].normal_text ? rows[i].normal_text : "");
        if (rows[i].unit) memcpy(at, &rows[i].normal, sizeof rows[i].normal);
        else memcpy(at, &text, sizeof text);
    }
}

static struct err read_environment(struct arena *a, char *const *environment, struct config *out)
{
    for (; environment && *environment; environment++) {
        struct str value, line = str(*environment);
        bool is_found;
        struct str name = str_split(line, '=', &value, &is_found);
        if (!is_found || !str_starts(name, S("AGENTD_"))) continue;
        const struct row *row = row_named(str_cut(name, 7, name.count), '_');
        if (row) TRY(set(a, row, name, value, out)); /* other names are other programs' */
    }
    return OK;
}

struct err config_read(struct arena *a, char *const *environment, int count, char *const *arguments, struct config *out)
{
    set_defaults(out);
    TRY(read_environment(a, environment, out));
    for (int i = 0; i < count; i++) {
        struct str value, argument = str(arguments[i]);
        bool has_value;
        struct str name = str_split(argument, '=', &value, &has_value);
        const struct row *row = str_starts(name, S("--")) ? row_named(str_cut(name, 2, name.count), '-') : NULL;
        if (!row) return errf(a, ERR_INVALID, "%s is not an option; see agentd --help", arguments[i]);
        if (!has_value) {
            if (++i == count) return errf(a, ERR_INVALID, "%.*s needs a value", STR_ARGS(name));
            value = str(arguments[i]);
        }
        TRY(set(a, row, name, value, out));
    }
    return OK;
}

/* ---- printing ------------------------------------------------------------------------ */

static void put_name(FILE *to, const char *name, bool is_option)
{
    fputs(is_option ? "--" : "AGENTD_", to);
    for (; *name; name++) fputc(*name == '_' ? (is_option ? '-' : '_') : is_option ? *name : toupper((unsigned char)*name), to);
}

void config_print_help(FILE *to)
{
    for (int i = 0; i < ROWS_COUNT; i++) {
        const struct row *r = &rows[i];
        fputs("  ", to);
        put_name(to, r->name, true);
        fputs(r->unit ? " N, " : " TEXT, ", to);
        put_name(to, r->name, false);
        if (r->unit) fprintf(to, " (%s, %lld..%lld, normally %lld)", r->unit, (long long)r->low, (long long)r->high, (long long)r->normal);
        else if (*r->normal_text) fprintf(to, " (normally %s)", r->normal_text);
        fprintf(to, "\n        %s\n", r->sentence);
    }
}

void config_print_page(FILE *to)
{
    fputs("# Settings\n\nPrinted from `src/config.def` by `make docs`. The command line wins over the environment.\n"
          "What an environment variable of the same name as no setting says is ignored; an unknown option is an error.\n\n"
          "| option | environment | unit | from | normally | to | what it is for |\n|---|---|---|---|---|---|---|\n", to);
    for (int i = 0; i < ROWS_COUNT; i++) {
        const struct row *r = &rows[i];
        fputs("| `", to);
        put_name(to, r->name, true);
        fputs("` | `", to);
        put_name(to, r->name, false);
        if (r->unit) fprintf(to, "` | %s | %lld | %lld | %lld | %s |\n", r->unit, (long long)r->low, (long long)r->normal, (long long)r->high, r->sentence);
        else if (*r->normal_text) fprintf(to, "` | text | | `%s` | | %s |\n", r->normal_text, r->sentence);
        else fprintf(to, "` | text | | | | %s |\n", r->sentence);
    }
}

struct err config_address(struct arena *a, const char *option, struct str text, struct str *host, int *port)
{
    int64_t n = -1;
    size_t colon = text.count;
    while (colon > 0 && text.at[colon - 1] != ':') colon--;
    if (colon) {
        *host = str_n(text.at, colon - 1);
        if (host->count >= 2 && host->at[0] == '[' && host->at[host->count - 1] == ']') *host = str_cut(*host, 1, host->count - 2);
        if (!str_to_int(str_cut(text, colon, text.count), &n)) n = -1;
    }
    if (!colon || !host->count || n < 0 || n > 65535)
        return errf(a, ERR_INVALID, "%s must be HOST:PORT with a port from 0 to 65535, not \"%.100s\"", option, str_z(a, text));
    *port = (int)n;
    return OK;
}
