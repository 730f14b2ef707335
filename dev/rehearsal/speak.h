/* dev/rehearsal/speak.h: a play, played: steps in, bytes of HTTP out.
 *
 * Pure: it knows no socket and no clock. The caller gives the time and sends
 * what stands in `out`. */
#pragma once
#include <stdint.h>
#include "script.h"

enum spoken {
    SPOKEN_MORE,      /* send what there is and call again           */
    SPOKEN_WAIT,      /* call again after `wait_ms`                  */
    SPOKEN_GATE,      /* call again when a gate has been opened      */
    SPOKEN_NEVER,     /* nothing more will come: wait for the peer   */
    SPOKEN_DONE,      /* the answer is whole; keep the connection    */
    SPOKEN_CLOSE,     /* send what there is, then close              */
    SPOKEN_RESET,     /* send what there is, then close with a reset */
};

struct speech {
    struct play play;
    int step;              /* the next one */
    long serial;           /* for ids */
    long created;
    bool head_sent, waited, delayed;
    bool keep_alive;       /* may the connection be used again? */
    int wait_ms;
    int words;             /* completion tokens so far */
    int calls;             /* tool calls begun */
    int64_t flooded;
    struct text out;
    /* Gathered when the answer is not streamed. */
    struct text content, thought, refusal, calls_json;
    bool call_open;
};

enum spoken speak(struct speech *speech);
void speech_free(struct speech *speech);

/* A whole reply with a body, as all routes but the model's use it. */
void speak_reply(struct text *out, int status, const char *type, const char *extra_head, const char *body,
                 size_t len, bool keep_alive);
