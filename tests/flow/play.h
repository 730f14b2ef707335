/* tests/flow/play.h: a scripted model, a server and clients on one page.
 *
 * FLOW(name) is a test that gets a play. Its server is the one that all plays share, started by
 * the first that speaks to it, unless the play asks for one of its own (with settings, to stop
 * or kill it, to look into its files). Each play has an organisation of its own and a tag under
 * which the model counts its requests; nothing else keeps plays apart, and nothing needs to. */
#pragma once
#include "flow/client.h"
#include "flow/program.h"
#include "test.h"

enum { SETTINGS_MAX = 24 };
struct served {
    struct program program;
    const char *data;               /* its data directory */
    int port;
    char address[64];               /* "127.0.0.1:PORT" */
    const char *variables[SETTINGS_MAX + 8];
    const char *said;               /* the line that told the address */
};
struct play {
    const char *name;
    char tag[24];
    struct served *server;          /* null: nobody has spoken yet */
    struct served own;
    const char *org, *key, *key_id; /* null until first needed */
    const char *other_key;          /* of another organisation */
    struct client *clients;
};

#define FLOW(NAME)                                      \
    static void flow_##NAME(struct play *);             \
    TEST(NAME)                                          \
    {                                                   \
        flow_##NAME(play_begin(#NAME));                 \
        play_end();                                     \
    }                                                   \
    static void flow_##NAME(struct play *play __attribute__((unused)))

struct play *play_begin(const char *name);
void play_end(void);
/* This play may take longer than the minute that guards against hanging. */
void play_takes(struct play *, int seconds);

/* ---- the server ---------------------------------------------------------------
 * Settings: "HEARTBEAT_MS=20 BODY_MAX=4096" become AGENTD_HEARTBEAT_MS=20 and so on; "" is none. */
void serve_own(struct play *, const char *settings);   /* start it on a fresh directory */
void serve_stop(struct play *);                        /* SIGTERM; it must exit with 0 */
void serve_kill(struct play *);                        /* SIGKILL */
void serve_start(struct play *, const char *settings); /* again, on the same directory */
const char *serve_log(struct play *);
long serve_memory_kb(struct play *);                   /* resident now */
int serve_descriptors(struct play *);                  /* open now */
struct outcome agentd(struct play *, const char *first, ...) __attribute__((sentinel)); /* run it with these arguments */
/* A key of a new organisation on this play's server: {"organization_id","key_id","key"}. */
struct json key_create(struct play *, const char *org);

/* ---- the model ---------------------------------------------------------------- */
/* "requests=1&open=0": until the model counted so many under this play's tag, or fail. */
#define model_waits(play, want) model_waits_at((play), (want), __FILE__, __LINE__)
void model_waits_at(struct play *, const char *want, const char *file, int line);
long model_count(struct play *, const char *counter);  /* of /stats: "requests", "open", "bytes_after_mark" */
void model_mark(struct play *);
void model_gate(struct play *, const char *name);      /* open the gate that scripts call "$name" */
struct json model_heard(struct play *);                /* the last request, as [[echo]] says it */
const char *model_address(void);                       /* "127.0.0.1:PORT" */

/* A script under the play's tag; $ stands for the tag in names of gates. */
const char *script(struct play *, const char *directives);
/* The body of an invoke: {"input":{"text":<script>}} and more keys ('id':'x'), or "". */
const char *says(struct play *, const char *directives, const char *more);
/* The same with the text as it stands. */
const char *asks(const char *text, const char *more);

/* ---- short cuts ---------------------------------------------------------------- */
/* A new agent; `more` are further keys of its body. Returns its id. */
const char *agent_of(struct client *, const char *more);
/* A task as GET says it; its status must be 200. */
void looks_at(struct client *, const char *task);
/* A dice that falls the same way on every machine. */
uint64_t dice(uint64_t *state);
const char *json_quoted(const char *text);              /* with the quotes */

/* ---- the data directory -------------------------------------------------------- */
/* How many files under the directory contain the text; the last one's path in *where if not null. */
int files_with(const char *directory, const char *text, const char **where);
int files_with_bytes(const char *directory, struct str bytes, const char **where);
void copy_directory(const char *from, const char *to);
/* Statements for a database that nobody has open. */
void edit_rows(const char *database, const char *sql);
/* The first column of the first row; "" when there is none. */
const char *row_text(const char *database, const char *sql);
/* Nobody else writes into it: the server's commits wait (for some seconds at most). */
void *lock_rows(const char *database);
void unlock_rows(void *lock);
