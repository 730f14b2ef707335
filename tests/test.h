/* tests/test.h: the project's own thirty lines.
 *
 * TEST(name) is a sentence; it registers itself. CHECK says what was expected
 * and goes on to the next test. Run one: `make unit T=part_of_a_name`. */
#pragma once
#include <stdbool.h>
#include "base/arena.h"
#include "base/str.h"

struct test {
    const char *name, *file;
    void (*run)(void);
    struct test *next;
};
void test_register(struct test *);
void test_fail(const char *file, int line, const char *what) __attribute__((noreturn));

#define TEST(NAME)                                                              \
    static void test_##NAME(void);                                              \
    static struct test row_##NAME = {#NAME, __FILE__, test_##NAME, 0};          \
    __attribute__((constructor)) static void add_##NAME(void) { test_register(&row_##NAME); } \
    static void test_##NAME(void)
#define CHECK(expr) ((expr) ? (void)0 : test_fail(__FILE__, __LINE__, #expr))
#define CHECK_OK(expr)                                                       \
    do {                                                                     \
        struct err check_ = (expr);                                          \
        if (failed(check_)) test_fail(__FILE__, __LINE__, check_.what ? check_.what : #expr); \
    } while (0)
/* A fresh directory under $TMPDIR for the running test; removed when it passes. */
const char *test_dir(void);
/* An arena for the running test; freed after it. */
struct arena *test_arena(void);
