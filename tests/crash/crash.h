/* tests/crash/crash.h: agentd dies at any write, and one who remembers all that it promised looks after it.
 *
 * The server is the whole of main.c in a forked child, with the disk of tests/store/power.h under it: at a
 * chosen write or sync the child kills itself, or leaves behind what a power cut would have left. The parent is
 * client and model in one loop over sockets of the loopback: it makes a scripted life, writes down what was
 * answered, and after each start holds the server against it.
 *
 *   child.c    the child and its death       model.c   what is said, and how often it was asked
 *   peer.c     sockets and one poll          life.c    acts, and what was promised
 *   stream.c   what a follower heard         look.c    after a start, at rest, and on the disk
 *   crash.c    histories and points
 *
 * In a CHECK that fails, all that is needed to see it again has been printed by trouble(). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/json.h"
#include "base/str.h"
#include "test.h"

uint64_t dice(uint64_t sides); /* of the history that runs now */
extern uint64_t dice_seed;
/* Print what it is about, and fail. */
void trouble(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
const char *f(const char *format, ...) __attribute__((format(printf, 1, 2))); /* in the test's arena */
int64_t now_ms(void);

/* ---- child.c -------------------------------------------------------------------- */

enum death { DEATH_NONE, DEATH_KILL, DEATH_CUT_NONE, DEATH_CUT_ALL, DEATH_CUT_SOME, DEATH_CUT_TORN, DEATH_KINDS };
extern const char *const death_words[];
struct plan {
    enum death kind;
    int64_t step;     /* at this write or sync, before it takes effect */
    uint64_t seed;    /* of what a cut leaves */
    int runs_max;     /* 0: the normal one */
};
struct child {
    pid_t pid;
    int out, port, status;
    bool is_up, is_dead, is_broken_off, is_stopping;
    struct plan plan;
    char top[200], image[200]; /* its directory; what a cut left of it */
    struct buf said;
};
extern struct child child;
void child_start(const char *top, const char *from, const struct plan *);
bool child_is_alive(void);        /* looks */
void child_hears(void);           /* its standard output is readable */
int64_t child_steps(void);
bool child_has_died(void);         /* as planned */
void child_kill(void);
/* SIGTERM; it must end with 0, unless it dies as planned. Our lines go on meanwhile. */
void child_stop(void);
const char *child_left(void);     /* where the next one begins */
const char *child_log(void);      /* the path */
/* `agentd key VERB --org NAME` on a directory: what it printed. */
const char *child_command(const char *data, const char *verb, const char *org);

/* ---- peer.c --------------------------------------------------------------------- */

struct line { /* one request of ours and its answer */
    int fd;
    struct buf in, body;
    int status;               /* 0: no head yet */
    long left;                /* of the body, or of the chunk; below 0: see peer.c */
    bool is_chunked, has_head, is_whole, is_over; /* over: whole, or cut off */
    void (*hears)(struct line *); /* more of the body came, or it is over */
    void *of;
    int what, turn;           /* life.c's */
    struct line *next;
};
void peer_open(void);
int peer_model_port(void);
void peer_close(void); /* all lines, and what the model had open */
extern const char *peer_key;
struct line *line_open(const char *method, const char *target, const char *headers, const char *body,
                       void (*hears)(struct line *), void *of);
/* One round of the loop. False: the server is dead, and everything it said has been heard. */
bool pump(int ms);
bool peer_is_quiet(void); /* nothing that was asked is open */
/* Ask and wait; the status, or 0: it died meanwhile. The answer is kept until the next call. */
int ask(const char *method, const char *target, const char *body);
struct json answer_json(void);
const char *text_of(struct json, const char *name); /* "" when it is no text */

/* ---- model.c -------------------------------------------------------------------- */

enum { STEPS = 6, PLAN_BYTES = 8, LABEL_BYTES = 48 };
struct label { /* one turn of one task, by the text that it was asked with */
    char name[LABEL_BYTES], plan[PLAN_BYTES];
    int asked[STEPS], asked_in[STEPS]; /* how often; in which life of the server last */
    int highest;                       /* step */
    bool is_closed, may_end;  /* may_end: a sub-task that somebody stopped or deleted */
    char why[24];
};
void model_forget(void);
struct label *model_label(const char *name); /* null: it was never asked */
/* Whoever asks for it, or below it, from now on does a thing twice. */
void model_close(const char *name, const char *why);
int model_calls(const char *plan);           /* how many sub-tasks a turn of this plan makes */
const char *model_said(const struct label *, int step, int attempt);
const char *model_answer(const struct label *); /* its last word, as it was said last */
extern bool model_holds;  /* may answers be held back? */
void model_release(void); /* those that are */
extern int generation;    /* which life of the server */
struct talker;            /* a connection to the model */
struct talker *talker_new(int fd);
int talker_fd(const struct talker *);
bool talker_hears(struct talker *); /* false: it is gone */
void talker_goes_on(struct talker *); /* once a round */
void talker_free(struct talker *);
struct talker *talker_next(const struct talker *);
void talker_link(struct talker *, struct talker *next);

/* ---- life.c --------------------------------------------------------------------- */

enum { TASKS = 40, TURNS = 5, AGENTS = 8 };
enum known { NEVER, UNKNOWN, KNOWN };
struct turn {
    char label[LABEL_BYTES], plan[PLAN_BYTES];
    enum known known;
    int refused;              /* with this status; 0: it was just not there after a crash */
    bool may_stop, is_over;   /* stopping was asked; stopping was answered */
    const char *status, *result; /* announced; "" and null */
};
struct task {
    char id[16];
    int agent;
    struct turn turns[TURNS];
    int turns_count;
    bool delete_asked, is_gone, is_erased; /* for everybody; and its keys too */
    bool is_replaced;         /* a later task has its id */
    int stopping_in;          /* the life in which a stop was asked and not answered; what comes meanwhile may end too */
    bool has_lost;            /* a sub-task of it was deleted by itself */
};
struct agent {
    char id[64];
    bool is_there, delete_asked, is_gone;
};
extern struct task tasks[TASKS];
extern int tasks_count, agents_count;
extern struct agent agents[AGENTS];
enum { CHILDREN = 64 };
struct child_task { /* a sub-task that was deleted by itself */
    char id[64];
    int root;        /* of tasks */
    bool is_gone;
};
extern struct child_task children[CHILDREN];
extern int children_count;
void life_begin(void);
void life_agents(void);  /* the three that stay; before the first history */
void life_acts(int count);
bool task_is_known(const struct task *);
bool turn_is_open(const struct turn *);
void task_goes(struct task *, const char *why); /* it is deleted for good */
void announce(struct turn *, const char *status, const char *result);

/* ---- stream.c ------------------------------------------------------------------- */

void streams_forget(void);
void stream_open_invoke(int task, int turn, const char *body);
void stream_open_task(int task);
/* Those that were cut, from where they were. `is_last`: nothing new is asked from here on. */
void streams_again(bool is_last);
void streams_compare(void); /* at rest, with what one hears who reads the whole */

/* ---- look.c --------------------------------------------------------------------- */

/* Each gives false when the server died under it. */
bool look_after_start(void);
bool look_at_rest(void);
void keys_forget(void);
void keys_note(const char *data); /* which key seals which task now */
void keys_are_gone(const char *data, const char *when);
void look_on_disk(const char *data);
