#include "io/fiber.h"
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Our own switch where it was written and tested; elsewhere, and when a build asks for it
 * with -DFIBER_UCONTEXT, the C library's, which makes two system calls each time. */
#if !defined(__x86_64__) && !defined(FIBER_UCONTEXT)
#define FIBER_UCONTEXT 1
#endif
#ifdef FIBER_UCONTEXT
#include <ucontext.h>
#endif

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define FIBER_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define FIBER_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#if defined(AGENTD_DEBUG) && defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#define FIBER_VALGRIND 1
#include <valgrind/valgrind.h>
#endif
#endif

enum {
#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
    STACK_BYTES = 512 * 1024, /* their frames are several times as large */
#else
    STACK_BYTES = 128 * 1024,
#endif
    POOL_MAX = 512,            /* stacks kept for reuse, each with the pages it once touched */
    MAPS_KEPT_FREE = 4000,     /* of the kernel's bound on mappings: what malloc and libraries need */
    MAPS_MAX_USUAL = 65530,    /* vm.max_map_count where it cannot be read */
};

/* Lives at the upper end of its own stack, so that a fiber costs no other memory. */
struct fiber {
#ifdef FIBER_UCONTEXT
    ucontext_t context;
#else
    void *stack_pointer;
#endif
    struct fiber *resumer; /* who goes on when this one parks; null: it does not run */
    fiber_main *fn;
    void *arg;
    const char *note;
    bool has_ended, has_run;
    struct fiber *next_free;
    unsigned char *mapping; /* guard page, then the stack */
#ifdef FIBER_ASAN
    void *fake_stack;
    const void *bottom;
    size_t bytes;
#endif
#ifdef FIBER_TSAN
    void *tsan;
#endif
#ifdef FIBER_VALGRIND
    unsigned valgrind_id;
#endif
};

static _Thread_local struct fiber thread_itself; /* stands for the stack that is no fiber's */
static _Thread_local struct fiber *running, *pool;
static _Thread_local size_t pool_count, alive_count, stacks_count;

/* ---- stacks ---------------------------------------------------------------- */

/* Two mappings for each stack: beyond the kernel's bound not only we would get none. */
static _Thread_local size_t stacks_max_known;
static size_t stacks_max(void)
{
    if (stacks_max_known) return stacks_max_known;
    char text[32] = "";
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    long maps = n > 0 ? strtol(text, NULL, 10) : MAPS_MAX_USUAL;
    stacks_max_known = maps > 2 * MAPS_KEPT_FREE ? (size_t)(maps - MAPS_KEPT_FREE) / 2 : MAPS_KEPT_FREE / 2;
    return stacks_max_known;
}

static size_t page_bytes(void)
{
    static _Thread_local size_t known;
    if (!known) known = (size_t)sysconf(_SC_PAGESIZE);
    return known;
}

static struct fiber *stack_map(void)
{
    size_t guard = page_bytes(), whole = guard + STACK_BYTES;
    if (stacks_count >= stacks_max()) return NULL;
    unsigned char *at = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED) return NULL;
    if (mprotect(at + guard, STACK_BYTES, PROT_READ | PROT_WRITE) != 0) {
        munmap(at, whole);
        return NULL;
    }
    stacks_count++;
    struct fiber *f = (struct fiber *)(void *)(at + whole - ((sizeof *f + 63) & ~(size_t)63));
    f->mapping = at;
#ifdef FIBER_VALGRIND
    f->valgrind_id = VALGRIND_STACK_REGISTER(at + guard, at + whole);
#endif
    return f;
}

/* A stack that nobody has must not be touched, and what its last owner left does not matter. */
static void stack_forbid(struct fiber *f, bool is_forbidden)
{
    (void)f, (void)is_forbidden;
#ifdef FIBER_ASAN
    unsigned char *low = f->mapping + page_bytes();
    size_t bytes = (size_t)((unsigned char *)f - low);
    if (is_forbidden) ASAN_POISON_MEMORY_REGION(low, bytes);
    else ASAN_UNPOISON_MEMORY_REGION(low, bytes);
#endif
}

static void stack_unmap(struct fiber *f)
{
    stack_forbid(f, false);
#ifdef FIBER_VALGRIND
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
#endif
    munmap(f->mapping, page_bytes() + STACK_BYTES);
    stacks_count--;
}

void fiber_pool_trim(size_t keep)
{
    while (pool_count > keep) {
        struct fiber *f = pool;
        pool = f->next_free;
        pool_count--;
        stack_unmap(f);
    }
}

/* ---- the switch -------------------------------------------------------------- */

void fiber_entry(void) __attribute__((noreturn, visibility("hidden"), used));
#ifndef FIBER_UCONTEXT
void fiber_switch(void **save, void *to);
void fiber_start(void);
#endif

/* The checkers are told before we leave and when we arrive: on whose stack this is now. */
static void leaving(struct fiber *from, struct fiber *to, bool for_good)
{
    (void)from, (void)to, (void)for_good;
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->bottom, to->bytes);
#endif
#ifdef FIBER_TSAN
    if (!from->tsan) from->tsan = __tsan_get_current_fiber();
    if (!to->tsan) to->tsan = __tsan_create_fiber(0);
#endif
}

static void arrived(struct fiber *self)
{
    (void)self;
#ifdef FIBER_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &bytes);
    if (self->resumer == &thread_itself) {
        thread_itself.bottom = bottom;
        thread_itself.bytes = bytes;
    }
#endif
}

static void change(struct fiber *from, struct fiber *to, bool for_good)
{
    leaving(from, to, for_good);
    running = to == &thread_itself ? NULL : to;
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(to->tsan, 0); /* in the very function that switches: its own stack of calls changes */
#endif
#ifdef FIBER_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    fiber_switch(&from->stack_pointer, to->stack_pointer);
#endif
    arrived(from);
}

void fiber_entry(void)
{
    struct fiber *self = running;
    arrived(self);
    self->fn(self->arg);
    self->has_ended = true;
    struct fiber *back = self->resumer;
    self->resumer = NULL;
    change(self, back, true);
    abort(); /* an ended fiber was resumed */
}

/* Its first frame, as fiber_switch will find it. */
static void prepare(struct fiber *f)
{
#ifdef FIBER_UCONTEXT
    unsigned char *low = f->mapping + page_bytes();
    getcontext(&f->context);
    f->context.uc_link = NULL;
    f->context.uc_stack.ss_sp = low;
    f->context.uc_stack.ss_size = (size_t)((unsigned char *)f - low);
    makecontext(&f->context, fiber_entry, 0);
#else
    enum { CONTROL, R15, R14, R13, R12, RBX, RBP, RETURN_TO, ABOVE, FRAME_WORDS = ABOVE + 2 };
    uint64_t *frame = (uint64_t *)(void *)f - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof *frame);
    uint32_t sse;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
    frame[CONTROL] = sse | (uint64_t)x87 << 32;
    frame[RETURN_TO] = (uint64_t)(uintptr_t)fiber_start; /* begins with the stack at ABOVE, a multiple of 16 */
    f->stack_pointer = frame;
#endif
}

/* ---- fibers ------------------------------------------------------------------ */

struct fiber *fiber_new(fiber_main *fn, void *arg)
{
    struct fiber *f = pool;
    if (f) {
        pool = f->next_free;
        pool_count--;
    } else {
        f = stack_map();
        if (!f) return NULL;
    }
    f->resumer = NULL;
    f->fn = fn;
    f->arg = arg;
    f->note = NULL;
    f->has_ended = f->has_run = false;
    stack_forbid(f, false);
#ifdef FIBER_ASAN
    f->fake_stack = NULL;
    f->bottom = f->mapping + page_bytes();
    f->bytes = STACK_BYTES;
#endif
#ifdef FIBER_TSAN
    f->tsan = NULL;
#endif
    prepare(f);
    alive_count++;
    return f;
}

void fiber_resume(struct fiber *f)
{
    assert(!f->has_ended && !f->resumer); /* neither ended nor running already */
    struct fiber *self = running ? running : &thread_itself;
    f->resumer = self;
    f->has_run = true;
    change(self, f, false);
}

void fiber_park(void)
{
    struct fiber *self = running;
    assert(self); /* only a fiber parks */
    struct fiber *back = self->resumer;
    self->resumer = NULL;
    change(self, back, false);
}

struct fiber *fiber_self(void) { return running; }
bool fiber_has_ended(const struct fiber *f) { return f->has_ended; }
void *fiber_arg(const struct fiber *f) { return f->arg; }
size_t fiber_count(void) { return alive_count; }
void fiber_note(struct fiber *f, const char *what) { f->note = what; }
const char *fiber_note_of(const struct fiber *f) { return f->note; }

void fiber_free(struct fiber *f)
{
    assert(f->has_ended || !f->has_run);
#ifdef FIBER_TSAN
    if (f->tsan) __tsan_destroy_fiber(f->tsan);
#endif
    stack_forbid(f, true);
    alive_count--;
    f->next_free = pool;
    pool = f;
    if (++pool_count > POOL_MAX) fiber_pool_trim(POOL_MAX);
}

bool fiber_test_abandon(void)
{
    bool was_running = running;
    running = NULL;
    alive_count = 0;
#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
    return !was_running;
#else
    (void)was_running;
    return true;
#endif
}
void fiber_test_stacks_max(size_t count) { stacks_max_known = count; }
