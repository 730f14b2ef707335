#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "crash.h"
#include "store/power.h"

int agentd_main(int argc, char **argv); /* src/main.c, renamed */

const char *const death_words[] = {"none", "kill", "cut-none", "cut-all", "cut-some", "cut-torn"};
struct child child = {.out = -1};
static struct shared { /* with the child */
    _Atomic int64_t steps;
    _Atomic bool has_died; /* as planned; what a cut left is whole */
} *shared;

int64_t child_steps(void) { return shared->steps; }
bool child_has_died(void) { return shared->has_died; }

/* In the child, on whichever thread writes. */
static void at_step(void *arg, int64_t step)
{
    struct plan *plan = arg;
    shared->steps = step;
    if (plan->kind == DEATH_NONE || step != plan->step) return;
    if (plan->kind != DEATH_KILL) {
        struct world *left = power_cut((enum power_left)(plan->kind - DEATH_CUT_NONE), plan->seed);
        world_write(left, child.image);
    }
    shared->has_died = true;
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Only the three standard streams; dies with us. */
static void become_child(int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int in = open("/dev/null", O_RDONLY), log = open(child_log(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(in, 0);
    dup2(out, 1);
    dup2(log, 2);
    for (int fd = 3; fd < 256; fd++) close(fd);
    setenv("OPENAI_BASE_URL", f("http://127.0.0.1:%d/v1", peer_model_port()), 1);
    setenv("OPENAI_API_KEY", "operator", 1);
}

static char *z(const char *text) { return (char *)(uintptr_t)text; }

static void be_server(const char *from, int out)
{
    become_child(out);
    char *arguments[] = {z("agentd"), z("serve"), z("--listen"), z("127.0.0.1:0"), z("--data"), z(f("%s/data", child.top)),
                         z("--pool-slots"), z("64"), z("--checkpoint-pages"), z("100"), z("--erase-rows-max"), z("100"),
                         z("--retry-first-ms"), z("1"), z("--heartbeat-ms"), z("600000"),
                         z("--stop-grace-ms"), z("20"), z("--runs-max"),
                         z(f("%d", child.plan.runs_max ? child.plan.runs_max : 10000)), NULL};
    struct world *world = world_read(from);
    power_on(child.top, world, NULL, NULL);
    world_free(world);
    power_each_step(at_step, &child.plan);
    int code = agentd_main((int)(sizeof arguments / sizeof arguments[0]) - 1, arguments);
    fflush(stdout);
    _exit(code);
}

void child_start(const char *top, const char *from, const struct plan *plan)
{
    if (!shared) shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared->steps = 0;
    shared->has_died = false;
    buf_free(&child.said);
    child = (struct child){.out = -1, .plan = *plan};
    snprintf(child.top, sizeof child.top, "%s", top);
    snprintf(child.image, sizeof child.image, "%s.cut", top);
    if (mkdir(child.top, 0700) || mkdir(child.image, 0700)) trouble("no directory %s", top);
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC)) trouble("no pipe");
    fflush(stdout);
    child.pid = fork();
    if (child.pid == 0) be_server(from, pipes[1]);
    if (child.pid < 0) trouble("no child");
    close(pipes[1]);
    child.out = pipes[0];
}

bool child_is_alive(void)
{
    if (child.is_dead || child.pid <= 0) return false;
    if (waitpid(child.pid, &child.status, WNOHANG) != child.pid) return true;
    child.is_dead = true;
    return false;
}

void child_hears(void)
{
    char piece[512];
    ssize_t got = read(child.out, piece, sizeof piece);
    if (got <= 0) {
        close(child.out);
        child.out = -1;
        return;
    }
    buf_add(&child.said, piece, (size_t)got);
    buf_add(&child.said, "", 1);
    const char *at = strstr(child.said.at, "listening on http://127.0.0.1:");
    child.said.count--;
    if (!at || !strchr(at, '\n')) return;
    child.port = atoi(strrchr(at, ':') + 1);
    child.is_up = true;
}

static void child_ends(void)
{
    if (!child.is_dead && waitpid(child.pid, &child.status, 0) == child.pid) child.is_dead = true;
    if (child.out >= 0) close(child.out);
    child.out = -1;
}

void child_kill(void)
{
    if (child.pid > 0 && !child.is_dead) kill(child.pid, SIGKILL);
    if (child.pid > 0) child_ends();
}

void child_stop(void)
{
    child.is_stopping = true;
    kill(child.pid, SIGTERM);
    for (int64_t until = now_ms() + 30000; pump(5);)
        if (now_ms() > until) trouble("it does not stop");
    child_ends();
    if (child.status != 0 && !shared->has_died) trouble("stopped, the server ended with %x", (unsigned)child.status);
}

const char *child_left(void)
{
    return child.plan.kind >= DEATH_CUT_NONE && shared->has_died ? child.image : child.top;
}

const char *child_command(const char *data, const char *verb, const char *noun)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC)) trouble("no pipe");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        become_child(pipes[1]);
        char *arguments[] = {z("agentd"), z("key"), z(verb), z("--org"), z(noun), z("--data"), z(data), NULL};
        int code = agentd_main(7, arguments);
        fflush(stdout);
        _exit(code);
    }
    close(pipes[1]);
    char *said = arena_alloc(test_arena(), 4096);
    for (ssize_t count = 0, got; (got = read(pipes[0], said + count, (size_t)(4095 - count))) > 0;) count += got;
    close(pipes[0]);
    int status;
    waitpid(pid, &status, 0);
    if (status) trouble("agentd key ended with %x", (unsigned)status);
    return said;
}
