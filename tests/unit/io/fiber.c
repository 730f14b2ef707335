#include "test.h"
#include "io/fiber.h"
#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[64];
static size_t said_count;
static void say(char c) { said[said_count++] = c; said[said_count] = 0; }

static void says_two(void *arg)
{
    const char *letters = arg;
    say(letters[0]);
    fiber_park();
    say(letters[1]);
}

TEST(a_fiber_goes_on_where_it_parked)
{
    said_count = 0;
    struct fiber *a = fiber_new(says_two, "ab"), *b = fiber_new(says_two, "xy");
    CHECK(a && b && fiber_count() == 2);
    fiber_resume(a);
    fiber_resume(b);
    say('-');
    fiber_resume(a);
    CHECK(fiber_has_ended(a) && !fiber_has_ended(b));
    fiber_resume(b);
    CHECK(fiber_has_ended(b));
    CHECK(str_is(str(said), "ax-by"));
    fiber_free(a);
    fiber_free(b);
    CHECK(fiber_count() == 0 && !fiber_self());
}

static void resumes_another(void *arg)
{
    struct fiber *inner = arg;
    say('(');
    fiber_resume(inner);
    say('|');
    fiber_resume(inner);
    say(')');
}

TEST(a_fiber_may_resume_another)
{
    said_count = 0;
    struct fiber *inner = fiber_new(says_two, "ab"), *outer = fiber_new(resumes_another, inner);
    fiber_resume(outer);
    CHECK(str_is(str(said), "(a|b)"));
    CHECK(fiber_has_ended(inner) && fiber_has_ended(outer));
    fiber_free(inner);
    fiber_free(outer);
}

/* What the compiler keeps in registers and in the control words survives the others' work. */
static void computes(void *arg)
{
    long *sum = arg, a = 1, b = 2, c = 3, d = 4, e = 5;
    for (int i = 0; i < 100; i++) {
        a += i, b += a, c += b, d += c, e += d;
        fiber_park();
    }
    *sum = a ^ b ^ c ^ d ^ e;
}

TEST(fibers_do_not_disturb_each_others_registers)
{
    long sums[3] = {0};
    struct fiber *fibers[3];
    for (int i = 0; i < 3; i++) fibers[i] = fiber_new(computes, &sums[i]);
    for (int turn = 0; turn <= 100; turn++)
        for (int i = 0; i < 3; i++) fiber_resume(fibers[i]);
    for (int i = 0; i < 3; i++) {
        CHECK(fiber_has_ended(fibers[i]));
        fiber_free(fibers[i]);
    }
    CHECK(sums[0] != 0 && sums[0] == sums[1] && sums[1] == sums[2]);
}

/* 1/3 lies between two doubles; SSE computes, and fegetround() asks the x87. */
static bool rounds(int direction)
{
    volatile double one = 1.0, three = 3.0, third = one / three;
    bool is_up = third > 0x1.5555555555555p-2;
    return fegetround() == direction && is_up == (direction == FE_UPWARD);
}
static void rounds_upward(void *arg)
{
    bool *is_kept = arg;
    *is_kept = rounds(FE_TONEAREST);
    fesetround(FE_UPWARD);
    fiber_park();
    *is_kept &= rounds(FE_UPWARD);
}

TEST(each_fiber_has_its_own_way_of_rounding)
{
    bool is_kept = false;
    struct fiber *f = fiber_new(rounds_upward, &is_kept);
    fiber_resume(f);
    CHECK(rounds(FE_TONEAREST) && is_kept);
    fiber_resume(f);
    CHECK(rounds(FE_TONEAREST) && is_kept && fiber_has_ended(f));
    fiber_free(f);
}

static void is_myself(void *arg)
{
    struct fiber **self = arg;
    *self = fiber_self();
}

TEST(a_fiber_knows_itself_its_note_and_its_argument)
{
    struct fiber *seen = NULL, *f = fiber_new(is_myself, &seen);
    CHECK(fiber_arg(f) == &seen && !fiber_note_of(f));
    fiber_note(f, "lunch");
    CHECK(str_is(str(fiber_note_of(f)), "lunch"));
    fiber_resume(f);
    CHECK(seen == f);
    fiber_free(f);
}

TEST(a_fiber_that_never_ran_can_be_freed)
{
    struct fiber *f = fiber_new(says_two, "ab");
    fiber_free(f);
    CHECK(fiber_count() == 0);
}

static void frees_nothing(void *arg) { (void)arg; }

TEST(a_stack_is_lent_again_until_the_pool_is_trimmed)
{
    fiber_pool_trim(0);
    struct fiber *first = fiber_new(frees_nothing, NULL);
    fiber_resume(first);
    fiber_free(first);
    struct fiber *second = fiber_new(frees_nothing, NULL);
    CHECK(second == first);
    fiber_resume(second);
    fiber_free(second);
    fiber_pool_trim(0);
}

/* No recursion that a compiler could turn into a loop. */
static int digs(volatile char *above, int depth)
{
    volatile char here[256];
    here[0] = above ? above[0] : 0;
    if (depth > 1000000) return here[0];
    return digs(here, depth + 1) + here[0];
}

static void digs_deep(void *arg)
{
    int *sum = arg;
    *sum = digs(NULL, 0);
}

enum { HANDLER_BYTES = 65536, GUARD_MET = 42, STACKS = 32 };
static struct fiber *upper, *lower; /* neighbours */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    unsigned char *at = info->si_addr;
    _exit(at > (unsigned char *)lower && at < (unsigned char *)upper ? GUARD_MET : 1);
}

/* Of many stacks, the two that lie closest: without a guard between them the upper one would
 * grow all through the other. */
static void choose_neighbours(int *sum)
{
    struct fiber *fibers[STACKS];
    for (int i = 0; i < STACKS; i++) fibers[i] = fiber_new(digs_deep, sum);
    for (int i = 0; i < STACKS; i++)
        for (int k = 0; k < STACKS; k++)
            if (fibers[k] < fibers[i] &&
                (!lower || (uintptr_t)fibers[i] - (uintptr_t)fibers[k] < (uintptr_t)upper - (uintptr_t)lower)) {
                upper = fibers[i];
                lower = fibers[k];
            }
}

static void overflows(void)
{
    static unsigned char handler_stack[HANDLER_BYTES];
    stack_t alternative = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaltstack(&alternative, NULL) != 0 || sigaction(SIGSEGV, &action, NULL) != 0) _exit(2);
    int sum = 0;
    choose_neighbours(&sum);
    fiber_resume(upper);
    _exit(0);
}

TEST(a_stack_that_overflows_hits_its_guard_page)
{
    fiber_pool_trim(0);
    pid_t child = fork();
    if (child == 0) overflows();
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == GUARD_MET);
}
