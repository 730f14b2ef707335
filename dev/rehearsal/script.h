/* dev/rehearsal/script.h: from a request to what will be said.
 *
 * A play is a list of small steps, made at once from the request and then
 * played as fast as the socket and the pace allow. Texts of steps lie in the
 * play's pool. A play owns its memory; play_free() gives it back. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "json.h"
#include "text.h"

enum step_kind {
    STEP_SAY,       /* a piece of the answer                               */
    STEP_STAMP,     /* the time as a word: microseconds since 1970         */
    STEP_THINK,     /* a piece of reasoning_content                        */
    STEP_REFUSE,    /* a piece of the refusal                              */
    STEP_CALL,      /* tool call `number` begins: text is the name         */
    STEP_ARGS,      /* a piece of its arguments                            */
    STEP_WAIT,      /* `number` milliseconds                               */
    STEP_GATE,      /* until somebody opens the gate named by the text     */
    STEP_STALL,     /* until the peer goes away                            */
    STEP_CUT,       /* half an event, then the end of the connection       */
    STEP_RESET,     /* the same with a TCP reset                           */
    STEP_HANG,      /* not even a status line                              */
    STEP_LONG,      /* slow talk without end, `number` ms between words    */
    STEP_FLOOD,     /* fast talk: `number` bytes, 0 = without end          */
    STEP_STATUS,    /* an error status instead of an answer                */
    STEP_HTML,      /* 200 and a page                                      */
    STEP_REDIRECT,  /* 302 to the text                                     */
    STEP_ERROR,     /* an error object inside the stream                   */
    STEP_RAW,       /* these bytes into the stream, as they are            */
    STEP_END,       /* finish reason, usage, [DONE]                        */
};

struct step {
    enum step_kind kind;
    int number;
    int extra;          /* STEP_STATUS: Retry-After in seconds, or -1 */
    size_t at, len;     /* its text, in the pool                      */
};

enum usage_kind { USAGE_AS_ASKED, USAGE_NULL, USAGE_NONE, USAGE_INLINE };

/* How the stream is written: everything legal that some server does. */
struct manner {
    bool crlf, comments, no_done, no_role, empty_choices, interleave, no_space;
    bool multiline, escape, until_close, no_call_id, object_args, no_index, bom, deaf, loop;
    enum usage_kind usage;
    long usage_in, usage_out;      /* -1: counted */
    int split_bytes, split_ms;
    int pace_ms;
    int delay_ms;
    char finish[32];
    char event[32];
    char tag[64];
};

struct play {
    struct text pool;
    struct step *steps;
    int count, room;
    struct manner manner;
    bool stream, include_usage, as_json;
    char model[128];
    long words_in;                 /* what the usage says was read */
};

/* The request as a directive sees it, for [[echo]]. */
struct heard {
    const char *method, *target;
    const char *head;              /* the header lines, as they came */
    size_t head_len;
    const char *body;
    size_t body_len;
};

/* Make the play for a request. `pace_ms` is the pace of plain talk. False
 * when the body is no JSON object with messages. */
bool play_make(struct play *play, const struct heard *heard, int pace_ms);
void play_free(struct play *play);

struct step *play_step(struct play *play, enum step_kind kind);
void play_text(struct play *play, enum step_kind kind, const char *data, size_t len);

/* The same, word by word, with the play's pace between the words. */
void play_words(struct play *play, enum step_kind kind, const char *data, size_t len);
void play_call(struct play *play, int index, const char *name, const char *args, size_t args_len);

/* ---- the dialogue, as read from the request ------------------------------ */

struct message {
    bool from_user, from_model, from_tool;
    struct text text;
    int node;
};

struct dialogue {
    struct json json;
    struct message *messages;
    int count;
    int last_user;                 /* index, or -1 */
    int answers_since;             /* the model's messages after it */
};

bool dialogue_read(struct dialogue *dialogue, const char *body, size_t len);
void dialogue_free(struct dialogue *dialogue);

/* The offered tool whose name fits `name` (a function name, or the name of an
 * agent as people write it): its own name is appended to `out`. */
bool dialogue_tool(const struct dialogue *dialogue, const char *name, size_t len, struct text *out);

/* Directives of one text: what was between them goes to `plain`. The manner is
 * filled from all of them; `part` says which part, between [[then]]s, is played.
 * True when that part says what to do. */
bool directives(struct play *play, const struct dialogue *dialogue, const struct heard *heard,
                const struct text *said, int part, struct text *plain);

/* What the model says of its own accord. */
void canned(struct play *play, const struct dialogue *dialogue, const char *plain, size_t len);
