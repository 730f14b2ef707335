/* llm/llm.h: the neutral dialogue, and what a provider must translate.
 *
 * A provider is two pure functions: dialogue -> request, stream event -> delta. All waiting,
 * retrying and counting is in llm/turn.c. A new provider is one file and a row in llm/providers.c.
 *
 * Memory    A dialogue lives in the arena of whoever builds it; translators borrow. */
#pragma once
#include "base/json.h"
#include "base/str.h"

/* ---- what is said ----------------------------------------------------------- */
struct llm_call {          /* the model asks for a tool */
    struct str id;         /* the provider's, or made by us when it gave none */
    struct str name;
    struct str arguments;  /* as it came; "" counts as "{}" */
    bool is_broken;        /* the arguments are not a JSON object */
    struct llm_call *next;
};
enum llm_role { LLM_USER, LLM_ASSISTANT, LLM_TOOL };
struct llm_message {
    enum llm_role role;
    struct str text;
    struct llm_call *calls;  /* ASSISTANT */
    struct str call_id;      /* TOOL: the call that this answers */
    struct llm_message *next;
};
struct llm_tool {
    struct str name, description;
    struct str parameters;   /* a JSON Schema object, as text */
    struct llm_tool *next;
};
struct llm_dialogue {
    struct str system;       /* empty = none */
    struct llm_message *messages, *last_message;
    struct llm_tool *tools;
    bool wants_json;         /* output_format json */
    struct str schema;       /* JSON text of output_schema, or empty; asks for JSON by itself */
    struct str effort;       /* "low medium high xhigh", or empty = leave it to the model */
    double temperature;      /* below 0: leave it to the model */
};

/* ---- what comes back --------------------------------------------------------- */
struct llm_usage {
    int64_t prompt_tokens, completion_tokens;
};
/* One event of a stream, translated. Texts are borrowed until the next event. A server may cut
 * between the bytes of one character, or between its two surrogates (then each stands here as
 * three bytes of its own): whoever collects the texts makes whole characters of them. */
enum { LLM_NO_CALL = -1, LLM_SOME_CALL = -2 };
struct llm_delta {
    struct str text, thought, refusal;
    int call_index;          /* LLM_NO_CALL: no piece of a call in it; LLM_SOME_CALL: the server did not say of which */
    struct str call_id, call_name, call_arguments;
    bool has_usage;
    struct llm_usage usage;
    struct str finish;       /* "stop", "tool_calls", "length", … or empty */
    bool is_end;             /* nothing follows ([DONE]) */
    struct str error;        /* the stream says that it failed: its sentence */
};
typedef void llm_delta_fn(void *arg, const struct llm_delta *);

/* ---- who is asked --------------------------------------------------------------- */
struct llm_translator;
struct llm_provider {        /* one row of llm/providers.c */
    const char *name;        /* as in the API: "openai" */
    const char *title;       /* for sentences: "OpenAI" */
    const char *base;        /* its address; null: the caller must name one */
    const char *model;       /* its default model */
    const struct llm_translator *translator; /* null: known, and not spoken yet */
    bool takes_effort;       /* the API has reasoning_effort */
    bool no_effort_with_tools; /* … but its newest models refuse it beside tools: see llm/openai.c */
    bool no_json_with_tools; /* refuses response_format beside tools */
};
struct llm_model {           /* everything that one call needs */
    const struct llm_provider *provider;
    struct str name;         /* of the model */
    struct str base;         /* http(s) URL */
    struct str key;          /* empty: call without one */
    struct str headers;      /* JSON object of further headers, or empty */
    bool is_operators;       /* the address comes from the operator: trusted by net/guard */
    int64_t tenant;          /* the organisation's number, for fair look-ups */
};
struct llm_translator {
    const char *path;        /* below the base: "chat/completions" */
    /* The body as JSON, streamed. */
    void (*request)(struct buf *, const struct llm_model *, const struct llm_dialogue *);
    /* `data` of one SSE event -> fn for each delta in it. ERR_UPSTREAM: not in the provider's form. */
    struct err (*event)(struct arena *, struct str name, struct str data, llm_delta_fn *, void *arg);
    /* A whole (not streamed) reply, for servers that ignore stream: true. */
    struct err (*whole)(struct arena *, struct json body, llm_delta_fn *, void *arg);
    /* The sentence in the body of an error reply ("" if there is none). */
    struct str (*failure)(struct arena *, struct json body);
};

extern const struct llm_translator llm_openai; /* Chat Completions: llm/openai.c */

/* The table; ends with a null name. */
extern const struct llm_provider llm_providers[];
const struct llm_provider *llm_provider_named(struct str name); /* null: unknown. "bedrock" is "amazon_bedrock" */
