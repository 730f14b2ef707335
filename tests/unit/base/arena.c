#include <stdint.h>
#include <stdlib.h>
#include "base/str.h"
#include "test.h"

static bool is_zero(const unsigned char *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (at[i]) return false;
    return true;
}

TEST(what_an_arena_lends_is_zeroed_and_aligned_also_the_second_time)
{
    static const size_t sizes[] = {1, 15, 16, 17, 1000, 5000, 65536, 65537, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct arena_mark mark = arena_mark(test_arena());
        unsigned char *p = arena_try_alloc(test_arena(), sizes[i]);
        CHECK(p && (uintptr_t)p % 16 == 0 && is_zero(p, sizes[i]));
        memset(p, 0xAA, sizes[i]);
        unsigned char *q = arena_alloc(test_arena(), 8);
        CHECK(is_zero(q, 8));
        arena_rewind(test_arena(), mark);
        p = arena_try_alloc(test_arena(), sizes[i]);
        CHECK(p && is_zero(p, sizes[i]));
        memset(p, 0xAA, sizes[i]);
    }
}

/* A large block is zeroed by the kernel, so what is taken from it again must be cleared. */
TEST(a_large_block_is_zeroed_when_its_end_is_used_again)
{
    struct arena a = arena_new();
    unsigned char *first = arena_try_alloc(&a, 100000);
    CHECK(first);
    arena_free(&a);
    first = arena_try_alloc(&a, 100000);
    struct arena_mark none = {a.chunk, 0};
    memset(first, 0xAA, 100000);
    arena_rewind(&a, none); /* the chunk stays, all of it is free */
    unsigned char *again = arena_try_alloc(&a, 100000);
    bool is_same = again == first, is_clean = is_zero(again, 100000);
    arena_free(&a);
    CHECK(is_same && is_clean);
}

TEST(a_rewind_keeps_what_is_older_and_gives_back_the_rest)
{
    struct arena a = arena_new();
    char *kept = arena_alloc(&a, 100);
    memset(kept, 'k', 100);
    size_t bytes = a.total_bytes;
    struct arena_mark mark = arena_mark(&a);
    for (int i = 0; i < 100; i++) memset(arena_alloc(&a, 5000), 'x', 5000);
    CHECK(a.total_bytes > 500000);
    arena_rewind(&a, mark);
    bool is_kept = kept[0] == 'k' && kept[99] == 'k' && a.total_bytes == bytes;
    arena_rewind(&a, (struct arena_mark){0});
    CHECK(is_kept && a.total_bytes == 0 && !a.chunk);
}

TEST(an_adopted_arena_lives_as_long_as_its_new_owner)
{
    struct arena owner = arena_new(), other = arena_new();
    char *mine = arena_alloc(&owner, 10);
    struct arena_mark mark = arena_mark(&owner);
    char *theirs = arena_try_alloc(&other, 3000);
    CHECK(theirs);
    memset(theirs, 't', 3000), memset(mine, 'm', 10);
    size_t bytes = owner.total_bytes + other.total_bytes;
    arena_adopt(&owner, &other);
    CHECK(!other.chunk && other.total_bytes == 0 && owner.total_bytes == bytes);
    arena_free(&other);
    CHECK(theirs[2999] == 't' && mine[9] == 'm');
    memset(arena_alloc(&owner, 10), 'n', 10); /* behind what was adopted */
    CHECK(theirs[2999] == 't' && mine[9] == 'm');
    arena_rewind(&owner, mark);
    CHECK(mine[9] == 'm' && owner.total_bytes < bytes);
    arena_adopt(&owner, &other); /* nothing */
    arena_free(&owner);
    CHECK(owner.total_bytes == 0);
}

/* The memory is ours until arena_free, so the wiping is seen after a rewind. */
TEST(an_arena_that_wipes_overwrites_what_a_rewind_gives_back)
{
    struct arena a = {.wipe = true}, b = arena_new();
    arena_alloc(&a, 1);
    arena_alloc(&b, 1);
    struct arena_mark at_a = arena_mark(&a), at_b = arena_mark(&b);
    unsigned char *secret = arena_alloc(&a, 100), *open = arena_alloc(&b, 100);
    memset(secret, 's', 100), memset(open, 'o', 100);
    arena_rewind(&a, at_a);
    arena_rewind(&b, at_b);
    bool is_wiped = is_zero(secret, 100), is_left = open[50] == 'o';
    arena_free(&a);
    arena_free(&b);
    CHECK(is_wiped && is_left);
}

TEST(the_nth_allocation_fails_and_no_other)
{
    struct arena a = arena_new();
    arena_fail_at = 2;
    CHECK(arena_try_alloc(&a, 60000));
    CHECK(!arena_try_alloc(&a, 60000) && !a.exhausted);
    CHECK(arena_fail_at == 0 && arena_try_alloc(&a, 60000));
    arena_free(&a);
}

TEST(a_size_that_no_machine_has_is_refused)
{
    void *volatile p = arena_try_alloc(test_arena(), SIZE_MAX - 3);
    void *volatile q = arena_try_alloc(test_arena(), SIZE_MAX / 2 + 9);
    CHECK(!p && !q);
}

TEST(a_text_without_memory_is_empty_and_says_so)
{
    struct arena a = arena_new();
    char text[8000];
    memset(text, 'x', sizeof text);
    arena_fail_at = 1;
    struct str copy = str_copy(&a, str_n(text, sizeof text));
    arena_fail_at = 0;
    bool is_said = a.exhausted;
    arena_free(&a);
    CHECK(copy.count == 0 && copy.at && is_said);
}

TEST(sentences_of_any_length_are_formatted)
{
    char text[2000];
    memset(text, 'x', sizeof text);
    text[1999] = 0;
    CHECK(strlen(arena_printf(test_arena(), "%s%d", text, 42)) == 2001);
    CHECK(str_is(strf(test_arena(), "%s|%d", "a", 42), "a|42") && strf(test_arena(), "%s", text).count == 1999);
}
