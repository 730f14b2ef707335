#include "test.h"
#include "io/fiber.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct test *tests;
static jmp_buf out;
static char dir[256];
static struct arena arena;

void test_register(struct test *t)
{
    t->next = tests;
    tests = t;
}

void test_fail(const char *file, int line, const char *what)
{
    printf("  %s:%d: %s\n", file, line, what);
    longjmp(out, 1);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

const char *test_dir(void)
{
    if (!dir[0]) {
        const char *top = getenv("TMPDIR");
        snprintf(dir, sizeof dir, "%s/agentd-test-XXXXXX", top ? top : "/tmp");
        if (!mkdtemp(dir)) abort();
    }
    return dir;
}

struct arena *test_arena(void) { return &arena; }

static bool run_one(struct test *t)
{
    volatile bool passed = false;
    if (setjmp(out) == 0) {
        t->run();
        passed = true;
    } else if (!fiber_test_abandon()) {
        printf("FAIL %s, inside a fiber: the rest is not run\n", t->name);
        _exit(1);
    }
    if (dir[0] && passed) nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    dir[0] = 0;
    arena_free(&arena);
    return passed;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int n_passed = 0, n_failed = 0;
    for (struct test *t = tests; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1])) continue;
        bool passed = run_one(t);
        printf("%s %s\n", passed ? "ok  " : "FAIL", t->name);
        if (passed) n_passed++; else n_failed++;
    }
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed != 0 || n_passed == 0;
}
