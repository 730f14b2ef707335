#include "api/call.h"

#include <assert.h>
#include <stdlib.h>
#include "base/log.h"
#include "io/offload.h"

const struct loc loc_body = {.name = "body"}, loc_query = {.name = "query"}, loc_header = {.name = "header"};

/* ---- errors are answers ------------------------------------------------------------- */

#define RETRY "Retry-After: 1\r\n"
static const struct answer {
    int status;
    const char *detail;  /* said when the error has no sentence for outside */
    bool has_sentence;   /* the error's own is said instead */
    const char *headers;
} answers[] = {
    [ERR_INVALID]     = {422, 0, false, ""},
    [ERR_DENIED]      = {403, "Access to this resource is forbidden", false, ""},
    [ERR_UNKNOWN_KEY] = {401, "Invalid or missing API key", false, "WWW-Authenticate: Bearer\r\n"},
    [ERR_NOT_FOUND]   = {404, "Not Found", true, ""},
    [ERR_QUOTA]       = {429, "A limit of this organisation was reached", true, RETRY},
    [ERR_GONE]        = {410, "The object this request made was deleted", true, ""},
    [ERR_CONFLICT]    = {409, "The state has changed meanwhile", true, ""},
    [ERR_LIMIT]       = {503, "The server is at a limit", true, RETRY},
    [ERR_BUSY]        = {503, "The server is busy", true, RETRY},
    [ERR_TIMEOUT]     = {503, "The server did not get to it in time", false, RETRY},
    [ERR_CANCELLED]   = {503, "The server is stopping", false, RETRY},
    [ERR_CLOSED]      = {503, "The server is stopping", false, RETRY},
    [ERR_UPSTREAM]    = {500, "Internal Server Error", false, ""},
    [ERR_MEMORY]      = {503, "Not enough memory for this request", false, RETRY},
    [ERR_FULL]        = {507, "Insufficient storage", false, ""},
    [ERR_IO]          = {500, "Internal Server Error", false, ""},
};

static void reply_detail(struct call *call, int status, const char *headers, struct str detail)
{
    struct buf out = {0};

    buf_add_str(&out, S("{\"detail\":"));
    json_put_text(&out, detail);
    buf_add_str(&out, S("}"));
    exchange_reply(call->exchange, status, headers, out.is_failed ? S("{\"detail\":\"\"}") : buf_str(&out));
    buf_free(&out);
}

/* A rule of ours that was broken and names no field. */
static void reply_faults(struct call *call, const char *sentence)
{
    if (!call->faults.count) fault_value(&call->faults, &loc_body, S("null"), sentence ? sentence : "not valid");
    exchange_reply(call->exchange, 422, "", faults_body(&call->faults));
}

static void reply_error(struct call *call, struct err e)
{
    const struct answer *answer = &answers[e.code];

    if (e.code == ERR_INVALID) {
        reply_faults(call, e.what);
        return;
    }
    if (answer->status == 500) /* the cause is ours alone to know */
        log_event(EVENT_request_failed, LOG_WORD("route", call->match.route ? call->match.route->name : "none"),
                  LOG_WORD("why", e.what ? e.what : "no reason given"));
    reply_detail(call, answer->status, answer->headers, str(answer->has_sentence && e.what ? e.what : answer->detail));
}

/* ---- query and header values ---------------------------------------------------------- */

static bool is_digits(struct str text)
{
    if (text.count && text.at[0] == '-') text = str_cut(text, 1, text.count);
    for (size_t i = 0; i < text.count; i++)
        if (text.at[i] < '0' || text.at[i] > '9') return false;
    return text.count > 0;
}

static int64_t read_int(struct call *call, const struct parameter *row, const struct loc *loc, struct str text)
{
    int64_t value = row->normal;

    struct str input = fault_input_text(&call->faults, text);

    if (!is_digits(text))
        fault_plain(&call->faults, "int_parsing", loc, input);
    else if (!str_to_int(text, &value))
        fault_plain(&call->faults, "int_parsing_size", loc, input);
    else if (value < row->low)
        fault_low(&call->faults, loc, input, row->low);
    else if (value > row->high)
        fault_high(&call->faults, loc, input, row->high);
    return value;
}

static int64_t read_bool(struct call *call, const struct parameter *row, const struct loc *loc, struct str text)
{
    static const char *const yes[] = {"true", "1", "yes", "on", "t", "y"}, *const no[] = {"false", "0", "no", "off", "f", "n"};

    for (int i = 0; i < 6; i++) {
        if (str_eq_nocase(text, str(yes[i]))) return 1;
        if (str_eq_nocase(text, str(no[i]))) return 0;
    }
    fault_plain(&call->faults, "bool_parsing", loc, fault_input_text(&call->faults, text));
    return row->normal;
}

static int64_t read_enum(struct call *call, const struct parameter *row, const struct loc *loc, struct str text)
{
    for (int i = 0; row->words[i]; i++)
        if (str_is(text, row->words[i])) return i;
    fault_enum(&call->faults, loc, fault_input_text(&call->faults, text), row->words, false);
    return row->normal;
}

static void read_parameter(struct call *call, const struct parameter *row, struct call_parameter *out)
{
    bool is_query = row->place == PARAMETER_IN_QUERY;
    const struct loc *loc = LOC(is_query ? &loc_query : &loc_header, row->name);

    *out = (struct call_parameter){.num = row->normal};
    if (!is_query)
        out->text = request_header(call->request, row->name);
    else if (!query_value(call->faults.arena, call->match.query, row->name, &out->text))
        out->text.at = 0;
    if (!out->text.at) return;

    switch (row->kind) {
    case PARAMETER_INT: out->num = read_int(call, row, loc, out->text); break;
    case PARAMETER_BOOL: out->num = read_bool(call, row, loc, out->text); break;
    case PARAMETER_ENUM: out->num = read_enum(call, row, loc, out->text); break;
    case PARAMETER_TEXT: break;
    }
}

void call_read_parameters(struct call *call)
{
    const struct route *route = call->match.route;

    assert(route->parameters_count <= CALL_PARAMETERS_MAX);
    for (int i = 0; i < route->parameters_count; i++) read_parameter(call, &route->parameters[i], &call->parameters[i]);
}

/* ---- the body --------------------------------------------------------------------------- */

bool media_type_is_json(struct str value)
{
    struct str rest;
    bool is_more;
    struct str type = str_trim(str_split(value, ';', &rest, &is_more));
    struct str head = str_cut(type, 0, 12);
    struct str tail = str_cut(type, type.count > 5 ? type.count - 5 : 0, 5);

    if (!str_eq_nocase(type, S("application/json")) &&
        !(type.count > 17 && str_eq_nocase(head, S("application/")) && str_eq_nocase(tail, S("+json"))))
        return false;
    while (is_more) {
        struct str charset;
        bool has_value;
        struct str name = str_trim(str_split(str_split(rest, ';', &rest, &is_more), '=', &charset, &has_value));
        if (!has_value || !str_eq_nocase(name, S("charset"))) continue;
        charset = str_trim(charset);
        if (!str_eq_nocase(charset, S("utf-8")) && !str_eq_nocase(charset, S("\"utf-8\""))) return false;
    }
    return true;
}

/* A large body would hold up everybody else: another thread parses it, into an arena of its own. */
enum { PARSED_HERE_BYTES_MAX = 64 * 1024 };
struct parsing {
    struct str text;
    struct arena arena;
    struct json out;
    struct json_fault fault;
};
static struct err parse(void *arg)
{
    struct parsing *parsing = arg;

    return json_parse(&parsing->arena, parsing->text, &parsing->out, &parsing->fault);
}

static struct err body_parse(struct ctx *cx, struct call *call, struct json_fault *fault)
{
    struct parsing parsing = {.text = call->request->body, .arena = arena_new()};

    if (parsing.text.count <= PARSED_HERE_BYTES_MAX) return json_parse(cx->arena, parsing.text, &call->body, fault);
    parsing.arena.wipe = true;
    struct err e = offload(cx, parse, &parsing);
    arena_adopt(cx->arena, &parsing.arena);
    call->body = parsing.out;
    *fault = parsing.fault;
    return e;
}

/* True: go on. A body that is absent is the handler's to miss, after it has looked up the path's object. */
static bool body_is_readable(struct ctx *cx, struct call *call)
{
    enum { TYPE_BYTES_MAX = 200 };
    struct str type = request_header(call->request, "content-type");
    struct json_fault fault = {0};

    if (!call->request->body.count) return true;
    if (type.at && !media_type_is_json(type)) {
        bool is_sayable = str_is_utf8(type) && type.count <= TYPE_BYTES_MAX;
        struct str detail = is_sayable ? strf(call->faults.arena, "Unsupported media type: %.*s", STR_ARGS(type))
                                       : S("Unsupported media type");
        reply_detail(call, 415, "", detail);
        return false;
    }
    struct err e = body_parse(cx, call, &fault);
    if (e.code == ERR_INVALID) fault_json(&call->faults, &loc_body, &fault);
    if (failed(e)) reply_error(call, e);
    return !failed(e);
}

struct json call_object(struct call *call)
{
    const struct json absent = {0};

    if (!json_is_there(call->body)) {
        fault_missing(&call->faults, &loc_body, S("null"));
        return absent;
    }
    if (json_type(call->body) != JSON_OBJECT) {
        fault_plain(&call->faults, "model_attributes_type", &loc_body, fault_input(&call->faults, call->body));
        return absent;
    }
    return call->body;
}

void call_read(struct call *call, const struct shape *shape, enum shape_mode mode, void *out, struct given *given)
{
    struct json body = call_object(call);

    *given = (struct given){0};
    if (json_is_there(body))
        shape_read(call->faults.arena, shape, mode, body, &loc_body, out, given, &call->faults);
}

/* ---- in order ------------------------------------------------------------------------- */

/* Naming an organisation never chooses one. It may be absent, or must be the key's. */
static bool is_own_organization(const struct call *call, struct str id)
{
    return !id.count || str_eq(id, call->who.org_id);
}

static bool headers_name_own_organization(const struct call *call)
{
    for (int i = 0; i < call->request->headers_count; i++) {
        const struct request_header *header = &call->request->headers[i];
        if (str_is(header->name, "x-organization-id") && !is_own_organization(call, str_trim(header->value))) return false;
    }
    return true;
}

struct err call_check(struct call *call)
{
    if (call->faults.count) return err(ERR_INVALID, "some values are not valid");
    if (!is_own_organization(call, json_text(json_get(call->body, "organization_id")))) return err(ERR_DENIED, 0);
    return OK;
}

static struct err serve(struct ctx *cx, struct call *call)
{
    call->match = routes_match(call->app->routes, cx->arena, call->request->method, call->request->target);
    if (call->match.outcome == MATCH_NOTHING) return err(ERR_NOT_FOUND, 0);
    if (call->match.outcome == MATCH_OTHER_METHOD) {
        const char *allow = arena_printf(cx->arena, "Allow: %s\r\n", call->match.allow);
        reply_detail(call, 405, allow, S("Method Not Allowed"));
        return OK;
    }
    const struct route *route = call->match.route;
    if (route->auth == AUTH_KEY) {
        cx->arena->wipe = true; /* from here on it may hold what is sealed on the disk */
        TRY(auth_check(cx, call->app->auth, call->app->store, call->request, &call->who));
        if (!headers_name_own_organization(call)) return err(ERR_DENIED, 0);
    }
    if (route->body != BODY_NONE && !body_is_readable(cx, call)) return OK;

    call_read_parameters(call);
    return route->handler(cx, call);
}

void api_serve(struct ctx *cx, struct exchange *exchange, void *app)
{
    struct call call = {.app = app, .exchange = exchange, .request = exchange_request(exchange)};

    call.faults = faults_new(cx->arena);
    struct err e = serve(cx, &call);
    if (!exchange_is_answered(exchange)) {
        if (cx->arena->exhausted) e = err(ERR_MEMORY, 0);
        reply_error(&call, failed(e) ? e : err(ERR_IO, "a handler gave no answer"));
    }
    faults_free(&call.faults);
}

/* ---- what was asked ----------------------------------------------------------------------- */

static const struct call_parameter *parameter_named(const struct call *call, const char *name)
{
    const struct route *route = call->match.route;

    for (int i = 0; i < route->parameters_count; i++)
        if (!strcmp(route->parameters[i].name, name)) return &call->parameters[i];
    abort(); /* the contract has no parameter of this name */
}

int64_t call_int(const struct call *call, const char *name)
{
    return parameter_named(call, name)->num;
}

bool call_bool(const struct call *call, const char *name)
{
    return parameter_named(call, name)->num != 0;
}

int call_enum(const struct call *call, const char *name)
{
    return (int)parameter_named(call, name)->num;
}

struct str call_text(const struct call *call, const char *name)
{
    return parameter_named(call, name)->text;
}

struct page call_page(const struct call *call)
{
    return (struct page){.number = call_int(call, "page"), .size = call_int(call, "per_page")};
}

struct str call_path(const struct call *call, const char *name)
{
    return match_parameter(&call->match, name);
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct err reply_json(struct call *call, int status, struct str body)
{
    /* Memory that ran out may have cost this answer a part. */
    if (!body.at || call->faults.arena->exhausted) return err(ERR_MEMORY, 0);
    exchange_reply(call->exchange, status, "", body);
    return OK;
}

struct err reply_buf(struct call *call, int status, struct buf *body)
{
    struct err e = body->is_failed ? err(ERR_MEMORY, 0) : reply_json(call, status, buf_str(body));

    buf_free(body);
    return e;
}

struct err reply_empty(struct call *call, int status)
{
    exchange_reply(call->exchange, status, "", S(""));
    return OK;
}

struct err reply_null(struct call *call, int status)
{
    return reply_json(call, status, S("null"));
}

void page_open(struct buf *out)
{
    buf_add_str(out, S("{\"items\":["));
}

void page_close(struct buf *out, struct page page, int64_t total)
{
    buf_addf(out, "],\"total\":%lld,\"page\":%lld,\"per_page\":%lld,\"total_pages\":%lld}", (long long)total,
             (long long)page.number, (long long)page.size, (long long)page_count(page, total));
}
