/* net/local.h: a Unix socket beside the data: a command asks the server that runs there. One line each way.
 *
 * Only the user who runs the server, and root, are heard: the file has mode 0600, and the credentials of
 * whoever calls are checked too. Whoever holds the directory's lock may take the file's name over.
 *
 * Errors    ERR_IO, ERR_DENIED, ERR_INVALID (a path that is too long). */
#pragma once
#include "base/str.h"
#include "io/ctx.h"

enum { LOCAL_LINE_MAX = 65536 };
struct local;
/* A line without its end; the answer gets its own. Runs on a fiber of its own, to its end, also when the asker hangs up. */
typedef void local_handler(struct ctx *, struct str line, struct buf *answer, void *app);

struct err local_open(struct ctx *, struct str path, local_handler *, void *app, struct local **out) MUST_CHECK;
/* Cancels what is under way, waits for its end, and takes the file away. */
void local_close(struct ctx *, struct local *);

/* The other side; blocks. *is_answered is false: nobody listens there. */
struct err local_ask(struct str path, struct str line, struct buf *answer, bool *is_answered) MUST_CHECK;
