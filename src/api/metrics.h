/* api/metrics.h: what the operator can see, on a listener of its own (metrics_listen), without a key.
 *
 * GET /metrics: Prometheus text, printed from a table. Rows are counted at most once in METRICS_CENSUS_MS.
 * GET /fibers: each parked fiber, and what it waits for: literals, no text from outside.
 *
 * Memory    The caller owns struct metrics and what it points to. */
#pragma once
#include "engine/engine.h"
#include "net/client.h"
#include "net/server.h"
#include "store/census.h"

enum { METRICS_CENSUS_MS = 60000 };
struct metrics {
    struct store *store;
    const struct engine *engine;
    const struct server *server;
    const struct client *client;
    struct loop *loop;
    int64_t counted_ms; /* when `census` was made; 0: never */
    struct census census;
};
/* A server_handler; `app` is a struct metrics. */
void metrics_serve(struct ctx *, struct exchange *, void *app);
