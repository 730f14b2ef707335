#include "api/once.h"
#include "base/clock.h"
#include "config.h"

enum { KEY_BYTES_MAX = 255 };
#define KEY_PATTERN "^[ -~]+$"

static bool is_key(struct call *call, struct str key)
{
    const struct loc *loc = LOC(&loc_header, "idempotency-key");
    struct str input = fault_input_text(&call->faults, key);
    int before = call->faults.count;
    if (!key.count) fault_text_short(&call->faults, loc, input, 1);
    else if (key.count > KEY_BYTES_MAX) fault_text_long(&call->faults, loc, input, KEY_BYTES_MAX);
    for (size_t i = 0; i < key.count && call->faults.count == before; i++)
        if (key.at[i] < ' ' || key.at[i] > '~') fault_pattern(&call->faults, loc, input, KEY_PATTERN);
    return call->faults.count == before;
}

/* Method, path and key say which request it is; the query and the body, whether it is the same one. */
struct err call_once(struct ctx *cx, struct call *call, struct idempotent *out)
{
    struct str key = request_header(call->request, "idempotency-key"), query;
    *out = (struct idempotent){0};
    if (!key.at || !is_key(call, key)) return OK;
    out->oldest_us = clock_peek_us() - call->app->config->idempotency_ttl * 1000000;
    const struct request *r = call->request;
    struct str path = str_split(r->target, '?', &query, 0);
    struct buf what = {0}, body = {0};
    buf_add_str(&what, r->method);
    buf_add(&what, "\n", 1);
    buf_add_str(&what, path);
    buf_add(&what, "\n", 1);
    buf_add_str(&what, key);
    buf_add_str(&body, query);
    buf_add(&body, "\n", 1);
    buf_add_str(&body, r->body);
    struct err e = what.is_failed || body.is_failed
                       ? err(ERR_MEMORY, "there is no memory for this request")
                       : store_idempotent_name(cx, call->app->store, call->who.org, buf_str(&what), buf_str(&body), out);
    buf_free(&what);
    buf_free(&body);
    return e;
}
