/* How transfers end before their time: limits and cancelling, in every phase; and what children see. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "io/loop.h"
#include "stage.h"

/* ---- limits of time ------------------------------------------------------------------------------------ */
static void is_slow_to_connect(struct ctx *cx, struct stage *s)
{
    struct deaf_side deaf;
    struct caller c;
    clock_test_freeze(1000000);
    far_is_deaf(&deaf);
    call_to(&c, s, "http", "127.0.0.1", deaf.port);
    c.out.connect_ms = 3000;
    c.out.first_byte_ms = 1;
    goes(&c);
    for (int turns = 0; client_counts(s->client).sockets_open == 0;) far_turn(cx, &turns);
    loop_test_advance(cx->loop, 2999);
    CHECK_OK(wait_turn(cx));
    CHECK(!c.is_back);
    loop_test_advance(cx->loop, 1);
    fails_with(cx, &c, ERR_TIMEOUT, strf(test_arena(), "could not connect to 127.0.0.1:%d within 3000 ms", deaf.port).at);
    CHECK(client_counts(s->client).sockets_open == 0);
    far_is_deaf_no_more(&deaf);
    clock_test_thaw();
}
TEST(connecting_has_a_limit) { play(is_slow_to_connect); }

static void is_slow_to_answer(struct ctx *cx, struct stage *s)
{
    struct caller c;
    clock_test_freeze(1000000);
    calls(&c, s);
    c.out.connect_ms = 1;
    c.out.first_byte_ms = 5000;
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\n");
    loop_test_advance(cx->loop, 4999);
    CHECK_OK(wait_turn(cx));
    CHECK(!c.is_back);
    loop_test_advance(cx->loop, 1);
    fails_with(cx, &c, ERR_TIMEOUT, strf(test_arena(), "127.0.0.1:%d did not answer within 5000 ms", s->far.port).at);
    far_hears_the_end(cx, &s->far);
    clock_test_thaw();
}
TEST(the_head_of_an_answer_has_a_limit) { play(is_slow_to_answer); }

static void falls_silent(struct ctx *cx, struct stage *s)
{
    struct caller c;
    clock_test_freeze(1000000);
    calls(&c, s);
    c.out.first_byte_ms = 1;
    c.silence_ms = 7000;
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\n\r\n");
    for (int turns = 0; !c.has_head;) far_turn(cx, &turns);
    for (size_t i = 0; i < 3; i++) { /* each byte begins the wait anew */
        loop_test_advance(cx->loop, 6999);
        far_says(cx, &s->far, "x");
        for (int turns = 0; c.body.count <= i;) far_turn(cx, &turns);
    }
    loop_test_advance(cx->loop, 6999);
    CHECK_OK(wait_turn(cx));
    CHECK(!c.is_back);
    loop_test_advance(cx->loop, 1);
    fails_with(cx, &c, ERR_TIMEOUT, strf(test_arena(), "127.0.0.1:%d sent nothing for 7000 ms", s->far.port).at);
    far_hears_the_end(cx, &s->far);
    clock_test_thaw();
}
TEST(silence_has_a_limit_and_every_byte_breaks_it) { play(falls_silent); }

/* ---- out of descriptors ------------------------------------------------------------------- */
static void has_no_descriptor(struct ctx *cx, struct stage *s)
{
    struct caller c;
    struct rlimit before, none;
    int next = dup(0);
    close(next);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)next;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    calls(&c, s);
    goes(&c);
    for (int turns = 0; !c.is_over && turns < 1000; turns++) CHECK_OK(wait_turn(cx));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    fails_with(cx, &c, ERR_UPSTREAM, strf(test_arena(), "could not connect to 127.0.0.1:%d (too many open files)", s->far.port).at);
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    answers(cx, &s->far, "hi");
    is_fine(cx, &c, "hi");
}
TEST(without_a_descriptor_a_request_fails_and_the_next_one_goes) { play(has_no_descriptor); }

/* ---- cancelling, in every phase ------------------------------------------------------------------------- */
static void while_connecting(struct ctx *cx, struct stage *s)
{
    struct deaf_side deaf;
    struct caller c;
    far_is_deaf(&deaf);
    int descriptors = descriptors_open();
    call_to(&c, s, "http", "127.0.0.1", deaf.port);
    goes(&c);
    for (int turns = 0; client_counts(s->client).sockets_open == 0;) far_turn(cx, &turns);
    is_cancelled(cx, &c);
    CHECK(descriptors_open() == descriptors);
    far_is_deaf_no_more(&deaf);
}
TEST(a_transfer_is_cancelled_while_it_connects) { play(while_connecting); }

static void before_it_begins(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    goes(&c);
    for (int turns = 0; client_counts(s->client).transfers_open == 0;) far_turn(cx, &turns);
    is_cancelled(cx, &c);
    calls(&c, s); /* before it has run at all */
    goes(&c);
    scope_cancel(&s->scope);
    ends(cx, &c);
    CHECK(c.outcome.code == ERR_CANCELLED && client_counts(s->client).sockets_open == 0);
}
TEST(a_transfer_is_cancelled_before_it_connects) { play(before_it_begins); }

static void in_the_queue(struct ctx *cx, struct stage *s)
{
    enum { CALLERS = 100 };
    static struct caller c[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        calls(&c[i], s);
        goes(&c[i]);
    }
    for (int turns = 0; client_counts(s->client).transfers_open == 0;) far_turn(cx, &turns);
    CHECK(client_counts(s->client).transfers_open == 32);
    CHECK(client_counts(s->client).sockets_open == 0);
    for (int i = 0; i < CALLERS; i += 2) scope_cancel(&c[i].scope);
    for (int i = 0; i < CALLERS; i += 2) {
        ends(cx, &c[i]);
        CHECK(c[i].outcome.code == ERR_CANCELLED);
    }
    for (int i = 1; i < CALLERS; i += 2) { /* the others have their turn, in order */
        for (int turns = 0; client_counts(s->client).transfers_open < 50;) far_turn(cx, &turns);
        CHECK(client_counts(s->client).transfers_open == 50 && !c[i].is_back);
    }
    for (int i = 1; i < CALLERS; i += 2) scope_cancel(&c[i].scope);
    for (int i = 1; i < CALLERS; i += 2) ends(cx, &c[i]);
}
TEST(a_transfer_is_cancelled_while_it_waits_for_its_turn) { play(in_the_queue); }

static void in_the_handshake(struct ctx *cx, struct stage *s)
{
    struct caller c;
    char bytes[8];
    call_to(&c, s, "https", "models.test", s->far.port);
    goes(&c);
    far_accepts(cx, &s->far); /* and says nothing */
    for (int turns = 0; recv(s->far.fd, bytes, sizeof bytes, MSG_PEEK) != sizeof bytes;) far_turn(cx, &turns); /* its hello is there */
    int descriptors = descriptors_open();
    is_cancelled(cx, &c);
    CHECK(descriptors_open() == descriptors - 1);
    far_hears_the_end(cx, &s->far);
}
TEST(a_transfer_is_cancelled_in_the_middle_of_a_handshake) { play(in_the_handshake); }

static void before_the_answer(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    int descriptors = descriptors_open();
    is_cancelled(cx, &c);
    CHECK(descriptors_open() == descriptors - 1);
    far_hears_the_end(cx, &s->far);
}
TEST(a_transfer_is_cancelled_before_the_first_byte) { play(before_the_answer); }

static void in_an_event(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\ndata: {\"half");
    for (int turns = 0; c.body.count < 12;) far_turn(cx, &turns);
    int descriptors = descriptors_open();
    far_says(cx, &s->far, " of it"); /* these lie in the kernel and are never read */
    is_cancelled(cx, &c);
    CHECK(descriptors_open() == descriptors - 1);
    far_hears_the_end(cx, &s->far);
    CHECK(far_tries_to_say(&s->far, S("more")) == 0);
}
TEST(a_transfer_is_cancelled_in_the_middle_of_an_event) { play(in_an_event); }

static void while_held_back(struct ctx *cx, struct stage *s)
{
    static char block[200000];
    struct caller c;
    calls(&c, s);
    c.holds_back = true;
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\n\r\n");
    far_says_bytes(cx, &s->far, str_n(block, sizeof block));
    for (int i = 0; i < 300; i++) CHECK_OK(wait_turn(cx));
    is_cancelled(cx, &c);
    /* Its handle is used again, with nothing of it left. */
    far_hangs_up(&s->far);
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    answers(cx, &s->far, "hi");
    is_fine(cx, &c, "hi");
}
TEST(a_transfer_is_cancelled_while_it_is_held_back) { play(while_held_back); }

/* ---- children ------------------------------------------------------------------------------------------- */
/* Which of the first 64 descriptors a program that we start finds open. */
static void seen_by_a_child(char seen[65])
{
    int pipe_fds[2];
    CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(pipe_fds[1], 1);
        execl("/bin/sh", "sh", "-c",
              "i=0; while [ $i -lt 64 ]; do if [ -e /proc/$$/fd/$i ]; then printf x; else printf .; fi; i=$((i+1)); done", (char *)0);
        _exit(127);
    }
    close(pipe_fds[1]);
    size_t count = 0;
    for (ssize_t n; (n = read(pipe_fds[0], seen + count, 64 - count)) > 0;) count += (size_t)n;
    seen[count] = 0;
    close(pipe_fds[0]);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(count == 64);
}
static void is_not_inherited(struct ctx *cx, struct stage *s)
{
    struct caller c;
    char seen[65];
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    CHECK(client_counts(s->client).sockets_open == 1);
    seen_by_a_child(seen);
    CHECK(strncmp(seen, "xxx", 3) == 0 && strspn(seen + 3, ".") == 61);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    is_fine(cx, &c, "");
}
TEST(a_child_sees_nothing_of_an_open_transfer) { play(is_not_inherited); }
