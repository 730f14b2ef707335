#include "net/guard.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "io/loop.h"
#include "io/wait.h"
#include "net/lookup.h"
#include "test.h"

/* Runs on the pool's threads: counts, and answers by the name. "stuck…" answers when the test lets it. */
static atomic_int lookups, stuck_now;
static pthread_mutex_t stuck_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stuck_cond = PTHREAD_COND_INITIALIZER;
static bool is_let_go;
static _Atomic(const char *) answer;

static struct err scripted(const char *host, char *addresses, size_t addresses_size)
{
    atomic_fetch_add(&lookups, 1);
    if (strncmp(host, "stuck", 5) == 0) {
        pthread_mutex_lock(&stuck_mutex);
        atomic_fetch_add(&stuck_now, 1);
        while (!is_let_go) pthread_cond_wait(&stuck_cond, &stuck_mutex);
        atomic_fetch_sub(&stuck_now, 1);
        pthread_mutex_unlock(&stuck_mutex);
    }
    if (strncmp(host, "nowhere", 7) == 0) return err(ERR_UPSTREAM, "the name has no address");
    snprintf(addresses, addresses_size, "%s", atomic_load(&answer));
    return OK;
}

static void let_go(bool yes)
{
    pthread_mutex_lock(&stuck_mutex);
    is_let_go = yes;
    pthread_cond_broadcast(&stuck_cond);
    pthread_mutex_unlock(&stuck_mutex);
}

/* One test in a loop: a guard whose look-ups are scripted. */
struct play {
    const char *allowed;
    void (*run)(struct ctx *, struct guard *);
};
static struct err play_main(struct ctx *cx, void *arg)
{
    const struct play *play = arg;
    atomic_store(&lookups, 0);
    atomic_store(&answer, "93.184.216.34");
    let_go(false);
    struct guard *guard = guard_open(cx->loop, str(play->allowed));
    CHECK(guard);
    guard_test_lookup(guard, scripted);
    play->run(cx, guard);
    guard_close(guard);
    return OK;
}
static void play(const char *allowed, void (*run)(struct ctx *, struct guard *))
{
    struct play p = {allowed, run};
    CHECK_OK(loop_run(play_main, &p));
}

static struct url url_of(const char *host, int port)
{
    return (struct url){.host = str(host), .port = port, .path = S("/")};
}
static struct err resolve(struct ctx *cx, struct guard *g, const char *host, int port, enum guard_trust trust,
                          struct guard_address *out)
{
    struct url url = url_of(host, port);
    return guard_resolve(cx, g, &url, trust, 1, out);
}

/* ---- who is let through ------------------------------------------------------------- */
static void refuses_numbers(struct ctx *cx, struct guard *g)
{
    static const char *const hosts[] = {
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.0.0.1.", "0", "10.0.0.1",
        "169.254.169.254", "2852039166", "0xa9.0xfe.43518", "100.100.100.200", "::1", "::", "::ffff:127.0.0.1",
        "::ffff:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "fe80::1", "0:0:0:0:0:ffff:a9fe:a9fe"};
    struct guard_address out;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (resolve(cx, g, hosts[i], 80, GUARD_TENANT, &out).code != ERR_DENIED) test_fail(__FILE__, __LINE__, hosts[i]);
        if (failed(resolve(cx, g, hosts[i], 80, GUARD_OPERATOR, &out))) test_fail(__FILE__, __LINE__, hosts[i]);
    }
    CHECK_OK(resolve(cx, g, "127.1", 80, GUARD_OPERATOR, &out));
    CHECK(strcmp(out.addresses, "127.0.0.1") == 0 && strcmp(out.host, "127.1") == 0 && out.port == 80);
    CHECK_OK(resolve(cx, g, "134744072", 443, GUARD_TENANT, &out));
    CHECK(strcmp(out.addresses, "8.8.8.8") == 0 && out.port == 443);
    CHECK_OK(resolve(cx, g, "2606:4700::1111", 443, GUARD_TENANT, &out));
    CHECK(strcmp(out.addresses, "[2606:4700::1111]") == 0);
    CHECK(atomic_load(&lookups) == 0); /* no resolver sees a number */
}
TEST(a_tenant_may_not_name_an_inner_address_in_any_spelling) { play("", refuses_numbers); }

static void refuses_what_is_no_host(struct ctx *cx, struct guard *g)
{
    static const char *const hosts[] = {"", "a b", "a/b", "a%00", "%31%32%37.0.0.1", "fe80::1%lo", "1.2.3.4.5", "256.1.1.1",
                                        "example.0x7f", "4294967296", "ex\xC3\xA4mple.com", "a,b", "a:1"};
    char longest[400];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    struct guard_address out;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (resolve(cx, g, hosts[i], 80, GUARD_OPERATOR, &out).code != ERR_DENIED) test_fail(__FILE__, __LINE__, hosts[i]);
    CHECK(resolve(cx, g, longest, 80, GUARD_OPERATOR, &out).code == ERR_DENIED);
    CHECK(atomic_load(&lookups) == 0);
}
TEST(what_is_neither_name_nor_address_is_never_looked_up) { play("", refuses_what_is_no_host); }

static void filters(struct ctx *cx, struct guard *g)
{
    struct guard_address out;
    atomic_store(&answer, "10.0.0.1,93.184.216.34,[::1],[2606:4700::1111],169.254.169.254");
    CHECK_OK(resolve(cx, g, "mixed.example", 443, GUARD_TENANT, &out));
    CHECK(strcmp(out.addresses, "93.184.216.34,[2606:4700::1111]") == 0);
    CHECK_OK(resolve(cx, g, "mixed2.example", 443, GUARD_OPERATOR, &out));
    CHECK(strcmp(out.addresses, "10.0.0.1,93.184.216.34,[::1],[2606:4700::1111],169.254.169.254") == 0);
    atomic_store(&answer, "10.0.0.1,[::ffff:127.0.0.1]");
    struct err e = resolve(cx, g, "inner.example", 443, GUARD_TENANT, &out);
    CHECK(e.code == ERR_DENIED && strstr(e.what, "inner.example") && !strstr(e.what, "10.0.0.1"));
}
TEST(of_several_addresses_a_tenant_gets_the_public_ones) { play("", filters); }

static void obeys_the_list(struct ctx *cx, struct guard *g)
{
    struct guard_address out;
    atomic_store(&answer, "10.0.0.1");
    CHECK_OK(resolve(cx, g, "127.0.0.1", 8080, GUARD_TENANT, &out));
    CHECK_OK(resolve(cx, g, "2130706433", 8080, GUARD_TENANT, &out));
    CHECK(resolve(cx, g, "127.0.0.1", 8081, GUARD_TENANT, &out).code == ERR_DENIED);
    CHECK(resolve(cx, g, "127.0.0.2", 8080, GUARD_TENANT, &out).code == ERR_DENIED);
    CHECK_OK(resolve(cx, g, "::1", 11434, GUARD_TENANT, &out));
    CHECK_OK(resolve(cx, g, "0:0:0:0:0:0:0:1", 11434, GUARD_TENANT, &out));
    CHECK_OK(resolve(cx, g, "models.lan", 80, GUARD_TENANT, &out));
    CHECK_OK(resolve(cx, g, "models.lan.", 80, GUARD_TENANT, &out));
    CHECK(strcmp(out.addresses, "10.0.0.1") == 0);
    CHECK(resolve(cx, g, "models.lan", 81, GUARD_TENANT, &out).code == ERR_DENIED);
    CHECK(resolve(cx, g, "other.lan", 80, GUARD_TENANT, &out).code == ERR_DENIED);
    CHECK(resolve(cx, g, "localhost", 80, GUARD_TENANT, &out).code == ERR_DENIED);
}
TEST(an_inner_address_is_open_when_the_operator_allowed_it_with_its_port)
{
    play(" 127.0.0.1:8080 ,[::1]:11434,Models.LAN:80,broken,:,x:0,x:70000,,:80,localhost", obeys_the_list);
}

/* ---- looking up ----------------------------------------------------------------------- */
static void keeps_answers(struct ctx *cx, struct guard *g)
{
    struct guard_address out;
    clock_test_freeze(1000000);
    CHECK_OK(resolve(cx, g, "rebinding.example", 443, GUARD_TENANT, &out));
    atomic_store(&answer, "127.0.0.1");
    loop_test_advance(cx->loop, LOOKUP_KEPT_MS - 1);
    CHECK_OK(resolve(cx, g, "rebinding.example", 443, GUARD_TENANT, &out));
    CHECK_OK(resolve(cx, g, "REBINDING.example.", 80, GUARD_OPERATOR, &out));
    CHECK(strcmp(out.addresses, "93.184.216.34") == 0 && atomic_load(&lookups) == 1);
    loop_test_advance(cx->loop, 1);
    CHECK(resolve(cx, g, "rebinding.example", 443, GUARD_TENANT, &out).code == ERR_DENIED);
    CHECK(atomic_load(&lookups) == 2);
    clock_test_thaw();
}
TEST(an_answer_is_kept_for_a_while_and_then_asked_for_again) { play("", keeps_answers); }

static void keeps_failures(struct ctx *cx, struct guard *g)
{
    struct guard_address out;
    clock_test_freeze(1000000);
    for (int i = 0; i < 3; i++) {
        struct err e = resolve(cx, g, "nowhere.example", 443, GUARD_TENANT, &out);
        CHECK(e.code == ERR_UPSTREAM && strstr(e.what, "nowhere.example"));
    }
    CHECK(atomic_load(&lookups) == 1);
    loop_test_advance(cx->loop, LOOKUP_FAILURE_KEPT_MS);
    CHECK(resolve(cx, g, "nowhere.example", 443, GUARD_TENANT, &out).code == ERR_UPSTREAM);
    CHECK(atomic_load(&lookups) == 2);
    clock_test_thaw();
}
TEST(a_name_without_an_address_is_not_asked_for_at_once_again) { play("", keeps_failures); }

static void forgets_the_oldest(struct ctx *cx, struct guard *g)
{
    struct guard_address out;
    for (int i = 0; i < LOOKUP_KEPT * 2; i++)
        CHECK_OK(resolve(cx, g, strf(cx->arena, "host%d.example", i).at, 443, GUARD_TENANT, &out));
    CHECK(atomic_load(&lookups) == LOOKUP_KEPT * 2);
    CHECK_OK(resolve(cx, g, strf(cx->arena, "host%d.example", LOOKUP_KEPT * 2 - 1).at, 443, GUARD_TENANT, &out));
    CHECK(atomic_load(&lookups) == LOOKUP_KEPT * 2);
}
TEST(the_kept_answers_are_bounded) { play("", forgets_the_oldest); }

static void asks_the_system(struct ctx *cx, struct guard *g)
{
    struct guard_address out;
    guard_test_lookup(g, NULL);
    CHECK_OK(resolve(cx, g, "localhost", 80, GUARD_OPERATOR, &out));
    CHECK(strstr(out.addresses, "127.0.0.1") || strstr(out.addresses, "[::1]"));
    CHECK(resolve(cx, g, "localhost", 80, GUARD_TENANT, &out).code == ERR_DENIED);
}
TEST(the_system_knows_localhost_and_a_tenant_may_not_use_it) { play("", asks_the_system); }

/* ---- waiting, with fibers --------------------------------------------------------------- */
struct asker {
    struct guard *guard;
    const char *host;
    int64_t tenant;
    enum guard_trust trust;
    struct err outcome;
    bool is_over;
};
static struct err ask(struct ctx *cx, void *arg)
{
    struct asker *asker = arg;
    struct guard_address out;
    struct url url = url_of(asker->host, 443);
    asker->outcome = guard_resolve(cx, asker->guard, &url, asker->trust, asker->tenant, &out);
    asker->outcome.what = NULL; /* its sentence goes with this fiber's arena */
    asker->is_over = true;
    return OK;
}
static void turn_until_stuck(struct ctx *cx, int count)
{
    while (atomic_load(&stuck_now) != count) CHECK_OK(wait_turn(cx));
}
static void turn_until_over(struct ctx *cx, const struct asker *asker)
{
    while (!asker->is_over) CHECK_OK(wait_turn(cx));
}

static void joins(struct ctx *cx, struct guard *g)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct asker askers[50];
    for (int i = 0; i < 50; i++) {
        askers[i] = (struct asker){.guard = g, .host = "stuck.example", .tenant = 1};
        CHECK_OK(scope_spawn(&inner, ask, &askers[i]));
    }
    turn_until_stuck(cx, 1);
    let_go(true);
    CHECK_OK(scope_close(&inner));
    for (int i = 0; i < 50; i++) CHECK(askers[i].is_over && !failed(askers[i].outcome));
    CHECK(atomic_load(&lookups) == 1);
}
TEST(a_name_is_looked_up_once_for_all_who_wait_for_it) { play("", joins); }

static void is_fair(struct ctx *cx, struct guard *g)
{
    enum { GREEDY = LOOKUP_TENANT_QUEUED + LOOKUP_TENANT_THREADS + 3 };
    static struct asker greedy[GREEDY], others[2];
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);

    for (int i = 0; i < GREEDY; i++) {
        greedy[i] = (struct asker){.guard = g, .host = strf(cx->arena, "stuck%d.example", i).at, .tenant = 1};
        CHECK_OK(scope_spawn(&inner, ask, &greedy[i]));
    }
    turn_until_stuck(cx, LOOKUP_TENANT_THREADS);
    int refused = 0;
    for (int i = 0; i < GREEDY; i++) refused += greedy[i].is_over && greedy[i].outcome.code == ERR_BUSY;
    CHECK(refused == 3);

    /* Another tenant does not notice, and the greedy one still has its two threads alone. */
    others[0] = (struct asker){.guard = g, .host = "quick.example", .tenant = 2};
    CHECK_OK(scope_spawn(&inner, ask, &others[0]));
    turn_until_over(cx, &others[0]);
    CHECK(!failed(others[0].outcome));
    CHECK(atomic_load(&lookups) == LOOKUP_TENANT_THREADS + 1);

    /* Five greedy tenants do not hold up the operator. */
    static struct asker more[8];
    for (int i = 0; i < 8; i++) {
        more[i] = (struct asker){.guard = g, .host = strf(cx->arena, "stuck-more%d.example", i).at, .tenant = 3 + i / 2};
        CHECK_OK(scope_spawn(&inner, ask, &more[i]));
    }
    turn_until_stuck(cx, LOOKUP_TENANTS_THREADS);
    others[1] = (struct asker){.guard = g, .host = "quick2.example", .tenant = 1, .trust = GUARD_OPERATOR};
    CHECK_OK(scope_spawn(&inner, ask, &others[1]));
    turn_until_over(cx, &others[1]);
    CHECK(!failed(others[1].outcome));
    CHECK(atomic_load(&stuck_now) == LOOKUP_TENANTS_THREADS);

    let_go(true);
    CHECK_OK(scope_close(&inner));
    for (int i = 0; i < 8; i++) CHECK(more[i].is_over && !failed(more[i].outcome));
}
TEST(a_tenant_with_dead_hosts_delays_itself_alone) { play("", is_fair); }

static void cancels(struct ctx *cx, struct guard *g)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct asker stuck = {.guard = g, .host = "stuck.example"};
    static struct asker queued[4];
    CHECK_OK(scope_spawn(&inner, ask, &stuck));
    for (int i = 0; i < 4; i++) {
        queued[i] = (struct asker){.guard = g, .host = strf(cx->arena, "stuck%d.example", i).at};
        CHECK_OK(scope_spawn(&inner, ask, &queued[i]));
    }
    turn_until_stuck(cx, LOOKUP_TENANT_THREADS);
    scope_cancel(&scope);
    CHECK_OK(scope_close(&inner)); /* while two threads are still inside */
    CHECK(stuck.outcome.code == ERR_CANCELLED && queued[3].outcome.code == ERR_CANCELLED);
    CHECK(atomic_load(&stuck_now) == LOOKUP_TENANT_THREADS);

    /* What nobody waits for any more never begins: two run out, the other three are gone. */
    let_go(true);
    turn_until_stuck(cx, 0);
    struct asker last = {.guard = g, .host = "quick.example"};
    CHECK(!failed(ask(cx, &last)) && !failed(last.outcome));
    CHECK(atomic_load(&lookups) == LOOKUP_TENANT_THREADS + 1);
}
TEST(a_cancelled_look_up_returns_at_once) { play("", cancels); }

static void leaves_a_thread_behind(struct ctx *cx, struct guard *g)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct asker stuck = {.guard = g, .host = "stuck.example"};
    CHECK_OK(scope_spawn(&inner, ask, &stuck));
    turn_until_stuck(cx, 1);
    scope_cancel(&scope);
    CHECK_OK(scope_close(&inner));
}
TEST(a_guard_closes_while_a_look_up_is_stuck)
{
    play("", leaves_a_thread_behind);
    CHECK(atomic_load(&stuck_now) == 1);
    let_go(true);
    while (atomic_load(&stuck_now) != 0) sched_yield();
}

static void gives_up(struct ctx *cx, struct guard *g)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct asker stuck = {.guard = g, .host = "stuck.example"};
    clock_test_freeze(1000000);
    CHECK_OK(scope_spawn(&inner, ask, &stuck));
    turn_until_stuck(cx, 1);
    loop_test_advance(cx->loop, LOOKUP_WAIT_MS - 1);
    CHECK_OK(wait_turn(cx));
    CHECK(!stuck.is_over);
    loop_test_advance(cx->loop, 1);
    CHECK_OK(scope_close(&inner));
    CHECK(stuck.outcome.code == ERR_UPSTREAM);
    clock_test_thaw();
    let_go(true);
}
TEST(a_look_up_without_an_answer_is_given_up) { play("", gives_up); }
