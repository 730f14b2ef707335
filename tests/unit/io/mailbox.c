#include "test.h"
#include "io/loop.h"
#include "io/mailbox.h"

struct story {
    struct mailbox box;
    int numbers[16];
    int taken[32], taken_count;
    struct err outcome[8];
    bool waited;
};

static struct err takes_until_closed(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    for (void *item;;) {
        struct err e = mailbox_take(cx, &s->box, &item);
        if (failed(e)) {
            s->outcome[0] = e;
            return e.code == ERR_CLOSED ? OK : e;
        }
        s->taken[s->taken_count++] = *(int *)item;
    }
}
static struct err puts_ten_through_three_places(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    s->box = mailbox_new(cx->arena, 3);
    TRY(scope_spawn(&inner, takes_until_closed, s));
    for (int i = 0; i < 10; i++) {
        s->numbers[i] = i;
        s->waited |= s->box.count == 3;
        TRY(mailbox_put(cx, &s->box, &s->numbers[i]));
    }
    mailbox_close(&s->box);
    s->outcome[1] = mailbox_put(cx, &s->box, &s->numbers[0]);
    s->outcome[2] = mailbox_try_put(&s->box, &s->numbers[0]);
    return scope_close(&inner);
}
TEST(a_mailbox_keeps_order_and_its_bound_and_is_emptied_after_closing)
{
    struct story s = {0};
    CHECK_OK(loop_run(puts_ten_through_three_places, &s));
    CHECK(s.waited && s.taken_count == 10);
    for (int i = 0; i < 10; i++) CHECK(s.taken[i] == i);
    for (int i = 0; i < 3; i++) CHECK(s.outcome[i].code == ERR_CLOSED);
}

static struct err tries_one_too_many(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    s->box = mailbox_new(cx->arena, 2);
    for (int i = 0; i < 3; i++) s->outcome[i] = mailbox_try_put(&s->box, &s->numbers[i]);
    return OK;
}
TEST(a_full_mailbox_refuses_who_does_not_wait)
{
    struct story s = {0};
    CHECK_OK(loop_run(tries_one_too_many, &s));
    CHECK(!failed(s.outcome[0]) && !failed(s.outcome[1]) && s.outcome[2].code == ERR_LIMIT);
}

static struct err puts_two(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    for (int i = 0; i < 2; i++) s->outcome[i] = mailbox_put(cx, &s->box, &s->numbers[i]);
    return OK;
}
static struct err takes_one(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    void *item;
    s->outcome[2] = mailbox_take(cx, &s->box, &item);
    return OK;
}
static struct err cancels_both_sides(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    s->box = mailbox_new(cx->arena, 1);
    TRY(scope_spawn(&inner, puts_two, s));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    TRY(scope_close(&inner));

    struct ctx again = scope_open(&scope, cx);
    s->box = mailbox_new(cx->arena, 1);
    TRY(scope_spawn(&again, takes_one, s));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    return scope_close(&again);
}
TEST(waiting_to_put_and_to_take_can_be_cancelled)
{
    struct story s = {0};
    CHECK_OK(loop_run(cancels_both_sides, &s));
    CHECK(!failed(s.outcome[0]));
    CHECK(s.outcome[1].code == ERR_CANCELLED && s.outcome[2].code == ERR_CANCELLED);
}
