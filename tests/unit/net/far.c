#include "far.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/wait.h"
#include "test.h"

void far_turn(struct ctx *cx, int *turns)
{
    CHECK(++*turns < FAR_TURNS_MAX);
    CHECK_OK(wait_turn(cx));
}

static struct sockaddr_in address_of(const char *address, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    CHECK(inet_aton(address, &at.sin_addr));
    return at;
}

/* *port 0 becomes the one that was chosen. */
static int listen_on(const char *address, int backlog, int *port)
{
    struct sockaddr_in at = address_of(address, *port);
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

void far_listen(struct far *p)
{
    *p = (struct far){.fd = -1};
    p->listener = listen_on("127.0.0.1", 511, &p->port);
}

void far_hangs_up(struct far *p)
{
    if (p->tls) SSL_free(p->tls);
    p->tls = NULL;
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}

void far_resets(struct far *p)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    far_hangs_up(p);
}

void far_close(struct far *p)
{
    far_hangs_up(p);
    if (p->listener >= 0) close(p->listener);
    p->listener = -1;
    buf_free(&p->heard);
}

void far_accepts(struct ctx *cx, struct far *p)
{
    int one = 1, turns = 0;
    CHECK(p->fd < 0);
    while ((p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) {
        CHECK(errno == EAGAIN);
        far_turn(cx, &turns);
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

bool far_is_called(const struct far *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

/* Bytes that came: > 0; 0 the end; -1 none yet. A reset is an end, too. */
static ssize_t take(struct far *p, char *bytes, size_t size)
{
    if (p->tls) {
        int n = SSL_read(p->tls, bytes, (int)size);
        if (n > 0) return n;
        return SSL_get_error(p->tls, n) == SSL_ERROR_WANT_READ ? -1 : 0;
    }
    ssize_t n = recv(p->fd, bytes, size, 0);
    return n < 0 && errno != EAGAIN ? 0 : n;
}

static bool is_whole_request(struct str heard)
{
    const char *blank = memmem(heard.at, heard.count, "\r\n\r\n", 4);
    if (!blank) return false;
    const char *length = memmem(heard.at, (size_t)(blank - heard.at), "Content-Length: ", 16);
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    return heard.count >= (size_t)(blank - heard.at) + 4 + body;
}

struct str far_gets(struct ctx *cx, struct far *p)
{
    char bytes[1024];
    int turns = 0;
    p->heard.count = 0;
    while (!is_whole_request(buf_str(&p->heard))) {
        ssize_t n = take(p, bytes, sizeof bytes);
        CHECK(n != 0);
        if (n > 0) buf_add(&p->heard, bytes, (size_t)n);
        else far_turn(cx, &turns);
    }
    return buf_str(&p->heard);
}

size_t far_tries_to_say(struct far *p, struct str bytes)
{
    if (p->tls) {
        int n = SSL_write(p->tls, bytes.at, (int)bytes.count);
        return n > 0 ? (size_t)n : 0;
    }
    ssize_t n = send(p->fd, bytes.at, bytes.count, MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0;
}

void far_says_bytes(struct ctx *cx, struct far *p, struct str bytes)
{
    int turns = 0;
    while (bytes.count > 0) {
        size_t n = far_tries_to_say(p, bytes);
        bytes = str_cut(bytes, n, bytes.count);
        if (bytes.count > 0) far_turn(cx, &turns);
    }
}

void far_says(struct ctx *cx, struct far *p, const char *text) { far_says_bytes(cx, p, str(text)); }

void far_hears_the_end(struct ctx *cx, struct far *p)
{
    char bytes[1024];
    int turns = 0;
    while (take(p, bytes, sizeof bytes) != 0) far_turn(cx, &turns);
}

void far_is_deaf(struct deaf_side *p) { far_is_deaf_at(p, "127.0.0.1", 0); }

void far_is_deaf_at(struct deaf_side *p, const char *address, int port)
{
    *p = (struct deaf_side){.port = port};
    p->listener = listen_on(address, 0, &p->port);
    struct sockaddr_in at = address_of(address, p->port);
    for (int i = 0; i < 8; i++) {
        p->callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        p->callers_count++;
        CHECK(p->callers[i] >= 0);
        (void)!connect(p->callers[i], (struct sockaddr *)&at, sizeof at);
    }
}

void far_is_deaf_no_more(struct deaf_side *p)
{
    for (int i = 0; i < p->callers_count; i++) close(p->callers[i]);
    close(p->listener);
}

/* ---- TLS --------------------------------------------------------------------------- */
static void add_extension(X509 *certificate, X509 *issuer, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
    CHECK(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *certificate_new(EVP_PKEY *key, const char *name, long serial)
{
    X509 *c = X509_new();
    CHECK(c && X509_set_version(c, 2) && ASN1_INTEGER_set(X509_get_serialNumber(c), serial));
    X509_gmtime_adj(X509_getm_notBefore(c), -86400);
    X509_gmtime_adj(X509_getm_notAfter(c), 86400);
    X509_NAME *n = X509_get_subject_name(c);
    X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    CHECK(X509_set_pubkey(c, key));
    return c;
}

void authority_open(struct authority *a, const char *directory, const char *host)
{
    char names[300];
    EVP_PKEY *root_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    CHECK(root_key && key);
    snprintf(a->file, sizeof a->file, "%s/authority-%s.pem", directory, host);
    size_t count = strlen(a->file);
    const char *name = a->file + (count > 64 ? count - 64 : 0); /* X.509 allows no longer one */
    X509 *root = certificate_new(root_key, name, 1), *leaf = certificate_new(key, host, 2);
    X509_set_issuer_name(root, X509_get_subject_name(root));
    add_extension(root, root, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(root, root, NID_subject_key_identifier, "hash");
    CHECK(X509_sign(root, root_key, EVP_sha256()));
    X509_set_issuer_name(leaf, X509_get_subject_name(root));
    snprintf(names, sizeof names, "DNS:%s", host);
    add_extension(leaf, root, NID_subject_alt_name, names);
    CHECK(X509_sign(leaf, root_key, EVP_sha256()));

    FILE *file = fopen(a->file, "we");
    CHECK(file && PEM_write_X509(file, root));
    fclose(file);
    a->context = SSL_CTX_new(TLS_server_method());
    CHECK(a->context && SSL_CTX_use_certificate(a->context, leaf) && SSL_CTX_use_PrivateKey(a->context, key));
    X509_free(root);
    X509_free(leaf);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(key);
}

void authority_close(struct authority *a)
{
    unlink(a->file);
    SSL_CTX_free(a->context);
}

bool far_tries_to_greet(struct ctx *cx, struct far *p, struct authority *a)
{
    p->tls = SSL_new(a->context);
    int turns = 0;
    CHECK(p->tls && SSL_set_fd(p->tls, p->fd));
    for (;;) {
        int n = SSL_accept(p->tls);
        if (n == 1) return true;
        int why = SSL_get_error(p->tls, n);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return false;
        far_turn(cx, &turns);
    }
}

void far_greets(struct ctx *cx, struct far *p, struct authority *a) { CHECK(far_tries_to_greet(cx, p, a)); }
