/* tests/flow/program.h: programs that a play starts, and their ends.
 *
 * A program dies with the tests, whatever way they end. Everything here fails the running test
 * when it goes wrong; a play that takes longer than its time fails at the next wait. */
#pragma once
#include <sys/types.h>
#include "base/str.h"

struct program {
    pid_t pid;       /* 0: not running */
    int out;         /* its standard output, or -1 */
    char log[300];   /* the file that has its standard error */
};

/* Start `path` with the arguments (ended by null) and these variables ("NAME=value", ended by null; "NAME"
 * alone is taken away). Its standard error goes to the file `log`. */
void program_start(struct program *, const char *const *args, const char *const *variables, const char *log);
/* Its next line of output without the newline; null at the end. */
const char *program_line(struct program *);
/* Wait for its end: the exit status, or 128 + the signal. */
int program_wait(struct program *);
void program_signal(struct program *, int signal);
/* End it by force if it still runs. Harmless twice. */
void program_end(struct program *);

/* Run it to its end; what it wrote goes to the test's arena. */
struct outcome {
    int status;
    const char *out, *err;
};
struct outcome program_run(const char *const *args, const char *const *variables);

/* A program of this build: "agentd", "rehearsal". */
const char *program_path(const char *name);
/* A file's bytes in the test's arena; at = null when there is none. */
struct str file_bytes(const char *path);
const char *file_text(const char *path);
/* A blocking call was interrupted: the play's time is over. */
void check_time(void);
