/* api/routes.h: which handler answers a request, and what it may be asked.
 *
 * The table is printed from contract/openapi.json (dev/gen-routes, routes.inc)
 * and put together in api/table.c, so an operation that the contract lists and
 * nobody handles does not link. Matching is pure: it knows tables and texts.
 *
 * Threads   Tables are constant; everything here may be called from anywhere.
 * Memory    What a match holds is in the arena or borrowed from the target.
 * Errors    None: what fits nothing is an outcome, and the caller's to answer. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct ctx;
struct call;

/* What answers one operation. It replies through the call; an error that it
 * returns instead becomes the answer (api/call.h). */
typedef struct err api_handler(struct ctx *cx, struct call *call);

/* Each handler, declared by the contract's own names. */
#define ROUTE(method, path_template, handler, ...) api_handler handler;
#include "api/routes.inc"
#undef ROUTE

enum parameter_place { PARAMETER_IN_QUERY, PARAMETER_IN_HEADER };
enum parameter_kind { PARAMETER_INT, PARAMETER_TEXT, PARAMETER_BOOL, PARAMETER_ENUM };

/* One query or header parameter. None is required: who leaves it out gets
 * `normal`. Path parameters have no row: any text is allowed, and an id that
 * names nothing is a 404. */
struct parameter {
    const char *name;         /* of a header in small letters, as `loc` shows it */
    enum parameter_place place;
    enum parameter_kind kind;
    int64_t low, high;        /* INT: both allowed */
    int64_t normal;           /* INT: the value; BOOL: 0 or 1; ENUM: index of the word, -1 for none */
    const char *const *words; /* ENUM: ends with a null */
};

enum auth { AUTH_NONE, AUTH_KEY };
/* A body that nobody reads is drained and ignored; an optional one may be absent. */
enum body { BODY_NONE, BODY_OPTIONAL, BODY_JSON };

struct route {
    const char *method;        /* "GET" */
    const char *path_template; /* "/v1/agents/{agent_id}" */
    const char *name;          /* of the handler, for logs and metrics */
    api_handler *handler;
    enum auth auth;
    enum body body;
    const struct parameter *parameters; /* query first, then header */
    int parameters_count;
};
struct route_table {
    const struct route *routes;
    int routes_count;
};
/* The contract's, in api/table.c. */
extern const struct route_table api_routes;

/* A longer target is a 414 and comes nowhere near here. */
enum { TARGET_BYTES_MAX = 8192, PATH_PARAMETERS_MAX = 4 };

/* What a request's method and target lead to. */
struct match {
    enum { MATCH_NOTHING, MATCH_OTHER_METHOD, MATCH_ROUTE } outcome; /* 404, 405, go on */
    const struct route *route;                        /* MATCH_ROUTE */
    struct str path_parameters[PATH_PARAMETERS_MAX];  /* decoded, UTF-8, in the template's order */
    int path_parameters_count;
    struct str query;                                 /* raw, without its '?' */
    const char *allow;                                /* MATCH_OTHER_METHOD: "GET, PATCH" */
};

/* Find the route of a request line. The target is in origin form ("/a?b") or in
 * absolute form ("https://host/a?b"; scheme and host are dropped, all hosts are one server).
 *
 * The path is split at '/' before it is decoded; empty segments are dropped, `.`
 * and `..` are data. A template fits as a whole or not at all; among those that
 * fit, the first difference decides, a literal before a parameter. A segment that
 * is no UTF-8 text after decoding names nothing. `allow` joins the methods of all
 * templates that fit the path; CONNECT and `*` are answered for the whole server. */
struct match routes_match(const struct route_table *, struct arena *, struct str method, struct str target);

/* The path parameter of this name; the route's template has it. */
struct str match_parameter(const struct match *, const char *name);

/* The last value that a raw query has for a name ('+' and "%20" are both spaces;
 * a broken escape stands for itself, what is no UTF-8 becomes U+FFFD).
 * False when the name does not occur. */
bool query_value(struct arena *, struct str query, const char *name, struct str *value);
