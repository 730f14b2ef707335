/* base/crypto.h: the one door to libcrypto: sealing, hashing, random bytes.
 *
 * Algorithms are fetched once per process and contexts are reused per thread: that makes a
 * hash of a key five times cheaper.
 *
 * Threads   Any; a thread's contexts are made when it first asks and go with it.
 * Memory    Keys are borrowed for the call. No key schedule is left behind in a context.
 * Errors    Where nothing is promised here nothing can fail: a libcrypto without AES-GCM, or a
 *           thread's very first call without 2 KiB of memory, ends the process. */
#pragma once
#include "base/str.h"

enum { CRYPTO_KEY_BYTES = 32, CRYPTO_NONCE_BYTES = 12, CRYPTO_TAG_BYTES = 16, CRYPTO_HASH_BYTES = 32 };
/* More than this is never sealed at once. */
enum { CRYPTO_SEALED_BYTES_MAX = 1 << 30 };

/* Unpredictable bytes: ids, nonces. Small draws come out of a bulk draw. */
void crypto_random(void *out, size_t count);
/* For keys: always fresh from libcrypto's private generator. */
void crypto_random_key(unsigned char key[CRYPTO_KEY_BYTES]);

void crypto_sha256(struct str bytes, unsigned char hash[CRYPTO_HASH_BYTES]);
/* HMAC-SHA-256; a key of any length. It also derives: a key for one purpose is the HMAC of the purpose's name. */
void crypto_hmac(struct str key, struct str bytes, unsigned char hash[CRYPTO_HASH_BYTES]);

/* In a time that tells nothing about where they differ; lengths are no secret. */
bool crypto_equal(struct str left, struct str right);

/* AES-256-GCM. `out` has room for plain.count + CRYPTO_TAG_BYTES: the ciphertext, then the tag.
 * A nonce is never used twice with one key. */
void crypto_seal(const unsigned char key[CRYPTO_KEY_BYTES], const unsigned char nonce[CRYPTO_NONCE_BYTES],
                 struct str associated, struct str plain, unsigned char *out);
/* The reverse; `out` has room for sealed.count - CRYPTO_TAG_BYTES. False: not what was sealed with
 * this key, nonce and associated data; `out` is wiped then. */
bool crypto_open(const unsigned char key[CRYPTO_KEY_BYTES], const unsigned char nonce[CRYPTO_NONCE_BYTES],
                 struct str associated, struct str sealed, unsigned char *out) MUST_CHECK;
