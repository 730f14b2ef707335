#include "base/url.h"
#include "test.h"

TEST(good_urls_are_taken_apart)
{
    static const struct {
        const char *text;
        bool is_https;
        const char *host;
        bool is_ipv6;
        int port;
        const char *path;
    } rows[] = {
        {"http://example.com", false, "example.com", false, 80, ""},
        {"HTTPS://Example.COM/", true, "example.com", false, 443, "/"},
        {"https://api.example.com:8443/v1/x?a=1&b=%20#frag", true, "api.example.com", false, 8443, "/v1/x?a=1&b=%20"},
        {"http://a?q=/x", false, "a", false, 80, "/?q=/x"},
        {"http://a#/f?x", false, "a", false, 80, ""},
        {"http://127.0.0.1:1/x", false, "127.0.0.1", false, 1, "/x"},
        {"http://255.255.255.255", false, "255.255.255.255", false, 80, ""},
        {"http://[::1]:65535/a", false, "::1", true, 65535, "/a"},
        {"https://[2001:DB8::A]", true, "2001:db8::a", true, 443, ""},
        {"http://[::ffff:127.0.0.1]/", false, "::ffff:127.0.0.1", true, 80, "/"},
        {"http://my_service:80/", false, "my_service", false, 80, "/"},
        {"http://xn--bcher-kva.example/", false, "xn--bcher-kva.example", false, 80, "/"},
        {"http://1a.2b/", false, "1a.2b", false, 80, "/"},
        {"http://a/b@c:d//e[]{}|'\"<>", false, "a", false, 80, "/b@c:d//e[]{}|'\"<>"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct url u;
        const char *why = "";
        if (!url_parse(test_arena(), str(rows[i].text), &u, &why)) test_fail(__FILE__, __LINE__, rows[i].text);
        if (u.is_https != rows[i].is_https || !str_is(u.host, rows[i].host) || u.is_ipv6 != rows[i].is_ipv6 ||
            u.port != rows[i].port || !str_is(u.path, rows[i].path))
            test_fail(__FILE__, __LINE__, rows[i].text);
    }
}

TEST(bad_urls_are_refused_with_a_reason)
{
    static const char *const rows[][2] = {
        {"", "it is empty"},
        {"example.com", "it does not begin with http:// or https://"},
        {"/path", "it does not begin with http:// or https://"},
        {"//example.com", "it does not begin with http:// or https://"},
        {"http:/example.com", "it does not begin with http:// or https://"},
        {"http:example.com", "it does not begin with http:// or https://"},
        {"://a", "it does not begin with http:// or https://"},
        {"ftp://a", "its scheme is neither http nor https"},
        {"file:///etc/passwd", "its scheme is neither http nor https"},
        {"javascript:alert(1)", "its scheme is neither http nor https"},
        {"httpsx://a", "its scheme is neither http nor https"},
        {"http://", "its host is empty"},
        {"http:///path", "its host is empty"},
        {"http://:80", "its host is empty"},
        {"http://[]", "its host is empty"},
        {"http://?x", "its host is empty"},
        {"http://a:0", "its port is no number from 1 to 65535"},
        {"http://a:", "its port is no number from 1 to 65535"},
        {"http://a:65536", "its port is no number from 1 to 65535"},
        {"http://a:000080", "its port is no number from 1 to 65535"},
        {"http://a:-1", "its port is no number from 1 to 65535"},
        {"http://a:8 0", "it holds a space"},
        {"http://a:80:90", "its port is no number from 1 to 65535"},
        {"http://[::1]x", "its port is no number from 1 to 65535"},
        {"http://user@a", "it holds a user name or password"},
        {"http://user:pass@a/", "it holds a user name or password"},
        {"http://a@[::1]", "it holds a user name or password"},
        {"http://good.example\\@evil.example/", "it holds a backslash"},
        {"http://a/\t", "it holds a control character"},
        {"http://a/\r\nHost: b", "it holds a control character"},
        {"http://a/\x7f", "it holds a control character"},
        {" http://a", "it holds a space"},
        {"http://b\xC3\xBC" "cher.example", "it holds a character that is not ASCII"},
        {"http://a/\xFF", "it holds a character that is not ASCII"},
        {"http://a..b", "its host name has an empty part"},
        {"http://a.", "its host name has an empty part"},
        {"http://.a", "its host name has an empty part"},
        {"http://-a.b", "a part of its host name begins or ends with a hyphen"},
        {"http://a%2eb", "its host name holds a character that no host name has"},
        {"http://a,b", "its host name holds a character that no host name has"},
        {"http://127.1", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://2130706433", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://0x7f000001", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://0X7F.1", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://127.0.0.01", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://127.0.0.256", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://1.2.3.4.5", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://1.2.3.0x4", "its IPv4 address is not of the form 192.0.2.1"},
        {"http://[::1", "its IPv6 address is wrong"},
        {"http://[::1%25eth0]", "its IPv6 address is wrong"},
        {"http://[1:2]", "its IPv6 address is wrong"},
        {"http://[127.0.0.1]", "its IPv6 address is wrong"},
        {"http://::1", "its host is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct url u;
        const char *why = NULL;
        if (url_parse(test_arena(), str(rows[i][0]), &u, &why)) test_fail(__FILE__, __LINE__, rows[i][0]);
        if (!str_is(str(why), rows[i][1])) test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%s: %s", rows[i][0], why));
        CHECK(!u.host.at && (why == url_bad_scheme) == str_is(str(why), "its scheme is neither http nor https"));
    }
}

TEST(a_zero_byte_does_not_end_a_url)
{
    struct url u;
    const char *why = NULL;
    CHECK(!url_parse(test_arena(), str_n("http://a\0.evil", 14), &u, &why));
    CHECK(str_is(str(why), "it holds a control character"));
}

TEST(a_url_of_any_length_is_answered)
{
    char text[9000];
    struct url u;
    const char *why = NULL;
    memset(text, 'a', sizeof text);
    memcpy(text, "http://", 7);
    CHECK(!url_parse(test_arena(), str_n(text, sizeof text), &u, &why) && str_is(str(why), "it is longer than 8192 bytes"));
    CHECK(!url_parse(test_arena(), str_n(text, 300), &u, &why) && str_is(str(why), "its host name is too long"));
    CHECK(!url_parse(test_arena(), str_n(text, 7 + 64), &u, &why));
    CHECK(url_parse(test_arena(), str_n(text, 7 + 63), &u, &why) && u.host.count == 63);
}

TEST(a_base_and_a_path_meet_in_one_slash)
{
    struct arena *a = test_arena();
    CHECK(str_is(url_join(a, S("https://api.example.com/v1"), S("chat/completions")), "https://api.example.com/v1/chat/completions"));
    CHECK(str_is(url_join(a, S("https://api.example.com/v1//"), S("//chat")), "https://api.example.com/v1/chat"));
    CHECK(str_is(url_join(a, S("http://a"), S("b?c=d")), "http://a/b?c=d"));
    CHECK(str_is(url_join(a, S("http://a/x?k=v#f"), S("b")), "http://a/x/b?k=v"));
    CHECK(str_is(url_join(a, S("http://a/x?k=v"), S("b?c=d")), "http://a/x/b?c=d&k=v"));
}
