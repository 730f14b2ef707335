/* What is taken has a host of harmless bytes and a port, and put together again it is the same URL. */
#include <ctype.h>
#include "base/url.h"
#include "fuzz.h"

static void check_host(const struct url *u)
{
    MUST(u->host.count > 0 && u->host.count <= 253);
    for (size_t i = 0; i < u->host.count; i++) {
        int c = (unsigned char)u->host.at[i];
        MUST((isalnum(c) && !isupper(c)) || c == '.' || (u->is_ipv6 ? c == ':' : c == '-' || c == '_'));
    }
    MUST(u->host.at[u->host.count] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct arena a = arena_new();
    struct str text = str_n((const char *)bytes, count);
    struct url u, again;
    const char *why = NULL;
    if (!url_parse(&a, text, &u, &why)) {
        MUST(why && *why && !u.host.at);
    } else {
        check_host(&u);
        MUST(u.port >= 1 && u.port <= 65535);
        MUST(u.path.count == 0 || u.path.at[0] == '/');
        for (size_t i = 0; i < u.path.count; i++) MUST(u.path.at[i] > ' ' && u.path.at[i] < 0x7F && u.path.at[i] != '\\');
        struct str built = strf(&a, "%s://%s%s%s:%d%.*s", u.is_https ? "https" : "http", u.is_ipv6 ? "[" : "", u.host.at,
                                u.is_ipv6 ? "]" : "", u.port, STR_ARGS(u.path));
        if (built.count <= 8192) {
            MUST(url_parse(&a, built, &again, &why));
            MUST(again.is_https == u.is_https && again.is_ipv6 == u.is_ipv6 && again.port == u.port);
            MUST(str_eq(again.host, u.host) && str_eq(again.path, u.path));
        }
        struct str joined = url_join(&a, text, S("a/b"));
        if (joined.count <= 8192) MUST(url_parse(&a, joined, &again, &why) && str_eq(again.host, u.host) && again.port == u.port);
    }
    arena_free(&a);
    return 0;
}
