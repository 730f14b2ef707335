/* look.c: questions about a reply's JSON. */
#include <stdio.h>
#include <stdlib.h>
#include "flow/play.h"

struct json at_json(struct json json, const char *path)
{
    while (*path && json_is_there(json)) {
        if (*path == '.') path++;
        if (*path == '[') {
            char *end;
            long want = strtol(path + 1, &end, 10);
            CHECK(*end == ']');
            path = end + 1;
            struct json found = {0};
            for (struct json_each e = json_each(json); json_next(&e); want--)
                if (want == 0) found = e.item;
            json = found;
        } else {
            size_t count = strcspn(path, ".[");
            json = json_get(json, str_z(test_arena(), str_n(path, count)));
            path += count;
        }
    }
    return json;
}

struct json at(struct client *c, const char *path)
{
    status_of(c);
    return at_json(c->json, path);
}

const char *json_z(struct json json)
{
    return json_is_there(json) ? str_z(test_arena(), json_compact(test_arena(), json)) : "(nothing)";
}

const char *text_at(struct client *c, const char *path) { return str_z(test_arena(), json_text(at(c, path))); }
int count_at(struct client *c, const char *path) { return (int)json_count(at(c, path)); }

static const char *compact(const char *text)
{
    struct json json;
    struct json_fault fault = {0};
    struct err e = json_parse(test_arena(), str(q("%s", text)), &json, &fault);
    if (failed(e)) test_fail(__FILE__, __LINE__, f("the test's own JSON: %s in %s", fault.why, text));
    return json_z(json);
}

void has_at(struct client *c, const char *path, const char *json, const char *file, int line)
{
    const char *found = json_z(at(c, path)), *want = compact(json);
    if (strcmp(found, want) != 0) expected(c, file, line, "%s to be %s, not %.300s", path, want, found);
}

void has_text_at(struct client *c, const char *path, const char *text, const char *file, int line)
{
    struct json found = at(c, path);
    if (json_type(found) != JSON_TEXT || !str_is(json_text(found), text))
        expected(c, file, line, "%s to be \"%s\", not %.300s", path, text, json_z(found));
}

void contains_at(struct client *c, const char *path, const char *part, const char *file, int line)
{
    const char *found = json_z(at(c, path));
    if (!strstr(found, part)) expected(c, file, line, "%s to contain %s, not %.300s", path, part, found);
}

void has_fault_at(struct client *c, const char *loc, const char *type, const char *file, int line)
{
    if (status_of(c) != 422) expected(c, file, line, "the status 422 with %s at %s", type, loc);
    const char *want = compact(loc);
    for (struct json_each e = json_each(at(c, "detail")); json_next(&e);)
        if (!strcmp(json_z(json_get(e.item, "loc")), want) && str_is(json_text(json_get(e.item, "type")), type)) return;
    expected(c, file, line, "the fault %s at %s", type, want);
}

const char *json_quoted(const char *text)
{
    struct buf out = {0};
    json_put_text(&out, str(text));
    const char *kept = str_z(test_arena(), buf_str(&out));
    buf_free(&out);
    return kept;
}
