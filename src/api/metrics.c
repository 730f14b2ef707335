#include "api/metrics.h"
#include "base/clock.h"
#include "io/loop.h"
#include <stddef.h>

struct sight { /* everything at one moment */
    struct engine_counts engine;
    struct server_counts server;
    struct client_counts client;
    struct census census;
    int64_t slow_slices;
};

static const struct row {
    const char *name, *type, *help;
    size_t at;
} rows[] = {
#define ROW(name, type, place, help) {"agentd_" name, type, help, offsetof(struct sight, place)},
    ROW("runs", "gauge", engine.runs, "Tasks that execute now")
    ROW("tasks_waiting", "gauge", engine.pending, "Root tasks that wait for a place")
    ROW("followers", "gauge", engine.followers, "Streams that are open")
    ROW("acts", "gauge", engine.acts, "Stops and deletes under way")
    ROW("connections", "gauge", server.connections_open, "Connections of clients")
    ROW("requests_live", "gauge", server.requests_live, "Requests under way, streams among them")
    ROW("requests_total", "counter", server.requests_total, "Requests answered or under way since the start")
    ROW("received_bytes_total", "counter", server.bytes_in, "Bytes from clients")
    ROW("sent_bytes_total", "counter", server.bytes_out, "Bytes to clients")
    ROW("model_calls", "gauge", client.transfers_open, "Calls of models under way")
    ROW("model_connections", "gauge", client.sockets_open, "Connections to models, idle ones among them")
    ROW("model_received_bytes_total", "counter", client.bytes_read_total, "Bytes from models")
    ROW("loop_slow_slices_total", "counter", slow_slices, "Slices in which the loop was held longer than it should be")
    ROW("organizations", "gauge", census.organizations, "Organisations")
    ROW("agents", "gauge", census.agents, "Agents, those being deleted among them")
    ROW("tasks", "gauge", census.tasks, "Tasks")
    ROW("turns", "gauge", census.turns, "Turns of tasks")
    ROW("entries", "gauge", census.entries, "Entries of journals")
    ROW("keyring_slots_free", "gauge", census.slots_free, "Slots of the keyring that seal nothing")
    ROW("keyring_slots_erasing", "gauge", census.slots_erasing, "Slots that are being erased")
    ROW("orphans", "gauge", census.orphans, "Rows whose owner is gone, and keys that two share: always 0")
#undef ROW
};

static struct str print(struct arena *a, const struct sight *r)
{
    struct buf out = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value;
        memcpy(&value, (const char *)r + rows[i].at, sizeof value);
        buf_addf(&out, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", rows[i].name, rows[i].help, rows[i].name, rows[i].type,
                 rows[i].name, (long long)value);
    }
    struct str text = str_copy(a, buf_str(&out));
    buf_free(&out);
    return text;
}

static struct err count_rows(struct ctx *cx, struct metrics *m)
{
    int64_t now = clock_mono_ms();
    if (m->counted_ms && now - m->counted_ms < METRICS_CENSUS_MS) return OK;
    struct census census;
    TRY(store_census(cx, m->store, &census));
    m->census = census;
    m->counted_ms = now;
    return OK;
}

#define PLAIN "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"

static void reply_metrics(struct ctx *cx, struct exchange *exchange, struct metrics *m)
{
    struct err e = count_rows(cx, m);
    if (failed(e)) {
        exchange_reply(exchange, 503, PLAIN "Retry-After: 1\r\n", S("the rows could not be counted\n"));
        return;
    }
    struct sight r = {engine_counts(m->engine), server_counts(m->server), client_counts(m->client), m->census,
                        loop_slow_slices(m->loop)};
    exchange_reply(exchange, 200, PLAIN, print(cx->arena, &r));
}

struct fibers {
    struct buf out;
    int64_t now_ms;
};

static void put_fiber(void *arg, const char *note, int64_t since_ms)
{
    struct fibers *f = arg;
    buf_addf(&f->out, "%lld ms\t%s\n", (long long)(f->now_ms - since_ms), note ? note : "(runs)");
}

static void reply_fibers(struct exchange *exchange, struct metrics *m)
{
    struct fibers f = {.now_ms = clock_mono_ms()};
    loop_each_fiber(m->loop, put_fiber, &f);
    exchange_reply(exchange, 200, PLAIN, buf_str(&f.out));
    buf_free(&f.out);
}

void metrics_serve(struct ctx *cx, struct exchange *exchange, void *app)
{
    const struct request *r = exchange_request(exchange);
    bool is_get = str_is(r->method, "GET") || str_is(r->method, "HEAD");
    if (is_get && str_is(r->target, "/metrics")) reply_metrics(cx, exchange, app);
    else if (is_get && str_is(r->target, "/fibers")) reply_fibers(exchange, app);
    else exchange_reply(exchange, is_get ? 404 : 405, PLAIN, S("GET /metrics, GET /fibers\n"));
}
