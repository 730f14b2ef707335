/* Who we may connect to. Numeric hosts, in any spelling, are turned into one canonical address here
 * and never reach a resolver, so that no library further down can read them differently. */
#include "net/guard.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include "net/address.h"
#include "net/lookup.h"

enum { ALLOWED_MAX = 256 };
struct allowed { /* the host as `canonical` makes it */
    char host[LOOKUP_HOST_BYTES];
    int64_t port;
};
struct guard {
    struct lookup *lookup;
    struct allowed *allowed;
    int allowed_count;
};

/* Letters, digits, dots, hyphens and underscores: what a resolver may be asked for. */
static bool is_name(const char *host)
{
    return host[0] && !host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_")];
}

/* A number that no reader of numbers takes ("1.2.3.4.5", "0x1.2.3.0xg"): no top-level domain looks so. */
static bool looks_numeric(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *label = dot ? dot + 1 : host;
    return !label[strspn(label, "0123456789")] || (label[0] == '0' && label[1] == 'x');
}

/* Lower case, numbers in one spelling, no dot at the end. False: too long, or neither number nor name. */
static bool canonical(struct str host, char out[LOOKUP_HOST_BYTES], union address *address, bool *is_number)
{
    char text[ADDRESS_TEXT_MAX] = "";
    if (host.count == 0 || host.count >= LOOKUP_HOST_BYTES) return false;
    *is_number = address_read(host, address);
    if (*is_number) {
        if (!address_text(&address->any, text)) return false;
        memcpy(out, text, sizeof text);
        return true;
    }
    for (size_t i = 0; i < host.count; i++) {
        char c = host.at[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    out[host.count] = 0;
    if (host.count > 1 && out[host.count - 1] == '.') out[host.count - 1] = 0;
    return strlen(out) + 1 >= host.count && is_name(out) && !looks_numeric(out);
}

/* An entry that is no HOST:PORT matches nothing. */
static void allow(struct guard *g, struct str entry)
{
    struct allowed *next = &g->allowed[g->allowed_count];
    union address address;
    bool is_number;
    size_t colon = entry.count;
    while (colon > 0 && entry.at[colon - 1] != ':') colon--;
    if (colon == 0 || !str_to_int(str_cut(entry, colon, entry.count), &next->port)) return;
    if (next->port < 1 || next->port > 65535) return;
    if (canonical(str_cut(entry, 0, colon - 1), next->host, &address, &is_number)) g->allowed_count++;
}

static bool is_allowed(const struct guard *g, const char *host, int port)
{
    for (int i = 0; i < g->allowed_count; i++)
        if (g->allowed[i].port == port && strcmp(g->allowed[i].host, host) == 0) return true;
    return false;
}

bool guard_is_public(const struct sockaddr *address) { return address_is_public(address); }

/* Hand on what may be connected to, in its order. False: nothing is left. */
static bool filter(struct str found, bool all, struct guard_address *out)
{
    size_t used = 0;
    for (bool more = true; more;) {
        char text[ADDRESS_TEXT_MAX];
        union address address;
        struct str one = str_split(found, ',', &found, &more);
        if (!address_read(one, &address) || !(all || address_is_public(&address.any))) continue;
        if (!address_text(&address.any, text)) continue;
        size_t count = strlen(text);
        if (used + count + 2 > sizeof out->addresses) break;
        if (used > 0) out->addresses[used++] = ',';
        memcpy(out->addresses + used, text, count + 1);
        used += count;
    }
    return used > 0;
}

struct err guard_resolve(struct ctx *cx, struct guard *g, const struct url *url, enum guard_trust trust,
                         int64_t tenant, struct guard_address *out)
{
    char host[LOOKUP_HOST_BYTES], found[LOOKUP_ADDRESSES_BYTES];
    union address address;
    bool is_number = false;

    *out = (struct guard_address){.port = url->port};
    if (!canonical(url->host, host, &address, &is_number))
        return errf(cx->arena, ERR_DENIED, "%.*s is neither the name nor the address of a host",
                    (int)(url->host.count < LOOKUP_HOST_BYTES ? url->host.count : LOOKUP_HOST_BYTES), url->host.at);
    memcpy(out->host, url->host.at, url->host.count);
    bool is_trusted = trust == GUARD_OPERATOR || is_allowed(g, host, url->port);
    if (is_number) {
        memcpy(found, host, ADDRESS_TEXT_MAX);
    } else {
        struct err e = lookup_wait(cx, g->lookup, host, trust == GUARD_OPERATOR ? LOOKUP_OPERATOR : tenant, found);
        if (e.code == ERR_UPSTREAM) return errf(cx->arena, e.code, "could not connect to %s (%s)", host, e.what);
        TRY(e);
    }
    if (!filter(str(found), is_trusted, out))
        return errf(cx->arena, ERR_DENIED, "connecting to %s is not allowed: it has no public address", host);
    return OK;
}

struct guard *guard_open(struct loop *loop, struct str allowed)
{
    struct guard *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->lookup = lookup_open(loop);
    g->allowed = allowed.count > 0 ? calloc(ALLOWED_MAX, sizeof *g->allowed) : NULL;
    if (!g->lookup || (allowed.count > 0 && !g->allowed)) {
        guard_close(g);
        return NULL;
    }
    for (bool more = allowed.count > 0; more && g->allowed_count < ALLOWED_MAX;)
        allow(g, str_trim(str_split(allowed, ',', &allowed, &more)));
    return g;
}

void guard_close(struct guard *g)
{
    if (!g) return;
    lookup_close(g->lookup);
    free(g->allowed);
    free(g);
}

void guard_test_lookup(struct guard *g, guard_lookup_fn *fn) { lookup_test_fn(g->lookup, fn); }
