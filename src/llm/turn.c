/* llm/turn.c
 *
 * A turn is one try, and further ones while nothing of the answer came. Time is kept in three
 * places: net/client bounds the connecting and the head, patience_ms() every wait for bytes, and the
 * context's deadline the whole turn. Whatever a server does, one of them ends it.
 *
 * Memory    While bytes come, a turn holds what was said so far and the event that is not whole yet.
 *           The request is built for each try and dropped when it was sent. Events are decoded in one
 *           scratch arena for all turns: nothing waits between its filling and its emptying. */
#include "llm/turn.h"
#include <stdio.h>
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "io/wait.h"
#include "llm/answer.h"
#include "llm/complaint.h"
#include "llm/headers.h"
#include "llm/retry.h"
#include "net/sse.h"

enum {
    DRAIN_MS = 100, DRAIN_BYTES = 16384,     /* after the end, so that the connection can serve again */
    FINISHED_MS = 5000,                      /* after the finish reason, for usage and [DONE] */
    REFUSAL_MS = 10000, REFUSAL_BYTES = 65536, /* for the body of an error */
    BYTES_PER_BYTE = 512,                    /* what a server may send around one byte of answer */
    SCRATCH_BYTES = 8192,
};

struct asking {
    const struct llm *llm;
    const struct llm_model *model;
    const struct llm_dialogue *dialogue;
    struct str address;    /* of the endpoint */
    struct url url;
    struct headers headers;
    struct answer answer;
    int64_t begun_ms;      /* this try */
    int64_t bytes_left;    /* that may still be read of it */
    int64_t asked_ms;      /* Retry-After of the last refusal; -1 = none */
    bool may_try_again;
};

/* ---- sentences ------------------------------------------------------------------------- */
static const char *title(const struct asking *a) { return a->model->provider->title; }

/* "OpenAI answered 429: Rate limit reached" */
static struct err wrong(struct ctx *cx, const struct asking *a, const char *what, struct str said)
{
    said = complaint(cx->arena, said, a->headers.secrets, a->headers.secrets_count);
    if (said.count == 0) return errf(cx->arena, ERR_UPSTREAM, "%s %s", title(a), what);
    return errf(cx->arena, ERR_UPSTREAM, "%s %s: %.*s", title(a), what, STR_ARGS(said));
}

static struct err too_late(struct ctx *cx, const struct asking *a, const char *what, int64_t limit_ms)
{
    bool is_whole = limit_ms % 1000 == 0;
    return errf(cx->arena, ERR_UPSTREAM, "%s %s %lld %s", title(a), what, (long long)(is_whole ? limit_ms / 1000 : limit_ms),
                is_whole ? "s" : "ms");
}

static struct err cut_off(struct ctx *cx, struct asking *a)
{
    a->may_try_again = !a->answer.has_begun;
    if (a->answer.has_begun) return errf(cx->arena, ERR_UPSTREAM, "the answer of %s was cut off", title(a));
    return errf(cx->arena, ERR_UPSTREAM, "%s closed the connection without an answer", title(a));
}

static bool is_over(const struct ctx *cx) { return cx->deadline_ms && clock_mono_ms() >= cx->deadline_ms; }

/* A wait for bytes ran out: whose patience was it? The deadline's is told in llm_turn(). */
static struct err late(struct ctx *cx, const struct asking *a, struct err e)
{
    const struct llm_limits *limits = &a->llm->limits;
    if (is_over(cx)) return e;
    if (!a->answer.has_begun) return too_late(cx, a, "did not begin its answer within", limits->first_token_ms);
    return too_late(cx, a, "stopped in the middle of its answer and said nothing for", limits->silence_ms);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* How long the next bytes may take; 0 = any time, -1 = no longer. */
static int64_t patience_ms(const struct asking *a)
{
    const struct llm_limits *limits = &a->llm->limits;
    int64_t silence = limits->silence_ms;
    if (!a->answer.has_begun) {
        if (!limits->first_token_ms) return 0;
        int64_t left = a->begun_ms + limits->first_token_ms - clock_mono_ms();
        return left > 0 ? left : -1;
    }
    return a->answer.is_finished && (!silence || silence > FINISHED_MS) ? FINISHED_MS : silence;
}

static struct err read_more(struct ctx *cx, struct asking *a, struct transfer *transfer, struct str *bytes, bool *is_end)
{
    int64_t patience = patience_ms(a);
    if (patience < 0) return late(cx, a, err(ERR_TIMEOUT, "the first token is late"));
    struct err e = transfer_read(cx, transfer, patience, bytes, is_end);
    if (failed(e)) return e.code == ERR_TIMEOUT ? late(cx, a, e) : e.code == ERR_UPSTREAM ? cut_off(cx, a) : e;
    a->bytes_left -= (int64_t)bytes->count;
    return a->bytes_left >= 0 ? OK : err(ERR_LIMIT, "the model's answer is longer than answer_bytes_max");
}

/* What the answer itself says about going on. */
static struct err fault_of(struct ctx *cx, const struct asking *a)
{
    struct err e = a->answer.fault;
    if (a->answer.has_failed) return wrong(cx, a, "failed while it answered", buf_str(&a->answer.failure));
    return e.code == ERR_UPSTREAM ? errf(cx->arena, e.code, "%s is not understood: %s", title(a), e.what) : e;
}

static struct arena_mark scratch_mark(struct arena *scratch)
{
    if (!scratch->chunk) {
        scratch->wipe = true;
        arena_alloc(scratch, SCRATCH_BYTES);
    }
    return (struct arena_mark){scratch->chunk, 0}; /* keeps the chunk, which arena_mark() of an empty arena would not */
}

struct listening {
    struct ctx *cx;
    struct asking *asking;
};

static struct err hear_event(void *arg, const struct sse_frame *frame)
{
    static _Thread_local struct arena scratch;
    struct listening *l = arg;
    struct asking *a = l->asking;
    if (a->answer.is_ended) return OK;

    struct arena_mark mark = scratch_mark(&scratch);
    struct err e = a->model->provider->translator->event(&scratch, frame->name, frame->data, answer_hear, &a->answer);
    if (failed(e)) e = wrong(l->cx, a, "is not understood", str(e.what));
    else e = fault_of(l->cx, a);
    if (scratch.exhausted) e = err(ERR_MEMORY, "no memory for the model's answer");
    scratch.exhausted = false;
    arena_rewind(&scratch, mark);
    return e;
}

static struct err hear_stream(struct ctx *cx, struct asking *a, struct transfer *transfer)
{
    struct sse_parser parser = {0};
    struct listening listening = {cx, a};
    struct str bytes;
    bool is_end = false;
    struct err e = OK;

    while (!failed(e) && !is_end && !a->answer.is_ended) {
        e = read_more(cx, a, transfer, &bytes, &is_end);
        if (!failed(e)) e = sse_feed(&parser, bytes, hear_event, &listening);
    }
    /* What is left without its blank line is heard if it is whole, and else was cut off. */
    if (!failed(e) && !a->answer.is_ended && failed(sse_end(&parser, hear_event, &listening)) && !a->answer.is_finished)
        e = a->answer.has_failed ? fault_of(cx, a) : cut_off(cx, a);
    sse_parser_free(&parser);

    /* Servers that gave their reason to finish have said all, whatever becomes of the line. */
    bool is_all = a->answer.is_finished && e.code == ERR_UPSTREAM && !a->answer.has_failed && !failed(a->answer.fault);
    if (is_all) return OK;
    if (failed(e)) return e;
    return a->answer.is_ended || a->answer.is_finished ? OK : cut_off(cx, a);
}

/* Into `body`, until the end or the bound. */
static struct err read_whole(struct ctx *cx, struct asking *a, struct transfer *transfer, struct buf *body)
{
    struct str bytes;
    bool is_end = false;
    while (!is_end) {
        TRY(read_more(cx, a, transfer, &bytes, &is_end));
        buf_add_str(body, bytes);
        if (body->is_failed) return err(ERR_MEMORY, "no memory for the model's answer");
    }
    return OK;
}

/* A server that does not stream: all at once. */
static struct err hear_whole(struct ctx *cx, struct asking *a, struct str body)
{
    struct arena scratch = arena_new();
    struct json json;
    struct err e = json_parse_own(&scratch, body, &json);
    if (failed(e)) e = err(ERR_UPSTREAM, "its answer is no JSON");
    else e = a->model->provider->translator->whole(&scratch, json, answer_hear, &a->answer);
    e = failed(e) ? wrong(cx, a, "is not understood", str(e.what)) : fault_of(cx, a);
    arena_free(&scratch);
    return e;
}

static struct err hear_json(struct ctx *cx, struct asking *a, struct transfer *transfer)
{
    struct buf body = {0};
    /* JSON may spell a character with up to six times its bytes. */
    a->bytes_left = a->answer.bytes_max > INT64_MAX / 8 ? INT64_MAX : a->answer.bytes_max * 6 + REFUSAL_BYTES;
    struct err e = read_whole(cx, a, transfer, &body);
    if (!failed(e)) e = hear_whole(cx, a, buf_str(&body));
    buf_free(&body);
    return e;
}

/* ---- one try --------------------------------------------------------------------------------- */
static struct str media_type(const struct transfer *transfer)
{
    struct str rest;
    return str_trim(str_split(transfer_header(transfer, "content-type"), ';', &rest, NULL));
}

static bool is_json(struct str type)
{
    bool has_suffix = type.count > 5 && str_eq_nocase(str_cut(type, type.count - 5, 5), S("+json"));
    return has_suffix || str_eq_nocase(type, S("application/json"));
}

static struct err hear(struct ctx *cx, struct asking *a, struct transfer *transfer)
{
    struct str type = media_type(transfer);
    a->bytes_left = a->answer.bytes_max > INT64_MAX / BYTES_PER_BYTE / 2 ? INT64_MAX : a->answer.bytes_max * BYTES_PER_BYTE + REFUSAL_BYTES;
    if (is_json(type)) return hear_json(cx, a, transfer);
    if (type.count == 0 || str_eq_nocase(type, S("text/event-stream"))) return hear_stream(cx, a, transfer);
    if (str_eq_nocase(type, S("text/html"))) return wrong(cx, a, "answered with a web page: is its address right?", S(""));
    return wrong(cx, a, "answered with something that is no event stream", type);
}

/* Best effort: the body tells why, but the status alone is an answer too. Only cancelling is an error. */
static struct err read_reason(struct ctx *cx, struct transfer *transfer, struct buf *body)
{
    int64_t until = clock_mono_ms() + REFUSAL_MS;
    struct str bytes;
    bool is_end = false;
    while (!is_end && body->count < REFUSAL_BYTES) {
        int64_t left = until - clock_mono_ms();
        if (left <= 0) break;
        struct err e = transfer_read(cx, transfer, left, &bytes, &is_end);
        if (failed(e)) return e.code == ERR_CANCELLED ? e : OK;
        buf_add_str(body, bytes);
    }
    return OK;
}

static struct str reason(struct ctx *cx, const struct asking *a, const struct transfer *transfer, struct str body)
{
    struct json json;
    body = str_trim(body);
    if (!failed(json_parse_own(cx->arena, body, &json))) return a->model->provider->translator->failure(cx->arena, json);
    return str_eq_nocase(media_type(transfer), S("text/plain")) ? body : S("");
}

static struct err refused(struct ctx *cx, struct asking *a, struct transfer *transfer, int status)
{
    struct buf body = {0};
    char what[40];
    struct str asked = transfer_header(transfer, "retry-after");

    a->may_try_again = retry_is_for(status);
    a->asked_ms = retry_after_ms(asked, clock_now_us());
    snprintf(what, sizeof what, "answered %d", status);
    struct err e;
    if (status / 100 == 3) e = wrong(cx, a, what, S("redirects are not followed"));
    else e = read_reason(cx, transfer, &body);
    if (!failed(e)) e = wrong(cx, a, what, reason(cx, a, transfer, buf_str(&body)));
    buf_free(&body);
    return e;
}

/* Reading to the end is what makes the connection fit for the next turn. */
static struct err drain(struct ctx *cx, struct transfer *transfer)
{
    struct str bytes;
    size_t count = 0;
    bool is_end = false;
    if (str_eq_nocase(transfer_header(transfer, "connection"), S("close"))) return OK;
    while (!is_end && count < DRAIN_BYTES) {
        struct err e = transfer_read(cx, transfer, DRAIN_MS, &bytes, &is_end);
        if (failed(e)) return e.code == ERR_CANCELLED ? e : OK;
        count += bytes.count;
    }
    return OK;
}

static struct err send_request(struct ctx *cx, struct asking *a, const struct guard_address *address, struct transfer **transfer)
{
    const struct llm_limits *limits = &a->llm->limits;
    struct buf body = {0};
    a->model->provider->translator->request(&body, a->model, a->dialogue);
    struct outgoing outgoing = {.method = "POST", .url = a->address, .address = address, .headers = a->headers.items,
                                .headers_count = a->headers.count, .body = buf_str(&body),
                                .connect_ms = limits->connect_ms, .first_byte_ms = limits->first_token_ms};
    struct err e = body.is_failed ? err(ERR_MEMORY, "no memory for the request to the model")
                                  : client_open(cx, a->llm->client, &outgoing, transfer);
    buf_free(&body);
    if (e.code == ERR_UPSTREAM) {
        a->may_try_again = true;
        return wrong(cx, a, "cannot be reached", str(e.what));
    }
    if (e.code != ERR_TIMEOUT || is_over(cx)) return e;
    if (limits->first_token_ms && clock_mono_ms() - a->begun_ms >= limits->first_token_ms) return late(cx, a, e);
    a->may_try_again = true;
    return too_late(cx, a, "did not accept a connection within", limits->connect_ms);
}

static struct err try_once(struct ctx *cx, struct asking *a)
{
    struct guard_address address;
    struct transfer *transfer;
    enum guard_trust trust = a->model->is_operators ? GUARD_OPERATOR : GUARD_TENANT;

    a->begun_ms = clock_mono_ms();
    a->asked_ms = -1;
    a->may_try_again = false;
    struct err e = guard_resolve(cx, a->llm->guard, &a->url, trust, a->model->tenant, &address);
    if (e.code == ERR_UPSTREAM || e.code == ERR_BUSY) {
        a->may_try_again = true;
        return wrong(cx, a, "cannot be reached", str(e.what));
    }
    if (failed(e)) return e;
    TRY(send_request(cx, a, &address, &transfer));
    int status = transfer_status(transfer);
    e = status / 100 == 2 ? hear(cx, a, transfer) : refused(cx, a, transfer, status);
    if (!failed(e)) e = drain(cx, transfer);
    transfer_close(transfer);
    return e;
}

/* ---- all tries ----------------------------------------------------------------------------------- */
static void begin_answer(struct asking *a, llm_say_fn *say, void *arg)
{
    answer_free(&a->answer);
    a->answer = (struct answer){.bytes_max = a->llm->limits.answer_bytes_max, .calls_max = a->llm->limits.calls_max, .say = say, .arg = arg};
}

static struct err ask(struct ctx *cx, struct asking *a, llm_say_fn *say, void *arg)
{
    const struct llm_limits *limits = &a->llm->limits;
    for (int failures = 1;; failures++) {
        uint64_t chance;
        begin_answer(a, say, arg);
        struct err e = try_once(cx, a);
        if (!failed(e) || !a->may_try_again || failures >= limits->tries) return e;
        random_bytes(&chance, sizeof chance);
        int64_t wait = retry_wait_ms(limits, failures, a->asked_ms, chance);
        if (cx->deadline_ms && clock_mono_ms() + wait >= cx->deadline_ms) return e; /* no time for another */
        log_event(EVENT_model_retry, LOG_WORD("provider", a->model->provider->title), LOG_NUM("failures", failures), LOG_NUM("wait_ms", wait));
        TRY(wait_ms(cx, wait));
    }
}

static struct err prepare(struct ctx *cx, struct asking *a)
{
    const struct llm_provider *p = a->model->provider;
    const char *why;
    if (!p->translator) return errf(cx->arena, ERR_UPSTREAM, "%s cannot be spoken to yet", p->title);
    if (a->model->base.count == 0) return errf(cx->arena, ERR_UPSTREAM, "%s has no address: llm_api_base must name it", p->title);
    a->address = url_join(cx->arena, a->model->base, str(p->translator->path));
    if (!url_parse(cx->arena, a->address, &a->url, &why)) return errf(cx->arena, ERR_UPSTREAM, "the address of %s is no URL: %s", p->title, why);
    return headers_of(cx->arena, a->model, &a->headers);
}

struct err llm_turn(struct ctx *cx, const struct llm *llm, const struct llm_model *model, const struct llm_dialogue *dialogue,
                    llm_say_fn *say, void *arg, struct llm_turn *out)
{
    struct arena temporary = {.wipe = true};
    struct ctx inner = *cx;
    struct asking a = {.llm = llm, .model = model, .dialogue = dialogue};
    int64_t until = llm->limits.turn_ms ? clock_mono_ms() + llm->limits.turn_ms : 0;

    inner.arena = &temporary;
    if (until && (!cx->deadline_ms || until < cx->deadline_ms)) inner.deadline_ms = until;
    *out = (struct llm_turn){0};
    struct err e = prepare(&inner, &a);
    if (!failed(e)) e = ask(&inner, &a, say, arg);
    if (e.code == ERR_TIMEOUT && inner.deadline_ms == until && until) e = too_late(&inner, &a, "did not finish its answer within", llm->limits.turn_ms);
    if (!failed(e) && temporary.exhausted) e = err(ERR_MEMORY, "no memory for the model's answer");
    if (!failed(e)) e = answer_turn(cx->arena, &a.answer, out);
    else e.what = str_z(cx->arena, str(e.what));
    answer_free(&a.answer);
    arena_free(&temporary);
    return e;
}
