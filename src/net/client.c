/* The one door to libcurl: its multi interface on our loop.
 *
 * Who calls whom: watches and the timer of the loop call into curl (on the loop's own stack); curl calls
 * back, and those functions append bytes, note facts and open gates, nothing else; fibers add, resume and
 * remove transfers, never from within a callback, so curl is never entered twice.
 *
 * curl never resolves. A transfer connects to a made-up name (CONNECT_TO) that stands for exactly the
 * addresses of the guard (RESOLVE), and open_socket() refuses any other. The name is a hash of the
 * addresses, so a kept connection serves only who may connect to the same ones. */
#include "net/client.h"
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "io/loop.h"
#include "io/wait.h"
#include "net/address.h"
#include "net/head.h"
#include "net/sockets.h"
#include "net/turnstile.h"

enum {
    BUFFER_BYTES_MAX = 64 * 1024,  /* of a body, not yet read: beyond it the socket is paused */
    BUFFER_BYTES_KEPT = 4 * 1024,  /* a buffer that grew beyond this is not kept */
    CURL_BUFFER_BYTES = 4 * 1024,  /* curl's own, one for each transfer: waits are many, and 1 KB reads four times as often */
    HANDLES_KEPT = 64,             /* a handle costs 5 us to make and drop, and 6 KB to keep */
    IDLE_CONNECTIONS_MAX = 256,    /* an idle one with TLS holds 60 KB */
    RESOLVED_SECONDS = 60,         /* how long curl keeps what the guard gave: longer than a connect begins */
    BEGUN_AT_ONCE_MAX = 32,        /* connecting costs 50 us: more would hold the loop for too long */
};

struct client {
    struct loop *loop;
    CURLM *multi;
    CURLSH *sessions; /* of TLS, for all handles: resuming one spares a quarter of a handshake */
    struct timer timer;
    struct sockets sockets;
    struct turnstile turnstile;
    CURL *handles[HANDLES_KEPT];
    int handles_count;
    char *authorities;   /* the file of certificates that we trust */
    char *proxy;         /* null: none */
    struct url proxy_url;
    struct arena proxy_arena;
    struct guard *proxy_guard;
    int running;    /* transfers that have not ended */
    int in_use;     /* of these, those with a connection */
    bool is_inside; /* in curl, called by the loop */
    struct client_counts counts;
};
struct transfer {
    struct client *client;
    CURL *easy; /* null: over; its socket is closed or back among the kept */
    struct attempt attempt;
    struct curl_slist *fields, *resolve, *connect_to;
    const struct guard_address *through; /* whom we may connect to; null once the head is there: nobody */
    char *where;                         /* HOST:PORT, for sentences */
    struct head head;
    struct buf arrived, lent;
    struct gate changed;
    int64_t connected_ms, body_bytes;
    struct err failure; /* found by a callback; the sentence is a literal */
    CURLcode result;
    int os_error;
    bool is_connected, is_done, is_paused;
    char *reason; /* curl's own words; null once the head is there */
};

static struct transfer *transfer_of(CURL *easy)
{
    char *t = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
    return (struct transfer *)(void *)t;
}

static void fail(struct transfer *t, struct err e)
{
    if (!failed(t->failure)) t->failure = e;
    gate_open(&t->changed);
}

/* ---- curl's callbacks about sockets and time ------------------------------------------ */
/* The belt to the braces of RESOLVE: whatever curl takes for an address, only the guard's are connected to. */
static bool may_connect(const struct transfer *t, const struct sockaddr *address)
{
    char text[ADDRESS_TEXT_MAX];
    if (!t->through || !address_text(address, text)) return false;
    in_port_t port = address->sa_family == AF_INET ? ((const struct sockaddr_in *)(const void *)address)->sin_port
                                                   : ((const struct sockaddr_in6 *)(const void *)address)->sin6_port;
    if (ntohs(port) != t->through->port) return false;
    struct str rest = str(t->through->addresses);
    for (bool more = true; more;)
        if (str_is(str_split(rest, ',', &rest, &more), text)) return true;
    return false;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct transfer *t = arg;
    if (purpose != CURLSOCKTYPE_IPCXN || !may_connect(t, &to->addr)) {
        fail(t, err(ERR_DENIED, "this address was not allowed"));
        return CURL_SOCKET_BAD;
    }
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd < 0) {
        t->os_error = errno;
        return CURL_SOCKET_BAD;
    }
    if (sockets_add(&t->client->sockets, &t->attempt, fd)) return fd;
    close(fd);
    fail(t, err(ERR_MEMORY, "there is no memory to watch a connection"));
    return CURL_SOCKET_BAD;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct client *c = arg;
    sockets_remove(&c->sockets, fd);
    return close(fd);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct client *c = arg;
    (void)unused;
    int wanted = (what & CURL_POLL_IN ? WATCH_READ : 0) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0);
    if (!sockets_watch(&c->sockets, fd, what == CURL_POLL_REMOVE ? 0 : wanted))
        fail(transfer_of(easy), err(ERR_MEMORY, "there is no memory to watch a connection"));
    return 0; /* anything else would end every transfer */
}

/* Idle connections are bounded, however many are in use: curl counts both together, and looks at the
 * bound when a transfer ends, which is still among the running ones then. */
static void set_running(struct client *c, int running)
{
    c->running = running;
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)running - 1 + IDLE_CONNECTIONS_MAX);
}

static void has_ended(struct transfer *t)
{
    struct client *c = t->client;
    if (t->is_done) return;
    t->is_done = true;
    c->in_use -= t->is_connected;
    set_running(c, c->running - 1);
}

/* Those that ended since the last time. */
static void hear_of_ends(struct client *c)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(c->multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        struct transfer *t = transfer_of(message->easy_handle);
        t->result = message->data.result;
        has_ended(t);
        gate_open(&t->changed);
    }
}

static void enter(struct client *c, int fd, int events)
{
    int running;
    assert(!c->is_inside);
    c->is_inside = true;
    curl_multi_socket_action(c->multi, fd, events, &running);
    hear_of_ends(c);
    c->is_inside = false;
}

static void socket_ready(void *arg, int fd, int events)
{
    enter(arg, fd, (events & WATCH_READ ? CURL_CSELECT_IN : 0) | (events & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static void time_passed(void *arg) { enter(arg, CURL_SOCKET_TIMEOUT, 0); }

static int time_wanted(CURLM *multi, long ms, void *arg)
{
    struct client *c = arg;
    (void)multi;
    /* One more for what the clock's own rounding takes, else curl would be asked too early, twice. */
    if (ms < 0) timer_stop(&c->timer);
    else timer_set(c->loop, &c->timer, clock_mono_ms() + (ms > 0 ? ms + 1 : 0), time_passed, c);
    return 0;
}

/* ---- curl's callbacks about one transfer ------------------------------------------------- */
static int is_connected(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct transfer *t = arg;
    (void)to, (void)from, (void)to_port;
    sockets_connected(&t->client->sockets, &t->attempt, from_port);
    t->client->in_use += !t->is_connected;
    t->is_connected = true;
    t->connected_ms = clock_mono_ms();
    gate_open(&t->changed); /* another limit holds from here on */
    return CURL_PREREQFUNC_OK;
}

static size_t head_came(char *bytes, size_t one, size_t count, void *arg)
{
    struct transfer *t = arg;
    count *= one;
    t->client->counts.bytes_read_total += (int64_t)count;
    struct err e = head_add(&t->head, str_n(bytes, count));
    if (failed(e)) fail(t, e);
    if (t->head.is_whole) gate_open(&t->changed);
    return failed(e) ? 0 : count;
}

static size_t body_came(char *bytes, size_t one, size_t count, void *arg)
{
    struct transfer *t = arg;
    count *= one;
    if (t->arrived.count > 0 && t->arrived.count + count > BUFFER_BYTES_MAX) {
        t->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    buf_add(&t->arrived, bytes, count);
    if (t->arrived.is_failed) {
        fail(t, err(ERR_MEMORY, "there is no memory for the bytes of an answer"));
        return 0;
    }
    t->body_bytes += (int64_t)count;
    t->client->counts.bytes_read_total += (int64_t)count;
    gate_open(&t->changed);
    return count;
}

/* ---- handles ---------------------------------------------------------------------------- */
/* What is the same for every transfer, once for each handle. */
static void set_for_good(struct client *c, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    /* Under HTTP/2 a closed transfer would not close its socket. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    /* A CAPATH, which some builds have by default, switches off the cache of the parsed certificates:
     * 41 ms and 900 KB for every connection instead of 1.5 ms and 70 KB. */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_CAINFO, c->authorities);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, c->authorities);
    curl_easy_setopt(easy, CURLOPT_SHARE, c->sessions);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* Empty is not null: null would ask the environment. */
    curl_easy_setopt(easy, CURLOPT_PROXY, c->proxy ? c->proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, c->proxy ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)RESOLVED_SECONDS);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 24L * 3600 * 1000); /* we have clocks of our own */
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, c);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, is_connected);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, head_came);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_came);
}

static CURL *take_handle(struct client *c)
{
    if (c->handles_count > 0) return c->handles[--c->handles_count];
    CURL *easy = curl_easy_init();
    if (easy) set_for_good(c, easy);
    return easy;
}

/* Everything that a transfer sets is set again by the next one, or here. */
static void give_handle_back(struct client *c, CURL *easy)
{
    if (c->handles_count == HANDLES_KEPT) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, NULL);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
    c->handles[c->handles_count++] = easy;
}

/* ---- a request ----------------------------------------------------------------------------- */
static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer) *list = longer;
    return longer;
}

/* curl's form for an empty value is "Name;". */
static struct err set_fields(struct ctx *cx, struct transfer *t, const struct outgoing *out)
{
    bool has_type = false, fine = true;
    for (int i = 0; i < out->headers_count && fine; i++) {
        struct str name = out->headers[i].name, value = str_trim(out->headers[i].value);
        if (!head_may_send(name, value)) return err(ERR_INVALID, "a header of the request may not be sent");
        char *line = arena_try_alloc(cx->arena, name.count + value.count + 3);
        if (!line) return err(ERR_MEMORY, "there is no memory for a request");
        snprintf(line, name.count + value.count + 3, value.count > 0 ? "%.*s: %.*s" : "%.*s;%.*s", STR_ARGS(name),
                 STR_ARGS(value));
        has_type = has_type || str_eq_nocase(name, S("content-type"));
        fine = add_line(&t->fields, line);
    }
    fine = fine && add_line(&t->fields, "Expect:") && (has_type || add_line(&t->fields, "Content-Type:"));
    if (!fine) return err(ERR_MEMORY, "there is no memory for a request");
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields);
    return OK;
}

static void set_method(struct transfer *t, const struct outgoing *out)
{
    bool is_get = strcmp(out->method, "GET") == 0, is_post = strcmp(out->method, "POST") == 0;
    bool has_body = out->body.count > 0 || is_post;
    curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    if (strcmp(out->method, "HEAD") == 0) curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (has_body) {
        curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)out->body.count);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, out->body.count > 0 ? out->body.at : ""); /* not copied */
    }
    bool is_usual = has_body ? is_post : is_get;
    curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, is_usual ? NULL : out->method);
}

/* FNV-1a: it only has to tell different address lists apart. */
static uint64_t name_of(const struct guard_address *a)
{
    uint64_t hash = 1469598103934665603u;
    for (const char *c = a->addresses; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    return hash;
}

/* Through a proxy the tunnel leads to the first of the guard's addresses, so the proxy resolves nothing either. */
static struct err set_address(struct ctx *cx, struct transfer *t, const struct guard_address *to)
{
    const struct guard_address *through = t->through;
    char *resolve, *connect_to;
    if (through == to) {
        resolve = arena_printf(cx->arena, "+g%016llx:%d:%s", (unsigned long long)name_of(to), to->port, to->addresses);
        connect_to = arena_printf(cx->arena, "::g%016llx:%d", (unsigned long long)name_of(to), to->port);
    } else {
        struct str rest, first = str_split(str(to->addresses), ',', &rest, NULL);
        resolve = arena_printf(cx->arena, "+%s:%d:%s", through->host, through->port, through->addresses);
        connect_to = arena_printf(cx->arena, "::%.*s:%d", STR_ARGS(first), to->port);
    }
    if (!add_line(&t->resolve, resolve) || !add_line(&t->connect_to, connect_to))
        return err(ERR_MEMORY, "there is no memory for a request");
    curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve);
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
    return OK;
}

static struct err prepare(struct ctx *cx, struct transfer *t, const struct outgoing *out)
{
    char *url = arena_try_alloc(cx->arena, out->url.count + 1);
    if (!url) return err(ERR_MEMORY, "there is no memory for a request");
    memcpy(url, out->url.at, out->url.count);
    if (strlen(url) != out->url.count) return err(ERR_INVALID, "the URL has a zero byte in it");
    if (curl_easy_setopt(t->easy, CURLOPT_URL, url) != CURLE_OK) return err(ERR_INVALID, "the URL is too long");
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->reason);
    /* With none to reuse there is nothing to search: curl would look at every connection that is in use. */
    bool has_idle = t->client->sockets.open > t->client->in_use + t->client->sockets.opening;
    curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, has_idle ? 0L : 1L);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    set_method(t, out);
    TRY(set_fields(cx, t, out));
    return set_address(cx, t, out->address);
}

/* Unfinished: curl closes the socket within this call. */
static void stop(struct transfer *t)
{
    struct client *c = t->client;
    if (!t->easy) return;
    assert(!c->is_inside);
    curl_multi_remove_handle(c->multi, t->easy);
    sockets_give_up(&c->sockets, &t->attempt);
    give_handle_back(c, t->easy);
    t->easy = NULL;
    curl_slist_free_all(t->fields);
    curl_slist_free_all(t->resolve);
    curl_slist_free_all(t->connect_to);
    t->fields = t->resolve = t->connect_to = NULL;
    c->counts.transfers_open--;
    has_ended(t);
}

/* ---- sentences --------------------------------------------------------------------------------- */
static const char *os_text(struct arena *a, int code)
{
    char *text = str_z(a, str(strerror(code)));
    if (text[0] >= 'A' && text[0] <= 'Z') text[0] = (char)(text[0] + ('a' - 'A'));
    return text;
}

/* curl's own words, where they name neither the URL nor a secret: about TLS, without their beginning. */
static const char *tls_reason(const struct transfer *t)
{
    static const char *const heads[] = {"SSL certificate problem: ", "SSL: "};
    const char *reason = t->reason && t->reason[0] ? t->reason : curl_easy_strerror(t->result);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strncmp(reason, heads[i], strlen(heads[i])) == 0) return reason + strlen(heads[i]);
    return reason;
}

static struct err not_connected(struct arena *a, const struct transfer *t)
{
    long code = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &code);
    if (t->os_error) code = t->os_error;
    if (!code) return errf(a, ERR_UPSTREAM, "could not connect to %s", t->where);
    return errf(a, ERR_UPSTREAM, "could not connect to %s (%s)", t->where, os_text(a, (int)code));
}

/* How a transfer ended, in a sentence. */
static struct err outcome(struct arena *a, const struct transfer *t)
{
    if (t->failure.code == ERR_DENIED) return errf(a, ERR_DENIED, "connecting to %s is not allowed", t->where);
    if (failed(t->failure)) return errf(a, t->failure.code, "%s (%s)", t->failure.what, t->where);
    switch (t->result) {
    case CURLE_OK:
        if (t->head.is_whole) return OK;
        break;
    case CURLE_OUT_OF_MEMORY:
        return err(ERR_MEMORY, "there is no memory for a request");
    case CURLE_URL_MALFORMAT:
        return err(ERR_INVALID, "the URL cannot be called");
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return not_connected(a, t);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return errf(a, ERR_UPSTREAM, "could not connect to %s (the proxy cannot be found)", t->where);
    case CURLE_PEER_FAILED_VERIFICATION:
        return errf(a, ERR_UPSTREAM, "the TLS certificate of %s is not valid (%s)", t->where, tls_reason(t));
    case CURLE_SSL_CONNECT_ERROR:
        return errf(a, ERR_UPSTREAM, "the TLS handshake with %s failed (%s)", t->where, tls_reason(t));
    case CURLE_SSL_CACERT_BADFILE:
        return errf(a, ERR_UPSTREAM, "the file of trusted certificates (%s) cannot be read", t->client->authorities);
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9: not even a status line */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return errf(a, ERR_UPSTREAM, "the answer of %s is not HTTP", t->where);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        break;
    default:
        return errf(a, ERR_UPSTREAM, "the request to %s failed (%s)", t->where, curl_easy_strerror(t->result));
    }
    return errf(a, ERR_UPSTREAM, "the connection to %s broke %s", t->where,
                t->head.status ? "in the middle of the answer" : "before an answer came");
}

/* ---- waiting -------------------------------------------------------------------------------------- */
/* For a change, until `bound_ms` after `since_ms`; *is_late tells that this, and not the context's deadline, passed. */
static struct err wait_for(struct ctx *cx, struct transfer *t, int64_t since_ms, int64_t bound_ms, bool *is_late)
{
    *is_late = false;
    if (bound_ms <= 0) return gate_wait(cx, &t->changed, "an answer from outside");
    int64_t left_ms = since_ms + bound_ms - clock_mono_ms();
    struct err e = gate_wait_ms(cx, &t->changed, left_ms > 0 ? left_ms : 0, "an answer from outside");
    *is_late = e.code == ERR_TIMEOUT && clock_mono_ms() >= since_ms + bound_ms;
    return e;
}

/* A server that answers before it has read the whole body (which we only borrow) is still read from, but
 * not handed out before the rest is gone. */
static bool is_answered(const struct transfer *t, const struct outgoing *out)
{
    if (!t->head.is_whole) return false;
    curl_off_t sent = 0;
    if (out->body.count > 0) curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return (size_t)sent >= out->body.count;
}

static struct err await_head(struct ctx *cx, struct transfer *t, const struct outgoing *out)
{
    int64_t begun_ms = clock_mono_ms();
    for (bool is_late; !t->is_done && !failed(t->failure) && !is_answered(t, out);) {
        bool was_connected = t->is_connected;
        struct err e = was_connected ? wait_for(cx, t, t->connected_ms, out->first_byte_ms, &is_late)
                                     : wait_for(cx, t, begun_ms, out->connect_ms, &is_late);
        if (is_late && was_connected)
            return errf(cx->arena, ERR_TIMEOUT, "%s did not answer within %lld ms", t->where, (long long)out->first_byte_ms);
        if (is_late)
            return errf(cx->arena, ERR_TIMEOUT, "could not connect to %s within %lld ms", t->where, (long long)out->connect_ms);
        TRY(e);
    }
    /* An answer that broke is still handed out as far as it came: who reads it hears of the end there. */
    return t->head.is_whole ? OK : outcome(cx->arena, t);
}

static struct err begin(struct ctx *cx, struct transfer *t, const struct outgoing *out)
{
    TRY(prepare(cx, t, out));
    if (curl_multi_add_handle(t->client->multi, t->easy) != CURLM_OK) return err(ERR_MEMORY, "there is no memory for a request");
    return await_head(cx, t, out);
}

static struct transfer *transfer_new(struct client *c, const struct guard_address *to)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->client = c;
    t->easy = take_handle(c);
    t->reason = calloc(1, CURL_ERROR_SIZE);
    bool is_v6 = strchr(to->host, ':');
    if (asprintf(&t->where, is_v6 ? "[%s]:%d" : "%s:%d", to->host, to->port) < 0) t->where = NULL;
    if (t->easy && t->where && t->reason) return t;
    if (t->easy) give_handle_back(c, t->easy);
    free(t->where);
    free(t->reason);
    free(t);
    return NULL;
}

struct err client_open(struct ctx *cx, struct client *c, const struct outgoing *out, struct transfer **opened)
{
    struct guard_address proxy;
    *opened = NULL;
    if (c->proxy) TRY(guard_resolve(cx, c->proxy_guard, &c->proxy_url, GUARD_OPERATOR, 0, &proxy));
    TRY(turnstile_pass(cx, &c->turnstile, "a turn to connect")); /* after a restart all want to, at once */
    struct transfer *t = transfer_new(c, out->address);
    if (!t) return err(ERR_MEMORY, "there is no memory for a request");
    c->counts.transfers_open++;
    set_running(c, c->running + 1);
    t->through = c->proxy ? &proxy : out->address;
    struct err e = begin(cx, t, out);
    t->through = NULL;
    if (failed(e)) {
        transfer_close(t);
        return e;
    }
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
    free(t->reason);
    t->reason = NULL;
    *opened = t;
    return OK;
}

/* ---- an answer --------------------------------------------------------------------------------------- */
int transfer_status(const struct transfer *t) { return t->head.status; }
struct str transfer_header(const struct transfer *t, const char *name) { return head_field(&t->head, name); }
bool transfer_is_silent(const struct transfer *t) { return t->body_bytes == 0; }

static void lend(struct transfer *t, struct str *bytes)
{
    struct buf spare = t->lent;
    t->lent = t->arrived;
    t->arrived = spare;
    t->arrived.count = 0;
    if (t->arrived.capacity > BUFFER_BYTES_KEPT) buf_free(&t->arrived);
    *bytes = buf_str(&t->lent);
    if (!t->is_paused) return;
    t->is_paused = false;
    curl_easy_pause(t->easy, CURLPAUSE_CONT); /* what curl held back arrives in here */
}

struct err transfer_read(struct ctx *cx, struct transfer *t, int64_t silence_ms, struct str *bytes, bool *is_end)
{
    int64_t since_ms = clock_mono_ms();
    bool is_late = false;
    struct err e = OK;
    *bytes = S("");
    *is_end = false;
    if (!t->easy) return err(ERR_CLOSED, "this answer is over");
    while (t->arrived.count == 0 && !t->is_done && !failed(t->failure) && !failed(e))
        e = wait_for(cx, t, since_ms, silence_ms, &is_late);
    if (!failed(e) && t->arrived.count > 0) {
        lend(t, bytes);
        return OK;
    }
    if (is_late) e = errf(cx->arena, ERR_TIMEOUT, "%s sent nothing for %lld ms", t->where, (long long)silence_ms);
    if (!failed(e)) e = outcome(cx->arena, t);
    *is_end = !failed(e);
    if (failed(e)) stop(t);
    return e;
}

void transfer_close(struct transfer *t)
{
    if (!t) return;
    stop(t);
    head_free(&t->head);
    buf_free(&t->arrived);
    buf_free(&t->lent);
    free(t->where);
    free(t->reason);
    free(t);
}

/* ---- the pool --------------------------------------------------------------------------------------------- */
/* Where systems keep the certificates that they trust; SSL_CERT_FILE comes first, as for OpenSSL's own programs. */
static const char *find_authorities(void)
{
    static const char *const usual[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
    const char *named = getenv("SSL_CERT_FILE");
    if (named && named[0]) return named;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (access(usual[i], R_OK) == 0) return usual[i];
    return usual[0];
}

/* curl's multi handle opens a pair of sockets for itself, in some versions for every child to see. Nobody
 * shall inherit anything, so all that is open is marked; where the kernel lacks the call, one by one. */
static void mark_all_close_on_exec(void)
{
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
}

static bool set_proxy(struct client *c, struct str proxy)
{
    const char *reason;
    if (proxy.count == 0) return true;
    c->proxy = str_z(&c->proxy_arena, proxy);
    c->proxy_guard = guard_open(c->loop, S(""));
    return c->proxy_guard && url_parse(&c->proxy_arena, str(c->proxy), &c->proxy_url, &reason);
}

struct client *client_open_pool(struct loop *loop, struct str proxy)
{
    static bool is_ready;
    if (!is_ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return NULL;
    is_ready = true;
    signal(SIGPIPE, SIG_IGN); /* TLS writes to sockets that may be closed; NOSIGNAL leaves this to us */
    struct client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->loop = loop;
    c->sockets = (struct sockets){.loop = loop, .ready = socket_ready, .arg = c};
    turnstile_open(&c->turnstile, loop, BEGUN_AT_ONCE_MAX);
    c->proxy_arena = arena_new();
    c->authorities = strdup(find_authorities());
    c->multi = curl_multi_init();
    c->sessions = curl_share_init();
    if (!c->authorities || !c->multi || !c->sessions || !set_proxy(c, proxy)) {
        client_close_pool(c);
        return NULL;
    }
    curl_share_setopt(c->sessions, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, time_wanted);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    set_running(c, 0);
    mark_all_close_on_exec();
    return c;
}

void client_close_pool(struct client *c)
{
    if (!c) return;
    assert(c->counts.transfers_open == 0);
    while (c->handles_count > 0) curl_easy_cleanup(c->handles[--c->handles_count]);
    if (c->multi) curl_multi_cleanup(c->multi); /* closes what is kept open */
    if (c->sessions) curl_share_cleanup(c->sessions);
    timer_stop(&c->timer);
    turnstile_close(&c->turnstile);
    assert(c->in_use == 0);
    sockets_free(&c->sockets);
    guard_close(c->proxy_guard);
    arena_free(&c->proxy_arena);
    free(c->authorities);
    free(c);
}

struct client_counts client_counts(const struct client *c)
{
    struct client_counts counts = c->counts;
    counts.sockets_open = c->sockets.open;
    return counts;
}
