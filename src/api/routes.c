#include "api/routes.h"

#include <assert.h>
#include <stdlib.h>

/* More segments than any template has, so that more of them fit nothing. */
enum { SEGMENTS_MAX = 12 };

struct segments {
    struct str at[SEGMENTS_MAX];
    int count;
};

/* ---- percent-encoding ---------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* False when an escape is broken; it then stands for itself in the output. */
static bool percent_decode(struct arena *arena, struct str text, bool plus_is_space, struct str *out)
{
    bool is_whole = true;
    size_t used = 0;
    char *to = arena_alloc(arena, text.count + 1);

    for (size_t i = 0; i < text.count; i++) {
        char c = text.at[i];
        if (c == '+' && plus_is_space) c = ' ';
        if (c == '%') {
            int high = i + 2 < text.count ? hex_digit(text.at[i + 1]) : -1;
            int low = i + 2 < text.count ? hex_digit(text.at[i + 2]) : -1;
            if (high >= 0 && low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            } else {
                is_whole = false;
            }
        }
        to[used++] = c;
    }
    to[used] = 0;
    *out = str_n(to, used);
    return is_whole;
}

/* Every byte that is no part of a code point becomes U+FFFD. */
static struct str replace_broken_utf8(struct arena *arena, struct str text)
{
    if (str_is_utf8(text)) return text;

    size_t used = 0;
    char *to = arena_alloc(arena, 3 * text.count + 1);
    for (size_t i = 0, taken; i < text.count; i += taken) {
        /* The shortest piece that is a text is exactly one code point. */
        for (taken = 1; taken <= 4 && i + taken <= text.count; taken++)
            if (str_is_utf8(str_n(text.at + i, taken))) break;
        if (taken > 4 || i + taken > text.count) {
            memcpy(to + used, "\xEF\xBF\xBD", 3);
            used += 3;
            taken = 1;
        } else {
            memcpy(to + used, text.at + i, taken);
            used += taken;
        }
    }
    return str_n(to, used);
}

/* ---- the target ---------------------------------------------------------- */

/* Drop "scheme://authority"; false when the target is in neither form. */
static bool to_origin_form(struct str target, struct str *origin)
{
    if (target.count && target.at[0] == '/') {
        *origin = target;
        return true;
    }
    size_t skip = 0;
    if (str_eq_nocase(str_cut(target, 0, 7), S("http://"))) skip = 7;
    if (str_eq_nocase(str_cut(target, 0, 8), S("https://"))) skip = 8;
    if (!skip) return false;
    while (skip < target.count && target.at[skip] != '/' && target.at[skip] != '?') skip++;
    *origin = str_cut(target, skip, target.count);
    return true;
}

/* False when there are too many of them, or one is no text. */
static bool segments_read(struct arena *arena, struct str path, struct segments *out)
{
    bool is_more = true;

    out->count = 0;
    while (is_more) {
        struct str segment = str_split(path, '/', &path, &is_more);
        if (!segment.count) continue;
        if (out->count == SEGMENTS_MAX) return false;
        if (!percent_decode(arena, segment, false, &segment) || !str_is_utf8(segment)) return false;
        out->at[out->count++] = segment;
    }
    return true;
}

/* ---- templates ----------------------------------------------------------- */

static bool is_parameter(struct str segment) { return segment.count && segment.at[0] == '{'; }

/* Walk a template: false after its last segment. */
static bool next_segment(struct str *rest, struct str *segment)
{
    bool is_more = rest->count > 0;

    while (is_more) {
        *segment = str_split(*rest, '/', rest, &is_more);
        if (!is_more) *rest = S("");
        if (segment->count) return true;
    }
    return false;
}

static bool template_fits(const char *path_template, const struct segments *segments)
{
    struct str rest = str(path_template), segment;
    int i = 0;

    for (; next_segment(&rest, &segment); i++) {
        if (i == segments->count) return false;
        if (!is_parameter(segment) && !str_eq(segment, segments->at[i])) return false;
    }
    return i == segments->count;
}

/* Both fit one path, so literals at the same place are equal. */
static bool is_more_literal(const char *one, const char *other)
{
    struct str rest_one = str(one), rest_other = str(other), a, b;

    while (next_segment(&rest_one, &a) && next_segment(&rest_other, &b))
        if (is_parameter(a) != is_parameter(b)) return is_parameter(b);
    return false;
}

static void take_parameters(const struct segments *segments, struct match *match)
{
    struct str rest = str(match->route->path_template), segment;

    for (int i = 0; next_segment(&rest, &segment); i++) {
        if (!is_parameter(segment)) continue;
        assert(match->path_parameters_count < PATH_PARAMETERS_MAX);
        match->path_parameters[match->path_parameters_count++] = segments->at[i];
    }
}

/* ---- matching ------------------------------------------------------------ */

/* The methods of all routes that fit, each once, in the table's order; null
 * segments fit every route. Null when none does. */
static const char *allowed_methods(const struct route_table *table, struct arena *arena,
                                   const struct segments *segments)
{
    const char *found[8];
    int found_count = 0;
    const char *text = 0;

    for (int i = 0; i < table->routes_count; i++) {
        const char *method = table->routes[i].method;
        bool is_new = true;
        if (segments && !template_fits(table->routes[i].path_template, segments)) continue;
        for (int k = 0; k < found_count; k++)
            if (!strcmp(found[k], method)) is_new = false;
        if (!is_new) continue;
        assert(found_count < (int)(sizeof found / sizeof *found));
        found[found_count++] = method;
        text = text ? arena_printf(arena, "%s, %s", text, method) : method;
    }
    return text;
}

struct match routes_match(const struct route_table *table, struct arena *arena, struct str method,
                          struct str target)
{
    struct match match = {.outcome = MATCH_NOTHING};
    struct segments segments;
    struct str path;

    assert(target.count <= TARGET_BYTES_MAX);
    /* These speak of the server, not of a path in it. */
    if (str_eq(method, S("CONNECT")) || str_eq(target, S("*"))) {
        match.outcome = MATCH_OTHER_METHOD;
        match.allow = allowed_methods(table, arena, 0);
        return match;
    }
    if (!to_origin_form(target, &path)) return match;
    bool has_query;
    path = str_split(path, '?', &match.query, &has_query);
    if (!has_query) match.query = S("");
    if (!segments_read(arena, path, &segments)) return match;

    for (int i = 0; i < table->routes_count; i++) {
        const struct route *route = &table->routes[i];
        if (!str_is(method, route->method) || !template_fits(route->path_template, &segments)) continue;
        if (!match.route || is_more_literal(route->path_template, match.route->path_template))
            match.route = route;
    }
    if (match.route) {
        match.outcome = MATCH_ROUTE;
        take_parameters(&segments, &match);
        return match;
    }
    match.allow = allowed_methods(table, arena, &segments);
    if (match.allow) match.outcome = MATCH_OTHER_METHOD;
    return match;
}

struct str match_parameter(const struct match *match, const char *name)
{
    struct str rest = str(match->route->path_template), segment;

    for (int found = 0; next_segment(&rest, &segment);) {
        if (!is_parameter(segment)) continue;
        if (str_is(str_cut(segment, 1, segment.count - 2), name)) return match->path_parameters[found];
        found++;
    }
    abort(); /* the template has no parameter of this name */
}

bool query_value(struct arena *arena, struct str query, const char *name, struct str *value)
{
    struct str last = {0};
    bool is_more = query.count > 0, is_found = false;

    assert(query.count <= TARGET_BYTES_MAX);
    while (is_more) {
        struct str raw, key;
        bool has_value;
        struct str pair = str_split(query, '&', &query, &is_more);

        key = str_split(pair, '=', &raw, &has_value);
        if (!has_value) raw = S("");
        percent_decode(arena, key, true, &key);
        if (!pair.count || !str_is(key, name)) continue;
        last = raw;
        is_found = true;
    }
    if (!is_found) return false;
    percent_decode(arena, last, true, value);
    *value = replace_broken_utf8(arena, *value);
    return true;
}
