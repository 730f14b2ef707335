#include "base/crypto.h"
#include <pthread.h>
#include <stdio.h>
#include "test.h"

static struct str from_hex(const char *hex)
{
    size_t count = strlen(hex) / 2;
    char *at = arena_alloc(test_arena(), count + 1);
    for (size_t i = 0; i < count; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        at[i] = (char)byte;
    }
    return str_n(at, count);
}

static struct str hash_str(const unsigned char *hash) { return str_n((const char *)hash, CRYPTO_HASH_BYTES); }
static const unsigned char *bytes(struct str s) { return (const unsigned char *)s.at; }

/* FIPS 180-4's own examples, and again through the context that was used already. */
TEST(sha256_gives_the_published_hashes)
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    for (int round = 0; round < 2; round++) {
        crypto_sha256(S("abc"), hash);
        CHECK(str_eq(hash_str(hash), from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
        crypto_sha256(S(""), hash);
        CHECK(str_eq(hash_str(hash), from_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")));
    }
}

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block), and the empty key. */
TEST(hmac_gives_the_published_hashes)
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    crypto_hmac(from_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), S("Hi There"), hash);
    CHECK(str_eq(hash_str(hash), from_hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")));
    crypto_hmac(S("Jefe"), S("what do ya want for nothing?"), hash);
    CHECK(str_eq(hash_str(hash), from_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")));
    char key[131];
    memset(key, 0xaa, sizeof key);
    crypto_hmac(str_n(key, sizeof key), S("Test Using Larger Than Block-Size Key - Hash Key First"), hash);
    CHECK(str_eq(hash_str(hash), from_hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")));
    crypto_hmac(S(""), S(""), hash);
    CHECK(str_eq(hash_str(hash), from_hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")));
}

/* The GCM specification's test case 16: 256-bit key, associated data, an odd length. */
TEST(sealing_gives_the_published_bytes_and_opens_again)
{
    struct str key = from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    struct str nonce = from_hex("cafebabefacedbaddecaf888"), about = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    struct str plain = from_hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
                                "b16aedf5aa0de657ba637b39");
    struct str sealed = from_hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
                                 "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    unsigned char out[128];
    for (int round = 0; round < 2; round++) {
        crypto_seal(bytes(key), bytes(nonce), about, plain, out);
        CHECK(str_eq(str_n((char *)out, plain.count + CRYPTO_TAG_BYTES), sealed));
        CHECK(crypto_open(bytes(key), bytes(nonce), about, sealed, out));
        CHECK(str_eq(str_n((char *)out, plain.count), plain));
    }
}

/* Every single bit of key, nonce, associated data, text and tag counts; a refusal leaves nothing and
 * does not spoil the next opening. */
TEST(one_changed_bit_anywhere_does_not_open)
{
    unsigned char key[CRYPTO_KEY_BYTES], nonce[CRYPTO_NONCE_BYTES], sealed[5 + CRYPTO_TAG_BYTES], out[5];
    char about[3] = {'t', 0, 1};
    crypto_random_key(key);
    crypto_random(nonce, sizeof nonce);
    crypto_seal(key, nonce, str_n(about, 3), S("hello"), sealed);
    struct { void *at; size_t count; } parts[] = {{key, sizeof key}, {nonce, sizeof nonce}, {about, 3}, {sealed, sizeof sealed}};
    struct str whole = str_n((char *)sealed, sizeof sealed);
    for (size_t part = 0; part < 4; part++) {
        for (size_t bit = 0; bit < parts[part].count * 8; bit++) {
            unsigned char *byte = (unsigned char *)parts[part].at + bit / 8;
            *byte ^= (unsigned char)(1u << bit % 8);
            CHECK(!crypto_open(key, nonce, str_n(about, 3), whole, out));
            CHECK(memcmp(out, "\0\0\0\0\0", 5) == 0);
            *byte ^= (unsigned char)(1u << bit % 8);
            CHECK(crypto_open(key, nonce, str_n(about, 3), whole, out) && memcmp(out, "hello", 5) == 0);
        }
    }
    for (size_t count = 0; count < sizeof sealed; count++)
        CHECK(!crypto_open(key, nonce, str_n(about, 3), str_n((char *)sealed, count), out));
}

TEST(an_empty_text_can_be_sealed)
{
    unsigned char key[CRYPTO_KEY_BYTES], nonce[CRYPTO_NONCE_BYTES] = {0}, sealed[CRYPTO_TAG_BYTES], out[1];
    crypto_random_key(key);
    crypto_seal(key, nonce, S(""), S(""), sealed);
    CHECK(crypto_open(key, nonce, S(""), str_n((char *)sealed, sizeof sealed), out));
    sealed[3] ^= 1;
    CHECK(!crypto_open(key, nonce, S(""), str_n((char *)sealed, sizeof sealed), out));
}

TEST(equal_is_told_by_bytes_and_length)
{
    CHECK(crypto_equal(S("secret"), S("secret")) && crypto_equal(S(""), S("")));
    CHECK(!crypto_equal(S("secret"), S("secres")) && !crypto_equal(S("secret"), S("secre")) && !crypto_equal(S(""), S("s")));
}

/* A bulk draw must never lend the same bytes twice, at whatever size it is asked. */
TEST(no_two_draws_of_random_bytes_are_alike)
{
    enum { DRAWS = 2000 };
    static unsigned char drawn[DRAWS][12];
    for (int i = 0; i < DRAWS; i++) {
        char other[64];
        crypto_random(drawn[i], sizeof drawn[i]);
        crypto_random(other, (size_t)i % 65);
    }
    for (int i = 0; i < DRAWS; i++)
        for (int j = 0; j < i; j++) CHECK(memcmp(drawn[i], drawn[j], 12) != 0);
}

static void *hash_much(void *arg)
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    for (int i = 0; i < 1000; i++) crypto_sha256(S("abc"), hash);
    memcpy(arg, hash, sizeof hash);
    return NULL;
}

TEST(threads_hash_side_by_side)
{
    pthread_t threads[4];
    unsigned char hashes[4][CRYPTO_HASH_BYTES], one[CRYPTO_HASH_BYTES];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, hash_much, hashes[i]) == 0);
    crypto_sha256(S("abc"), one);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(memcmp(one, hashes[i], sizeof one) == 0);
    }
}
