/* api/operator.h: what the operator says on the command line, done by the server that runs on the directory, or, where
 * none runs, by the command itself: the same code both times.
 *
 * A command is a line of JSON, {"command":"erase","org":…,"user":…}, and so is its answer, {"error":sentence}
 * when it failed. A running server hears it on the socket `control` in its data directory.
 *
 * Errors    Sentences for the operator. */
#pragma once
#include "base/str.h"
#include "io/ctx.h"
#include "store/store.h"

struct engine;
struct local;
struct operator { /* what commands work on */
    struct store *store;
    struct engine *engine;
    struct local *local;
};
/* Hear commands from now on. `directory` is the data directory; *op must outlive it. */
struct err operator_open(struct ctx *, struct operator *op, struct str directory) MUST_CHECK;
void operator_close(struct ctx *, struct operator *op);

/* The command's side: have it done, wherever, and put what it says into *answer. */
struct err operator_do(struct arena *, const struct store_settings *, struct str line, struct buf *answer) MUST_CHECK;
