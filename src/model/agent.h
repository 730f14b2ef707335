/* model/agent.h: what an agent is: one struct, one table of fields, and its rules.
 *
 * The same rows read a create and an update, write the reply, and keep a draft or a version as
 * JSON (shape_store). What is not kept there is computed when an agent is shown (agent_show), or a
 * column of its own: status, version and times.
 *
 * Credentials are no part of the content: in it the mask stands for each, so that what is shown
 * needs no cutting, every version uses the newest value, and changing one is no pending change. The
 * values are in struct agent_secret; agent_hide() parts the two, agent_key() and agent_headers() join them.
 *
 * Memory    Everything is borrowed from the arena that it was read into. */
#pragma once
#include "base/shape.h"

enum agent_status { AGENT_DRAFT, AGENT_ACTIVE, AGENT_INACTIVE };
enum agent_type { AGENT_MANAGER, AGENT_REGULAR, AGENT_A2A, AGENT_CURL, AGENT_ORCHESTRATION };
enum agent_format { FORMAT_TEXT, FORMAT_MARKDOWN, FORMAT_JSON, FORMAT_VOICE };
extern const char *const agent_status_words[], *const agent_type_words[], *const format_words[];
extern const char *const effort_words[];   /* low medium high xhigh */
extern const char *const provider_words[]; /* every name of the API; "bedrock" is read as amazon_bedrock */
#define MASK "********"

struct instructions {
    struct str role, goal; /* JSON lists of strings */
    struct str general;
};
struct credentials {
    bool is_there;
    struct str name, description;
    struct str value; /* from a request: as given; in the content: the mask */
};
struct agno_settings { /* kept for workers built on the SDK; agentd acts on tool_call_limit alone */
    bool session_storage, learning, agent_memories, agentic_culture, user_memories, agentic_memory, session_summaries;
    int64_t num_history_runs, max_tool_calls_from_history, tool_call_limit;
    bool coordinate_mode, pii_detection_enabled, pii_detection_mask, prompt_injection_detection_enabled,
        openai_moderation_enabled;
    struct str openai_moderation_categories; /* at = null: null */
    bool reasoning_tools_enabled;
    struct tool_calls_compression {
        bool enabled;
        int64_t threshold;
        struct str instructions;
    } tool_calls_compression;
};
struct agent {
    struct str id, organization_id;
    struct str name, unique_name, description, icon, avatar;
    int type, status, deployment_type, access_scope; /* indices of words */
    struct str environment_id;
    int framework;
    struct str model_provider, model_name;           /* empty while a create has not said */
    int llm_reasoning_effort;
    struct str llm_api_base;
    struct credentials llm_credentials;
    struct str llm_credentials_key;
    int llm_credentials_key_type;
    struct str llm_extra_headers;                    /* JSON object of texts */
    struct str llm_settings;
    struct instructions instructions;
    struct str tools, graph;                         /* JSON lists: the views; in an update `graph` is what was sent */
    struct str attached_tools, knowledge_bases, knowledge_base_ids;
    struct str source_nodes, source_node_types;
    int output_format;
    struct str output_schema, voice_id, expected_output;
    struct agno_settings agno_settings;
    bool deep_planning, enforce_deep_planning, using_nemo;
    struct str connectivity_details, notification_settings, oas;
    struct str orchestration_nodes, task_level_strategies;
    int delegation_type, delegation_end_strategy, delegation_memory_strategy;
    bool sub_agents_continuous_thread, on_prem_event_streaming, deletable;
    bool workspace_tools_enabled, can_self_schedule, live_surface_sharing_enabled, use_dynamic_tools,
        with_auto_context_management;
    bool is_ai_employee, is_generalist, prompts_caching_enabled, use_oidc_pre_auth, use_oidc_pre_auth_token_for_llm;
    struct str pre_auth_audiences, prompts;
    struct str oidc_pre_auth_token_llm_audience, oidc_pre_auth_token_mcp_audience;
    struct str created_by_prompt, origin_template;
    bool is_coordinate_mode;
    int64_t version;
    bool is_latest, has_pending_changes;
    struct str webhook_url;
    int64_t created_at;
    struct str created_by, created_by_details;

    /* Never shown. */
    struct str attachments;       /* JSON list: model/tool.h; part of the content */
    struct str agent_id;          /* of an update */
    bool should_reset_graph;      /* of an update */
    bool (*speaks)(struct str provider); /* set before a request is read: has this provider a translator? */
};
extern const struct shape agent_shape;
const struct shape *agent_item_shape(void); /* AgentListItem: some rows of agent_shape, in its own order */

/* Before a create or an update is read. `speaks` as above. */
void agent_begin(struct arena *, struct agent *out, bool (*speaks)(struct str provider));

/* ---- credentials -------------------------------------------------------------- */
struct agent_secret {
    struct str key;        /* of llm_credentials; empty = none */
    struct str headers;    /* JSON object: the values of those llm_extra_headers that are secret */
    struct str auth_value; /* of connectivity_details */
};
extern const struct shape agent_secret_shape;
/* Move what a request brought from the agent to the secret, and leave masks. A mask in the request keeps what the
 * secret had. True: the secret has changed. */
bool agent_hide(struct arena *, struct agent *, struct agent_secret *);
/* For a call of the model: the key (empty: none), and all headers as a JSON object. */
struct str agent_key(const struct agent *, const struct agent_secret *);
struct str agent_headers(struct arena *, const struct agent *, const struct agent_secret *);
bool header_is_secret(struct str name);

/* ---- showing and keeping --------------------------------------------------------- */
/* Computed fields that follow from the content: is_coordinate_mode, source_node_types. */
void agent_show(struct arena *, struct agent *);
/* An empty description gets the first sentence of the instructions: at a deploy. */
void agent_describe(struct arena *, struct agent *);
/* The content as JSON; equal texts are equal contents. At = null: no memory. */
struct str agent_content(struct arena *, const struct agent *);
/* Back again. ERR_IO. */
struct err agent_load(struct arena *, struct str content, struct agent *out) MUST_CHECK;

/* `temperature` of the first `before` item of llm_settings; below 0: none. */
double agent_temperature(struct arena *, const struct agent *);

/* "brave-otter": `random` chooses. */
struct str agent_slug(struct arena *, uint64_t random);
