#include "net/head.h"
#include "test.h"

static struct err add_all(struct head *head, const char *lines)
{
    struct str rest = str(lines);
    for (bool more = true; more && rest.count > 0;) {
        const char *begin = rest.at;
        str_split(rest, '\n', &rest, &more);
        TRY(head_add(head, str_n(begin, (size_t)(rest.at - begin))));
    }
    return OK;
}

TEST(a_head_is_whole_after_its_blank_line)
{
    struct head head = {0};
    CHECK_OK(add_all(&head, "HTTP/1.1 429 Too Many\r\nRetry-After:  7 \r\nX:\r\nretry-after: 9\r\n"));
    CHECK(!head.is_whole);
    CHECK_OK(head_add(&head, S("\r\n")));
    CHECK(head.is_whole && head.status == 429);
    CHECK(str_is(head_field(&head, "retry-after"), "7") && str_is(head_field(&head, "x"), ""));
    CHECK(str_is(head_field(&head, "retry"), ""));
    CHECK_OK(head_add(&head, S("Trailer: x\r\n")));
    CHECK(str_is(head_field(&head, "trailer"), ""));
    head_free(&head);
}

TEST(a_head_that_only_announces_is_forgotten)
{
    struct head head = {0};
    CHECK_OK(add_all(&head, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200\r\n\r\n"));
    CHECK(head.is_whole && head.status == 200 && head_field(&head, "link").count == 0);
    head_free(&head);
}

TEST(a_head_without_status_or_bound_is_an_error)
{
    static const char *const firsts[] = {"\r\n", "HTTP/1.1\r\n", "HTTP/1.1 abc\r\n", "HTTP/1.1 99 x\r\n", "ICY 200 OK\r\n"};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct head head = {0};
        CHECK(head_add(&head, str(firsts[i])).code == ERR_UPSTREAM);
    }
    struct head head = {0};
    struct err e = head_add(&head, S("HTTP/1.1 200 OK\r\n"));
    int lines = 0;
    for (; !failed(e) && lines < HEAD_BYTES_MAX; lines++) e = head_add(&head, S("X: 4567890123\r\n"));
    CHECK(e.code == ERR_LIMIT && lines == HEAD_BYTES_MAX / 15 + 1);
    head_free(&head);
}

TEST(a_field_that_could_forge_a_message_is_not_sent)
{
    CHECK(head_may_send(S("x-api-key"), S("a b\tc")) && head_may_send(S("Authorization"), S("Bearer \xC3\xA9")));
    CHECK(head_may_send(S("X-Empty"), S("")));
    CHECK(!head_may_send(S(""), S("x")) && !head_may_send(S("a b"), S("x")) && !head_may_send(S("a:"), S("x")));
    CHECK(!head_may_send(S("a\0b"), S("x")) && !head_may_send(S("\xC3\xA9"), S("x")));
    CHECK(!head_may_send(S("a"), S("x\r\nHost: y")) && !head_may_send(S("a"), S("x\n")) && !head_may_send(S("a"), S("x\0")));
    static const char *const ours[] = {"Host", "Content-Length", "Transfer-Encoding", "CONNECTION", "Expect", "Upgrade", "TE"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) CHECK(!head_may_send(str(ours[i]), S("x")));
}
