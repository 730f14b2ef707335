/* api/call.h: one request on its way through its handler, and err -> HTTP, only here.
 *
 * api_serve checks in the contract's order, and the first failure answers: route (404), method
 * (405), credential (401), named organisation (403), content type (415), JSON syntax (422). Then the
 * handler looks up the object that the path names (404, 403); then query, header and body values,
 * all wrong ones together, by call_check (422); then what the body's ids name; then the state (409).
 *
 * Memory    A call is a local of api_serve; texts live in cx->arena or are borrowed from the exchange.
 * Errors    An error that a handler returns becomes the answer:
 *           ERR_INVALID 422 (the faults gathered, or the sentence), ERR_UNKNOWN_KEY 401, ERR_DENIED 403,
 *           ERR_NOT_FOUND 404, ERR_CONFLICT 409, ERR_FULL 507; ERR_BUSY, ERR_LIMIT, ERR_TIMEOUT, ERR_CANCELLED and
 *           ERR_MEMORY 503 with Retry-After; anything else is a 500 and a line in the log. The sentence is the `detail` of
 *           404, 409 and (ERR_BUSY, ERR_LIMIT) 503; all others have one text. */
#pragma once
#include "api/app.h"
#include "api/auth.h"
#include "api/routes.h"
#include "base/shape.h"
#include "model/page.h"
#include "net/server.h"

enum { CALL_PARAMETERS_MAX = 12 };
struct call_parameter {
    int64_t num;     /* INT, BOOL and ENUM (an index; -1 = none) */
    struct str text; /* as it was sent; at = null when it was not */
};
struct call {
    struct app *app;
    struct exchange *exchange;
    const struct request *request;
    struct match match;
    struct principal who; /* AUTH_KEY */
    struct json body;     /* parsed; absent when there is none */
    struct call_parameter parameters[CALL_PARAMETERS_MAX]; /* by the route's rows, checked: faults tell */
    struct faults faults;
};

/* The handler of net/server.h; `app` is a struct app. */
void api_serve(struct ctx *cx, struct exchange *exchange, void *app);

/* ---- what was asked ---------------------------------------------------------- */
/* Parameters of the route, by name. INT, BOOL and ENUM have their default when they were not sent. */
int64_t call_int(const struct call *, const char *name);
bool call_bool(const struct call *, const char *name);
int call_enum(const struct call *, const char *name);
struct str call_text(const struct call *, const char *name); /* at = null: not sent */
struct page call_page(const struct call *);                  /* `page` and `per_page` */
struct str call_path(const struct call *, const char *name); /* "agent_id" */

/* Read the body by a shape; faults are gathered. A body that is absent or no object is one. */
void call_read(struct call *, const struct shape *, enum shape_mode, void *out, struct given *);
/* The body as an object, for who reads it by hand: absent (and a fault) when it is none. */
struct json call_object(struct call *);
/* Where faults in the body and the query stand. */
extern const struct loc loc_body, loc_query, loc_header;
/* ERR_INVALID when a fault was gathered; then ERR_DENIED when the body names another organisation. */
struct err call_check(struct call *) MUST_CHECK;

/* Pieces of api_serve that are pure. */
void call_read_parameters(struct call *);         /* fills `parameters`, gathers faults */
bool media_type_is_json(struct str content_type); /* application/json or application/…+json; charset absent or utf-8 */

/* ---- the answer ---------------------------------------------------------------- */
struct err reply_json(struct call *, int status, struct str body) MUST_CHECK;
/* As above; the buffer is freed in any case. ERR_MEMORY: it has failed. */
struct err reply_buf(struct call *, int status, struct buf *) MUST_CHECK;
struct err reply_empty(struct call *, int status) MUST_CHECK;
struct err reply_null(struct call *, int status) MUST_CHECK;

/* {"items":[ … ],"total":…,"page":…,"per_page":…,"total_pages":…}: between the two, items are
 * added with json_put_comma. */
void page_open(struct buf *);
void page_close(struct buf *, struct page, int64_t total);
