#include "flow/program.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "test.h"

extern char **environ;

void check_time(void)
{
    if (errno == EINTR) test_fail(__FILE__, __LINE__, "the play took too long: it hangs");
}

const char *program_path(const char *name)
{
    const char *build = getenv("AGENTD_BUILD");
    return arena_printf(test_arena(), "%s/%s", build ? build : "build/gcc-debug", name);
}

static void set_variables(const char *const *variables)
{
    for (; variables && *variables; variables++) {
        const char *equals = strchr(*variables, '=');
        char name[128];
        size_t count = equals ? (size_t)(equals - *variables) : strlen(*variables);
        if (count >= sizeof name) _exit(126);
        memcpy(name, *variables, count);
        name[count] = 0;
        if (equals) setenv(name, equals + 1, 1);
        else unsetenv(name);
    }
}

/* In the child: dies with the tests, has a standard input that is empty. */
static void become(const char *const *args, const char *const *variables, int out, const char *log)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(126);
    int in = open("/dev/null", O_RDONLY), err = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (in < 0 || err < 0) _exit(126);
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    for (int fd = 3; fd < 64; fd++) close(fd);
    signal(SIGPIPE, SIG_DFL);
    set_variables(variables);
    execv(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

void program_start(struct program *program, const char *const *args, const char *const *variables, const char *log)
{
    int pipes[2];
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    snprintf(program->log, sizeof program->log, "%s", log);
    program->pid = fork();
    CHECK(program->pid >= 0);
    if (program->pid == 0) become(args, variables, pipes[1], log);
    close(pipes[1]);
    program->out = pipes[0];
}

const char *program_line(struct program *program)
{
    struct buf line = {0};
    for (;;) {
        char c;
        ssize_t got = read(program->out, &c, 1);
        if (got < 0) check_time();
        if (got <= 0 || c == '\n') {
            if (got <= 0 && line.count == 0) return 0;
            const char *text = str_z(test_arena(), buf_str(&line));
            buf_free(&line);
            return text;
        }
        buf_add(&line, &c, 1);
    }
}

int program_wait(struct program *program)
{
    int status;
    CHECK(program->pid > 0);
    while (waitpid(program->pid, &status, 0) < 0) check_time();
    program->pid = 0;
    if (program->out >= 0) close(program->out);
    program->out = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void program_signal(struct program *program, int number)
{
    CHECK(program->pid > 0 && kill(program->pid, number) == 0);
}

void program_end(struct program *program)
{
    if (program->pid <= 0) return;
    kill(program->pid, SIGKILL);
    while (waitpid(program->pid, 0, 0) < 0 && errno == EINTR)
        ;
    close(program->out);
    program->pid = 0;
    program->out = -1;
}

struct str file_bytes(const char *path)
{
    struct buf bytes = {0};
    char part[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return (struct str){0};
    for (ssize_t got; (got = read(fd, part, sizeof part)) > 0;) buf_add(&bytes, part, (size_t)got);
    close(fd);
    struct str kept = str_copy(test_arena(), buf_str(&bytes));
    buf_free(&bytes);
    return kept;
}

const char *file_text(const char *path) { return file_bytes(path).at; }

struct outcome program_run(const char *const *args, const char *const *variables)
{
    static int serial;
    struct program program = {.out = -1};
    struct outcome outcome;
    char log[300];
    const char *top = getenv("TMPDIR");
    snprintf(log, sizeof log, "%s/agentd-flow-%d-%d.err", top ? top : "/tmp", (int)getpid(), serial++);
    program_start(&program, args, variables, log);
    struct buf out = {0};
    for (const char *line; (line = program_line(&program));) buf_addf(&out, "%s\n", line);
    outcome.status = program_wait(&program);
    outcome.out = str_z(test_arena(), buf_str(&out));
    outcome.err = file_text(log);
    buf_free(&out);
    unlink(log);
    return outcome;
}
