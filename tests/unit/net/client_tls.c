#include <sys/inotify.h>
#include <unistd.h>
#include "stage.h"

/* ---- TLS ------------------------------------------------------------------------------------------------- */
static struct authority authority;
static void play_tls(void (*run)(struct ctx *, struct stage *))
{
    authority_open(&authority, test_dir(), "models.test");
    play_with(&(struct play){.run = run, .authorities = authority.file});
    authority_close(&authority);
}

static void trusts(struct ctx *cx, struct stage *s)
{
    struct caller c;
    for (int i = 0; i < 2; i++) { /* the second on the same connection */
        call_to(&c, s, "https", "models.test", s->far.port);
        goes(&c);
        if (i == 0) {
            far_accepts(cx, &s->far);
            far_greets(cx, &s->far, &authority);
            CHECK(strcmp(SSL_get_servername(s->far.tls, TLSEXT_NAMETYPE_host_name), "models.test") == 0);
        }
        answers(cx, &s->far, "secret");
        is_fine(cx, &c, "secret");
    }
    CHECK(client_counts(s->client).sockets_open == 1);
    call_to(&c, s, "https", "models.test", s->far.port);
    goes(&c);
    far_gets(cx, &s->far);
    int descriptors = descriptors_open();
    is_cancelled(cx, &c);
    CHECK(descriptors_open() == descriptors - 1);
}
TEST(a_certificate_of_a_trusted_authority_is_good) { play_tls(trusts); }

static void distrusts(struct ctx *cx, struct stage *s)
{
    struct caller c;
    struct authority unknown;
    call_to(&c, s, "https", "other.test", s->far.port);
    goes(&c);
    far_accepts(cx, &s->far);
    (void)far_tries_to_greet(cx, &s->far, &authority);
    fails_beginning(cx, &c, ERR_UPSTREAM, strf(test_arena(), "the TLS certificate of other.test:%d is not valid (no alternative"
                    " certificate subject name matches target host", s->far.port).at); /* "host name", in newer curls "hostname" */
    far_hangs_up(&s->far);

    authority_open(&unknown, test_dir(), "unknown.test");
    call_to(&c, s, "https", "unknown.test", s->far.port);
    goes(&c);
    far_accepts(cx, &s->far);
    (void)far_tries_to_greet(cx, &s->far, &unknown);
    fails_with(cx, &c, ERR_UPSTREAM, strf(test_arena(), "the TLS certificate of unknown.test:%d is not valid (unable to get"
               " local issuer certificate)", s->far.port).at);
    authority_close(&unknown);
    CHECK(client_counts(s->client).sockets_open == 0);
}
TEST(a_certificate_for_another_name_or_of_a_stranger_is_not) { play_tls(distrusts); }

static void speaks_no_tls(struct ctx *cx, struct stage *s)
{
    struct caller c;
    call_to(&c, s, "https", "models.test", s->far.port);
    goes(&c);
    far_accepts(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 400 Bad Request\r\n\r\n");
    ends(cx, &c);
    CHECK(c.outcome.code == ERR_UPSTREAM);
    CHECK(strncmp(c.what, "the TLS handshake with models.test", 34) == 0);
}
TEST(a_peer_without_tls_is_told_in_a_sentence) { play_tls(speaks_no_tls); }

/* First one alone, then two at once: the second of these has a handle that never spoke before. */
static void resumes(struct ctx *cx, struct stage *s)
{
    struct caller c[2];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i <= round; i++) {
            call_to(&c[i], s, "https", "models.test", s->far.port);
            goes(&c[i]);
        }
        for (int i = 0; i <= round; i++) {
            far_accepts(cx, &s->far);
            far_greets(cx, &s->far, &authority);
            CHECK(SSL_session_reused(s->far.tls) == round);
            answers(cx, &s->far, "hi");
            for (int turns = 0; !c[0].is_over && !c[round].is_over;) far_turn(cx, &turns);
            far_hangs_up(&s->far);
        }
        for (int i = 0; i <= round; i++) is_fine(cx, &c[i], "hi");
    }
}
TEST(a_session_of_tls_is_resumed_by_any_later_transfer) { play_tls(resumes); }

/* The authorities' file is read and parsed once, not for every connection: with a CAPATH (the default of
 * some builds of curl) it would be opened again each time. */
static void parses_once(struct ctx *cx, struct stage *s)
{
    int eyes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    CHECK(eyes >= 0 && inotify_add_watch(eyes, authority.file, IN_OPEN) >= 0);
    for (int i = 0; i < 3; i++) {
        struct caller c;
        char events[4096];
        call_to(&c, s, "https", "models.test", s->far.port);
        goes(&c);
        far_accepts(cx, &s->far);
        far_greets(cx, &s->far, &authority);
        answers(cx, &s->far, "hi");
        is_fine(cx, &c, "hi");
        far_hangs_up(&s->far); /* the next one needs a connection of its own */
        ssize_t count = read(eyes, events, sizeof events); /* each time: equal events that lie unread become one */
        CHECK(i == 0 ? count == (ssize_t)sizeof(struct inotify_event) : count < 0);
    }
    close(eyes);
}
TEST(the_authorities_are_parsed_once_for_all_connections) { play_tls(parses_once); }
