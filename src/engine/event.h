/* engine/event.h: the events of a stream, written (contract: decisions 5.1 and 5.3). Pure.
 *
 * event_open writes the `id:` line and the envelope up to `"data":`; the caller writes the data as JSON, and
 * event_close ends it. Private to engine/. */
#pragma once
#include "engine/position.h"
#include "model/entry.h"
#include "model/task.h"

struct event_of {             /* what all events of one task have in common */
    struct str task_id, organization_id;
};
void event_open(struct buf *, const struct position *, const char *type, const struct event_of *, int64_t at);
void event_close(struct buf *);

void event_task(struct buf *, const struct task *);   /* without the user's tokens */
void event_thought(struct buf *, struct str thought);
/* `outcome` null: the request; else the result. */
void event_call(struct buf *, const struct said_call *, const struct tool_outcome *outcome);
void event_trigger(struct buf *, const struct trigger *, const struct said_call *);
/* A line that readers skip. */
void event_heartbeat(struct buf *);
