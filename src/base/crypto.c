#include "base/crypto.h"
#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { BULK_BYTES = 1024, SMALL_BYTES = 64 };

/* What a thread keeps. Sealing and opening have a context each: one that changes direction is set up anew. */
struct tools {
    EVP_MD_CTX *digest;
    EVP_MAC_CTX *mac;
    EVP_CIPHER_CTX *sealer, *opener;
    size_t bulk_left;
    unsigned char bulk[BULK_BYTES];
};

static EVP_MD *sha256;
static EVP_MAC *hmac;
static EVP_CIPHER *aes256_gcm;
static pthread_key_t tools_key;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;
static _Thread_local struct tools *own;

/* libcrypto refuses only what no caller can mend: see the header. */
static void must(bool good)
{
    if (!good) abort();
}

static void free_tools(void *arg)
{
    struct tools *t = arg;
    EVP_MD_CTX_free(t->digest);
    EVP_MAC_CTX_free(t->mac);
    EVP_CIPHER_CTX_free(t->sealer);
    EVP_CIPHER_CTX_free(t->opener);
    OPENSSL_cleanse(t, sizeof *t);
    free(t);
}

static void free_last(void)
{
    if (own) free_tools(own), own = NULL;
    EVP_MD_free(sha256);
    EVP_MAC_free(hmac);
    EVP_CIPHER_free(aes256_gcm);
}

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    aes256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    must(sha256 && hmac && aes256_gcm && pthread_key_create(&tools_key, free_tools) == 0);
    atexit(free_last); /* the thread that ends the process runs no destructors of its own */
}

static struct tools *tools(void)
{
    if (own) return own;
    must(pthread_once(&fetched, fetch) == 0);
    struct tools *t = calloc(1, sizeof *t);
    must(t != NULL);
    OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
                           OSSL_PARAM_construct_end()};
    t->digest = EVP_MD_CTX_new();
    t->mac = EVP_MAC_CTX_new(hmac);
    t->sealer = EVP_CIPHER_CTX_new();
    t->opener = EVP_CIPHER_CTX_new();
    must(t->digest && t->mac && t->sealer && t->opener);
    must(EVP_DigestInit_ex2(t->digest, sha256, NULL) == 1 && EVP_MAC_CTX_set_params(t->mac, digest) == 1);
    must(EVP_EncryptInit_ex2(t->sealer, aes256_gcm, NULL, NULL, NULL) == 1);
    must(EVP_DecryptInit_ex2(t->opener, aes256_gcm, NULL, NULL, NULL) == 1);
    must(pthread_setspecific(tools_key, t) == 0);
    return own = t;
}

/* ---- random ------------------------------------------------------------------------ */

/* libcrypto's generator needs memory at times; the kernel's does not. */
static void draw(void *out, size_t count)
{
    if (RAND_bytes(out, (int)count) == 1) return;
    unsigned char *at = out;
    while (count) {
        ssize_t n = getrandom(at, count, 0);
        if (n < 0 && errno == EINTR) continue;
        must(n > 0);
        at += n, count -= (size_t)n;
    }
}

void crypto_random(void *out, size_t count)
{
    assert(count <= 1 << 20);
    if (count > SMALL_BYTES) {
        draw(out, count);
        return;
    }
    struct tools *t = tools();
    if (t->bulk_left < count) {
        draw(t->bulk, sizeof t->bulk);
        t->bulk_left = sizeof t->bulk;
    }
    t->bulk_left -= count;
    memcpy(out, t->bulk + t->bulk_left, count);
    OPENSSL_cleanse(t->bulk + t->bulk_left, count);
}

void crypto_random_key(unsigned char key[CRYPTO_KEY_BYTES])
{
    if (RAND_priv_bytes(key, CRYPTO_KEY_BYTES) != 1) draw(key, CRYPTO_KEY_BYTES);
}

/* ---- hashes ------------------------------------------------------------------------ */

void crypto_sha256(struct str bytes, unsigned char hash[CRYPTO_HASH_BYTES])
{
    EVP_MD_CTX *digest = tools()->digest;
    must(EVP_DigestInit_ex2(digest, NULL, NULL) == 1 && EVP_DigestUpdate(digest, bytes.at, bytes.count) == 1 &&
         EVP_DigestFinal_ex(digest, hash, NULL) == 1);
}

void crypto_hmac(struct str key, struct str bytes, unsigned char hash[CRYPTO_HASH_BYTES])
{
    static const unsigned char none[CRYPTO_KEY_BYTES];
    EVP_MAC_CTX *mac = tools()->mac;
    size_t count = CRYPTO_HASH_BYTES;
    /* A null key would mean "the one before". */
    const void *at = key.count ? (const void *)key.at : none;
    must(EVP_MAC_init(mac, at, key.count ? key.count : 1, NULL) == 1);
    must(EVP_MAC_update(mac, (const unsigned char *)bytes.at, bytes.count) == 1);
    must(EVP_MAC_final(mac, hash, &count, CRYPTO_HASH_BYTES) == 1 && count == CRYPTO_HASH_BYTES);
    must(EVP_MAC_init(mac, none, sizeof none, NULL) == 1);
}

bool crypto_equal(struct str left, struct str right)
{
    return left.count == right.count && (left.count == 0 || CRYPTO_memcmp(left.at, right.at, left.count) == 0);
}

/* ---- sealing ----------------------------------------------------------------------- */

/* A context keeps the last key's schedule, outside of all locked memory, until it gets another. */
static const unsigned char no_key[CRYPTO_KEY_BYTES];

void crypto_seal(const unsigned char key[CRYPTO_KEY_BYTES], const unsigned char nonce[CRYPTO_NONCE_BYTES],
                 struct str associated, struct str plain, unsigned char *out)
{
    assert(plain.count <= CRYPTO_SEALED_BYTES_MAX && associated.count <= CRYPTO_SEALED_BYTES_MAX);
    EVP_CIPHER_CTX *cx = tools()->sealer;
    int count;
    must(EVP_EncryptInit_ex2(cx, NULL, key, nonce, NULL) == 1);
    if (associated.count)
        must(EVP_EncryptUpdate(cx, NULL, &count, (const unsigned char *)associated.at, (int)associated.count) == 1);
    if (plain.count)
        must(EVP_EncryptUpdate(cx, out, &count, (const unsigned char *)plain.at, (int)plain.count) == 1);
    must(EVP_EncryptFinal_ex(cx, out + plain.count, &count) == 1);
    must(EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_BYTES, out + plain.count) == 1);
    must(EVP_EncryptInit_ex2(cx, NULL, no_key, NULL, NULL) == 1);
}

bool crypto_open(const unsigned char key[CRYPTO_KEY_BYTES], const unsigned char nonce[CRYPTO_NONCE_BYTES],
                 struct str associated, struct str sealed, unsigned char *out)
{
    if (sealed.count < CRYPTO_TAG_BYTES || sealed.count - CRYPTO_TAG_BYTES > CRYPTO_SEALED_BYTES_MAX) return false;
    size_t plain_count = sealed.count - CRYPTO_TAG_BYTES;
    const unsigned char *at = (const unsigned char *)sealed.at;
    EVP_CIPHER_CTX *cx = tools()->opener;
    unsigned char tag[CRYPTO_TAG_BYTES], nothing[CRYPTO_TAG_BYTES];
    int count;
    memcpy(tag, at + plain_count, sizeof tag);
    must(EVP_DecryptInit_ex2(cx, NULL, key, nonce, NULL) == 1);
    must(EVP_CIPHER_CTX_ctrl(cx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_BYTES, tag) == 1);
    if (associated.count)
        must(EVP_DecryptUpdate(cx, NULL, &count, (const unsigned char *)associated.at, (int)associated.count) == 1);
    if (plain_count) must(EVP_DecryptUpdate(cx, out, &count, at, (int)plain_count) == 1);
    bool is_whole = EVP_DecryptFinal_ex(cx, nothing, &count) == 1;
    must(EVP_DecryptInit_ex2(cx, NULL, no_key, NULL, NULL) == 1);
    if (!is_whole) OPENSSL_cleanse(out, plain_count);
    return is_whole;
}
