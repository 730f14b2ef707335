#include "engine/quota.h"
#include "base/clock.h"
#include <stdlib.h>

enum { MINUTE_MS = 60000 };
struct bucket {
    int64_t filled_ms; /* up to when it was refilled */
    int64_t parts;     /* of a message, MINUTE_MS each */
};

static struct bucket *bucket_of(struct engine *engine, int64_t org, int64_t full)
{
    struct bucket *b = map_get(&engine->buckets, org);
    if (b) return b;
    b = malloc(sizeof *b);
    if (!b) return NULL;
    *b = (struct bucket){clock_mono_ms(), full};
    if (map_put(&engine->buckets, org, b)) return b;
    free(b);
    return NULL;
}

struct err quota_message(struct engine *engine, int64_t org)
{
    int64_t most = engine->settings.org_creates_max, full = most * MINUTE_MS, now = clock_mono_ms();
    if (!most) return OK;
    struct bucket *b = bucket_of(engine, org, full);
    if (!b) return err(ERR_MEMORY, "there is no memory for this request");
    int64_t passed = now - b->filled_ms < MINUTE_MS ? now - b->filled_ms : MINUTE_MS;
    b->parts = b->parts + passed * most < full ? b->parts + passed * most : full;
    b->filled_ms = now;
    if (b->parts < MINUTE_MS) return err(ERR_QUOTA, "This organisation sends more messages in a minute than it may");
    b->parts -= MINUTE_MS;
    return OK;
}

/* Looks at all runs: only where there is a limit, and then there are few of each. */
struct err quota_run(const struct engine *engine, int64_t org)
{
    int64_t most = engine->settings.org_runs_max, count = 0;
    for (int i = 0; most && i < BUCKETS; i++)
        for (const struct run *r = engine->runs[i]; r; r = r->next_in_bucket) count += r->task.org == org;
    if (most && count >= most) return err(ERR_QUOTA, "This organisation runs as many tasks as it may");
    return OK;
}

void quota_forget_all(struct engine *engine)
{
    size_t at = 0;
    for (struct bucket *b; (b = map_next(&engine->buckets, &at));) free(b);
    map_free(&engine->buckets);
}
