#include "base/url.h"
#include <arpa/inet.h>

enum { URL_BYTES_MAX = 8192, HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

const char url_bad_scheme[] = "its scheme is neither http nor https";

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* Everything that one reader might skip and another obey. */
static const char *bad_byte(struct str text)
{
    for (size_t i = 0; i < text.count; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c == 0x7F) return "it holds a control character";
        if (c == ' ') return "it holds a space";
        if (c == '\\') return "it holds a backslash";
        if (c >= 0x80) return "it holds a character that is not ASCII";
    }
    return NULL;
}

/* True, and `text` begins after "://": some scheme was there. */
static bool cut_scheme(struct str *text, bool *is_https, bool *is_known)
{
    size_t n = 0;
    if (!text->count || !is_letter(text->at[0])) return false;
    while (n < text->count && (is_letter(text->at[n]) || is_digit(text->at[n]) || (n && strchr("+-.", text->at[n])))) n++;
    if (n >= text->count || text->at[n] != ':') return false;
    struct str scheme = str_cut(*text, 0, n);
    *is_https = str_eq_nocase(scheme, S("https"));
    *is_known = *is_https || str_eq_nocase(scheme, S("http"));
    bool has_slashes = str_starts(str_cut(*text, n, 3), S("://"));
    if (*is_known && !has_slashes) return false;
    *text = str_cut(*text, n + (has_slashes ? 3 : 1), text->count);
    return true;
}

static const char *read_port(struct str text, int *port)
{
    int64_t v = 0;
    if (!text.count || text.count > 5 || !is_digit(text.at[0]) || !str_to_int(text, &v) || v < 1 || v > 65535)
        return "its port is no number from 1 to 65535";
    *port = (int)v;
    return NULL;
}

/* Resolvers read 127.1, 0x7f000001 and 2130706433 as addresses; we take one form. */
static const char *check_ipv4(struct str host)
{
    static const char bad[] = "its IPv4 address is not of the form 192.0.2.1";
    int parts = 0;
    struct str rest = host;
    for (bool more = true; more; parts++) {
        int64_t v = 0;
        struct str part = str_split(rest, '.', &rest, &more);
        if (!part.count || part.count > 3 || !is_digit(part.at[0]) || !str_to_int(part, &v) || v > 255) return bad;
        if (part.count > 1 && part.at[0] == '0') return bad;
    }
    return parts == 4 ? NULL : bad;
}

static const char *check_name(struct str host)
{
    if (host.count > HOST_BYTES_MAX) return "its host name is too long";
    struct str rest = host, label = {0};
    for (bool more = true; more;) {
        label = str_split(rest, '.', &rest, &more);
        if (!label.count) return "its host name has an empty part";
        if (label.count > LABEL_BYTES_MAX) return "a part of its host name is too long";
        if (label.at[0] == '-' || label.at[label.count - 1] == '-') return "a part of its host name begins or ends with a hyphen";
        for (size_t i = 0; i < label.count; i++)
            if (!is_letter(label.at[i]) && !is_digit(label.at[i]) && label.at[i] != '-' && label.at[i] != '_')
                return "its host name holds a character that no host name has";
    }
    bool is_numeric = is_digit(label.at[0]);
    for (size_t i = 0; i < label.count; i++) is_numeric = is_numeric && is_digit(label.at[i]);
    bool is_hex = label.count >= 2 && label.at[0] == '0' && (label.at[1] | 32) == 'x';
    return is_numeric || is_hex ? check_ipv4(host) : NULL;
}

static const char *check_ipv6(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.count == 0 || host.count >= sizeof text) return "its IPv6 address is wrong";
    memcpy(text, host.at, host.count);
    text[host.count] = 0;
    return inet_pton(AF_INET6, text, &address) == 1 ? NULL : "its IPv6 address is wrong";
}

static struct str lower_copy(struct arena *a, struct str text)
{
    char *at = arena_alloc(a, text.count + 1);
    for (size_t i = 0; i < text.count; i++) at[i] = (char)(text.at[i] >= 'A' && text.at[i] <= 'Z' ? text.at[i] | 32 : text.at[i]);
    return str_n(at, text.count);
}

static const char *read_authority(struct arena *a, struct str text, struct url *out)
{
    struct str host = text, port = {0};
    bool has_port = false;
    if (text.count && memchr(text.at, '@', text.count)) return "it holds a user name or password";
    if (text.count && text.at[0] == '[') {
        struct str rest;
        host = str_split(str_cut(text, 1, text.count), ']', &rest, &out->is_ipv6);
        if (!out->is_ipv6) return "its IPv6 address is wrong";
        if (rest.count && rest.at[0] != ':') return "its port is no number from 1 to 65535";
        has_port = rest.count > 0;
        port = str_cut(rest, 1, rest.count);
    } else {
        host = str_split(text, ':', &port, &has_port);
    }
    if (!host.count) return "its host is empty";
    const char *why = out->is_ipv6 ? check_ipv6(host) : check_name(host);
    if (!why && has_port) why = read_port(port, &out->port);
    if (!why) out->host = lower_copy(a, host);
    return why;
}

static const char *parse(struct arena *a, struct str text, struct url *out)
{
    bool is_known = false;
    if (!text.count) return "it is empty";
    if (text.count > URL_BYTES_MAX) return "it is longer than 8192 bytes";
    const char *why = bad_byte(text);
    if (why) return why;
    if (!cut_scheme(&text, &out->is_https, &is_known)) return "it does not begin with http:// or https://";
    if (!is_known) return url_bad_scheme;

    size_t end = 0, last = 0;
    while (end < text.count && !strchr("/?#", text.at[end])) end++;
    for (last = end; last < text.count && text.at[last] != '#';) last++;
    out->port = out->is_https ? 443 : 80;
    why = read_authority(a, str_cut(text, 0, end), out);
    out->path = str_cut(text, end, last - end);
    if (!why && out->path.count && out->path.at[0] == '?') out->path = strf(a, "/%.*s", STR_ARGS(out->path));
    return why;
}

bool url_parse(struct arena *a, struct str text, struct url *out, const char **reason)
{
    *out = (struct url){0};
    const char *why = parse(a, text, out);
    if (!why) return true;
    *out = (struct url){0};
    if (reason) *reason = why;
    return false;
}

struct str url_join(struct arena *a, struct str base, struct str path)
{
    struct str query, rest;
    bool has_query = false;
    base = str_split(base, '#', &rest, NULL);
    base = str_split(base, '?', &query, &has_query);
    while (base.count && base.at[base.count - 1] == '/') base.count--;
    while (path.count && path.at[0] == '/') path = str_cut(path, 1, path.count);
    const char *mark = !has_query ? "" : path.count && memchr(path.at, '?', path.count) ? "&" : "?";
    return strf(a, "%.*s/%.*s%s%.*s", STR_ARGS(base), STR_ARGS(path), mark, has_query ? (int)query.count : 0, query.at);
}
