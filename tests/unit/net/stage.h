/* tests/unit/net/stage.h: one client, one far side, and callers on fibers of their own. */
#pragma once
#include "io/scope.h"
#include "io/wait.h"
#include "net/client.h"
#include "far.h"
#include "test.h"

struct stage {
    struct client *client;
    struct far far;
    struct ctx inner; /* of the callers' scope */
    struct scope scope;
    int descriptors; /* before the play began */
};
struct caller {
    struct stage *stage;
    struct outgoing out;
    struct guard_address address;
    char url[200];
    int64_t silence_ms;
    bool holds_back, is_let_go; /* read the body only when let go */
    struct gate go;
    struct scope scope;         /* to cancel this caller alone */
    struct buf body;
    int status;
    bool has_head, was_silent, is_back, is_over; /* back: closed; over: its scope is, too */
    struct err outcome;
    char what[300];
};

/* A GET of /x at the far side, unless the test changes it before it goes. */
void calls(struct caller *, struct stage *);
void call_to(struct caller *, struct stage *, const char *scheme, const char *host, int port);
void goes(struct caller *);
void ends(struct ctx *, struct caller *);
void is_fine(struct ctx *, struct caller *, const char *body);
void fails_beginning(struct ctx *, struct caller *, enum err_code, const char *what);
void fails_with(struct ctx *, struct caller *, enum err_code, const char *what);
void is_cancelled(struct ctx *, struct caller *); /* at once, its socket closed, and nothing read any more */
void answers(struct ctx *, struct far *, const char *body);
int descriptors_open(void);

struct play {
    void (*run)(struct ctx *, struct stage *);
    const char *authorities, *proxy;
};
/* Descriptors and transfers are as many afterwards as before. */
void play_with(const struct play *);
void play(void (*run)(struct ctx *, struct stage *));
