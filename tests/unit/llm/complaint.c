#include "llm/complaint.h"
#include "test.h"

static const struct str keys[] = {{"sk-proj-9aBcDeFgHiJkLmNoPqRsTuVwXyZ012345678", 44}, {"Bearer tok-ZZYYXXWWVVUUTT", 25}};

static struct str of(const char *said) { return complaint(test_arena(), str(said), keys, 2); }

TEST(a_key_that_is_repeated_whole_or_in_part_is_cut_out)
{
    CHECK(str_is(of("Incorrect API key provided: sk-proj-9aBcDeFgHiJkLmNoPqRsTuVwXyZ012345678. Find yours"), "Incorrect API key provided: [hidden]. Find yours"));
    CHECK(str_is(of("bad key FgHiJkLmNo!"), "bad key [hidden]!"));
    CHECK(str_is(of("{\"authorization\":\"Bearer tok-ZZYYXXWWVVUUTT\"}"), "{\"authorization\":\"[hidden]\"}"));
}

TEST(a_key_with_a_mask_in_it_is_cut_out)
{
    const char *forms[] = {"sk-proj-********************************5678", "sk-pr...5678", "sk-...", "...5678", "********5678",
                           "sk-\xE2\x80\xA6" "5678", "sk\xE2\x80\xA2\xE2\x80\xA2\xE2\x80\xA2" "78", "sk-xxxxxxxx5678", "tok-****TT", "5678", "345678"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct str said = of(arena_printf(test_arena(), "Incorrect key '%s'. See docs", forms[i]));
        if (!str_is(said, "Incorrect key '[hidden]'. See docs")) test_fail(__FILE__, __LINE__, forms[i]);
    }
}

TEST(what_is_no_secret_stays)
{
    const char *plain[] = {"Rate limit reached for gpt-4.1 in organization org-abc on tokens per min (TPM): Limit 30000, Used 30000",
                           "You exceeded your quota... see the **docs**", "The model `gpt-9` does not exist", "678", "a 5678x"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) CHECK(str_is(of(plain[i]), plain[i]));
    CHECK(str_is(complaint(test_arena(), S("abc"), (struct str[]){S("abc"), S("")}, 2), "abc"));
}

/* A key at the cut of the window must not leave its head behind. */
TEST(a_key_is_cut_out_wherever_it_stands)
{
    for (int before = 0; before < 1000; before++) {
        struct buf b = {0};
        for (int i = 0; i < before; i++) buf_add_str(&b, i % 7 ? S("a") : S(" "));
        buf_add_str(&b, keys[0]);
        struct str said = complaint(test_arena(), buf_str(&b), keys, 2);
        CHECK(said.count <= COMPLAINT_BYTES_MAX && !memmem(said.at, said.count, "sk-proj-9", 9) && !memmem(said.at, said.count, "9aBcDeFg", 8));
        buf_free(&b);
    }
}

TEST(it_is_one_printable_line_of_at_most_500_bytes)
{
    CHECK(str_is(of("  a\r\n\tb\x1b[31m\xC2\x9B" "c\x7F\xE2\x80\xAE" "d\xFF\xC3\xA9. "), "a b [31m c d \xC3\xA9"));
    struct buf b = {0};
    for (int i = 0; i < 400; i++) buf_add_str(&b, S("\xE2\x82\xAC"));
    struct str said = complaint(test_arena(), buf_str(&b), NULL, 0);
    CHECK(said.count <= COMPLAINT_BYTES_MAX && said.count >= COMPLAINT_BYTES_MAX - 3 && str_is_utf8(said));
    CHECK(of("").count == 0 && of(" . ").count == 0);
    buf_free(&b);
}
