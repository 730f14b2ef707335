#include "stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "script.h"

/* Test tools name a few thousand tags at most; all are kept. */
static struct tag **tags;
static int tags_count, tags_room;
static struct tag everything;
long open_connections;

int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct tag *stats_tag(const char *name)
{
    if (!name[0]) return &everything;
    for (int i = tags_count - 1; i >= 0; i--)
        if (strcmp(tags[i]->name, name) == 0) return tags[i];
    if (tags_count == tags_room) {
        tags_room = tags_room ? tags_room * 2 : 64;
        tags = realloc(tags, (size_t)tags_room * sizeof tags[0]);
        if (!tags) abort();
    }
    struct tag *tag = calloc(1, sizeof *tag);
    if (!tag) abort();
    snprintf(tag->name, sizeof tag->name, "%s", name);
    tags[tags_count++] = tag;
    return tag;
}

void stats_wrote(struct tag *tag, size_t bytes, bool after_close)
{
    tag->bytes += (int64_t)bytes;
    if (after_close) tag->bytes_after_close += (int64_t)bytes;
    tag->last_write_at = now_us();
    tag->writes[tag->writes_count % TAG_WRITES].at = tag->last_write_at;
    tag->writes[tag->writes_count % TAG_WRITES].bytes = tag->bytes;
    tag->writes_count++;
}

/* Bytes written after a time; -1 when the memory does not reach back so far. */
static int64_t bytes_since(const struct tag *tag, int64_t since)
{
    for (long i = tag->writes_count - 1; i >= 0 && i > tag->writes_count - 1 - TAG_WRITES; i--)
        if (tag->writes[i % TAG_WRITES].at <= since) return tag->bytes - tag->writes[i % TAG_WRITES].bytes;
    return tag->writes_count <= TAG_WRITES ? tag->bytes : -1;
}

void stats_print(const struct tag *tag, int64_t since, struct text *out)
{
    text_printf(out, "{\"tag\":\"%s\",\"requests\":%ld,\"open\":%ld,\"open_peak\":%ld,\"finished\":%ld,\"broken\":%ld",
                tag->name, tag->requests, tag->open, tag->open_peak, tag->finished, tag->broken);
    text_printf(out, ",\"open_connections\":%ld", open_connections);
    text_printf(out, ",\"bytes\":%lld,\"bytes_after_close\":%lld", (long long)tag->bytes,
                (long long)tag->bytes_after_close);
    text_printf(out, ",\"bytes_after_mark\":%lld",
                tag->marked_at ? (long long)(tag->bytes - tag->bytes_marked) : -1LL);
    text_printf(out, ",\"marked_at_us\":%lld,\"last_request_at_us\":%lld,\"last_write_at_us\":%lld,\"last_close_at_us\":%lld",
                (long long)tag->marked_at, (long long)tag->last_request_at, (long long)tag->last_write_at,
                (long long)tag->last_close_at);
    if (since > 0) text_printf(out, ",\"bytes_since\":%lld", (long long)bytes_since(tag, since));
    text_printf(out, ",\"now_us\":%lld}\n", (long long)now_us());
}

/* ---- directives used, gates opened ---------------------------------------- */

struct counted { char *name; size_t len; int count; };
struct table { struct counted *rows; int count, room; };

static struct table uses, gates;

static struct counted *table_row(struct table *table, const char *name, size_t len)
{
    for (int i = 0; i < table->count; i++)
        if (table->rows[i].len == len && memcmp(table->rows[i].name, name, len) == 0) return &table->rows[i];
    if (table->count == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->rows = realloc(table->rows, (size_t)table->room * sizeof table->rows[0]);
        if (!table->rows) abort();
    }
    struct counted *row = &table->rows[table->count++];
    *row = (struct counted){.name = malloc(len + 1), .len = len};
    if (!row->name) abort();
    memcpy(row->name, name, len);
    return row;
}

int stats_uses(const char *tag, const char *directive, size_t len)
{
    struct text key = {0};
    text_put(&key, tag);
    text_put(&key, "\n");
    text_add(&key, directive, len);
    int count = ++table_row(&uses, key.data, key.len)->count;
    text_free(&key);
    return count;
}

bool gate_is_open(const char *name, size_t len) { return table_row(&gates, name, len)->count > 0; }
void gate_set(const char *name, bool open) { table_row(&gates, name, strlen(name))->count = open; }

/* ---- a request, retold ----------------------------------------------------- */

void stats_describe(const struct heard *heard, struct text *out)
{
    text_printf(out, "{\"method\":\"%s\",\"target\":", heard->method);
    text_add_quoted(out, heard->target, strlen(heard->target));
    text_put(out, ",\"headers\":{");
    const char *at = heard->head, *end = heard->head + heard->head_len;
    for (bool first = true; at < end; first = false) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) line_end = end;
        const char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (!colon) break;
        const char *value = colon + 1, *stop = line_end;
        while (value < stop && *value == ' ') value++;
        while (stop > value && (stop[-1] == '\r' || stop[-1] == ' ')) stop--;
        text_put(out, first ? "\"" : ",\"");
        for (const char *c = at; c < colon; c++) {
            char lower = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
            text_add_escaped(out, &lower, 1, false);
        }
        text_put(out, "\":");
        text_add_quoted(out, value, (size_t)(stop - value));
        at = line_end + 1;
    }
    text_put(out, "},\"body\":");
    if (heard->body_len) text_add(out, heard->body, heard->body_len);
    else text_put(out, "null");
    text_put(out, "}");
}
