/* model/tool.h: what is attached to an agent, and the views of it.
 *
 * Truth is one ordered list for each draft and version (agent.attachments, JSON). The target's
 * name and description are looked up when it is shown, so renaming it is no change here, and a target
 * that was deleted is left out of every view. Source nodes of a graph are kept verbatim in
 * the same list and are no attachments. */
#pragma once
#include "base/shape.h"

enum { ATTACHMENTS_MAX = 200, FUNCTION_NAME_BYTES_MAX = 64 };

struct attachment {
    struct str id;
    struct str target_id;     /* a sub-agent's id; empty for a source node */
    struct str targets, settings, llm_settings; /* of its graph item, as JSON */
    bool is_first;
    struct str verbatim;      /* a source node, as JSON */
};
struct attachments {
    struct attachment *items; /* with room for one more */
    int count;
};
/* agent.attachments and back. ERR_IO: not what was stored. */
struct err attachments_load(struct arena *, struct str stored, struct attachments *out) MUST_CHECK;
struct str attachments_store(struct arena *, const struct attachments *);
struct attachment *attachment_of(const struct attachments *, struct str target_id); /* null: none */
struct attachment *attachment_named(const struct attachments *, struct str id);

/* A sub-agent as a view needs it. */
struct tool_target {
    bool is_there; /* false: deleted */
    struct str name, description;
};
/* AgentTool[] and GraphItem[] as JSON; targets[i] belongs to items[i]. At = null: no memory. */
struct str attachments_tools(struct arena *, const struct attachments *, const struct tool_target *);
struct str attachments_graph(struct arena *, const struct attachments *, const struct tool_target *);

/* The shapes behind them. */
struct agent_tool {
    struct str id, type, name, connection_id, operation_id, operation_name, custom_function_id, mcp_id, allowed_tools,
        target_id, method, path, description, parameters;
};
extern const struct shape agent_tool_shape;
struct graph_item {
    struct str id, item_id, name;
    int type;
    struct str sub_type, targets, settings, llm_settings;
    bool is_first;
};
extern const struct shape graph_item_shape, graph_item_in_shape;

/* An update's `graph` against what is attached: the new list, without looking at targets. An item whose id
 * is an attachment's keeps it, any other gets one from new_id; the same target twice is one item. */
struct attachments graph_apply(struct arena *, struct str graph, const struct attachments *old,
                               struct str (*new_id)(struct arena *));

/* The JSON Schema of a sub-agent's arguments: {query, files}. */
extern const char tool_parameters[];
/* "agent_<slug of name>": at most FUNCTION_NAME_BYTES_MAX of [a-z0-9_], numbered from _2 when taken. `taken` are the names
 * given so far. */
struct str tool_function_name(struct arena *, struct str agent_name, const struct str *taken, int taken_count);
