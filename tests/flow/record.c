/* record.c: what was asked and answered, for tests/contract/check.py. */
#include <stdio.h>
#include <stdlib.h>
#include "flow/play.h"

static void put(FILE *file, const char *name, struct str text)
{
    fprintf(file, "\"%s\":\"", name);
    for (size_t i = 0; i < text.count; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '"' || c == '\\') fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7f) fprintf(file, "\\u%04x", c);
        else fputc(c, file);
    }
    fputc('"', file);
}

/* A text for JSON: what is no UTF-8 cannot be told. */
static struct str told(struct str text) { return str_is_utf8(text) ? text : S("(not UTF-8)"); }

static void put_headers(FILE *file, struct client *c)
{
    fputs("\"headers\":{", file);
    struct str rest = str(c->head), line;
    bool is_found, is_first = true;
    str_split(rest, '\n', &rest, &is_found); /* the status line */
    while (is_found) {
        line = str_trim(str_split(rest, '\n', &rest, &is_found));
        bool has_colon;
        struct str value, name = str_split(line, ':', &value, &has_colon);
        if (!has_colon) continue;
        if (!is_first) fputc(',', file);
        is_first = false;
        put(file, str_z(test_arena(), name), told(str_trim(value)));
    }
    fputs("},", file);
}

void record(struct client *c)
{
    const char *path = getenv("AGENTD_RECORD");
    if (c->is_recorded || c->is_private || !c->method || c->status == 0) return;
    c->is_recorded = true;
    if (!path) return;
    FILE *file = fopen(path, "ae");
    CHECK(file);
    struct str query, target = str(c->target);
    bool has_query;
    struct str bare = str_split(target, '?', &query, &has_query);
    fputc('{', file);
    put(file, "method", told(str(c->method)));
    fputc(',', file);
    put(file, "path", told(bare));
    fputc(',', file);
    put(file, "query", has_query ? told(query) : S(""));
    fprintf(file, ",\"status\":%d,", c->status);
    put(file, "content_type", str(c->type));
    fputc(',', file);
    put_headers(file, c);
    put(file, "body", told(buf_str(&c->body)));
    fputc(',', file);
    put(file, "request_body", told(c->request_body));
    fputs("}\n", file);
    fclose(file);
}
