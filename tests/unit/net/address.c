#include "net/address.h"
#include "test.h"

static bool is_public(const char *text)
{
    union address address;
    CHECK(address_read(str(text), &address));
    return address_is_public(&address.any);
}

/* The first and the last address of every range, for off-by-one prefixes. */
TEST(no_address_of_a_special_range_is_public)
{
    static const char *const rows[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255",
        "127.0.0.0", "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255",
        "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.0.255", "192.0.2.0", "192.0.2.255",
        "192.31.196.0", "192.31.196.255", "192.52.193.0", "192.52.193.255", "192.88.99.0", "192.88.99.255",
        "192.168.0.0", "192.168.255.255", "192.175.48.0", "192.175.48.255", "198.18.0.0", "198.19.255.255",
        "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0",
        "255.255.255.254", "255.255.255.255",
        "::", "::1", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b:1::", "64:ff9b:1:ffff::8.8.8.8",
        "64:ff9b:0:0:0:1:8.8.8.8", "100::", "100::1", "100:0:0:1::", "2001::", "2001:0:808:808::", "2001:1::1", "2001:2::1",
        "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::1", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "2620:4f:8000::1", "3ffe::1", "3fff::", "3fff:fff:ffff::1", "4000::1", "5f00::1", "fbff::1", "fc00::", "fd00:ec2::254",
        "fdff:ffff::1", "fe00::1", "fe80::", "fe80::1", "febf::1", "fec0::", "feff::1", "ff00::", "ff02::1", "ffff::1", "1fff::1",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (is_public(rows[i])) test_fail(__FILE__, __LINE__, rows[i]);
}

TEST(the_neighbours_of_special_ranges_are_public)
{
    static const char *const rows[] = {
        "1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.31.195.255", "192.52.194.0", "192.88.98.255", "192.88.100.0",
        "192.167.255.255", "192.169.0.0", "192.175.47.255", "192.175.49.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
        "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
        "2000::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "2003::1", "2606:4700::1111", "2620:4f:7fff::1",
        "2a00:1450:4001::200e", "3ffd:ffff::1", "3fff:1000::1",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!is_public(rows[i])) test_fail(__FILE__, __LINE__, rows[i]);
}

/* Ways to write an IPv4 address inside an IPv6 one are as public as what they lead to. */
TEST(an_embedded_address_decides)
{
    static const char *const forms[] = {"::ffff:%s", "64:ff9b::%s", "2600:1::5efe:%s", "2600:1::200:5efe:%s"};
    static const char *const inner[] = {"127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "0.0.0.0"};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
            struct str head = str_cut(str(forms[f]), 0, strlen(forms[f]) - 2);
            CHECK(!is_public(strf(test_arena(), "%.*s%s", STR_ARGS(head), inner[i]).at));
            CHECK(is_public(strf(test_arena(), "%.*s%s", STR_ARGS(head), "8.8.8.8").at));
        }
    }
    CHECK(!is_public("2002:7f00:1::") && !is_public("2002:a9fe:a9fe::1") && !is_public("2002:c0a8:1::"));
    CHECK(is_public("2002:808:808::1"));
}

static bool reads_as(const char *text, const char *expected)
{
    union address address;
    char out[ADDRESS_TEXT_MAX];
    return address_read(str(text), &address) && address_text(&address.any, out) && strcmp(out, expected) == 0;
}

TEST(every_spelling_of_a_number_has_one_canonical_form)
{
    static const char *const loopbacks[] = {
        "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F000001", "0x7f.1", "0x7f.0.0.0x1",
        "017700000001", "0177.0.0.1", "0177.1", "127.0.0.01", "0000177.0.0.1", "127.000.000.001"};
    for (size_t i = 0; i < sizeof loopbacks / sizeof *loopbacks; i++)
        if (!reads_as(loopbacks[i], "127.0.0.1")) test_fail(__FILE__, __LINE__, loopbacks[i]);
    CHECK(reads_as("0", "0.0.0.0") && reads_as("0x0", "0.0.0.0") && reads_as("4294967295", "255.255.255.255"));
    CHECK(reads_as("2852039166", "169.254.169.254") && reads_as("0xa9fea9fe", "169.254.169.254"));
    CHECK(reads_as("::1", "[::1]") && reads_as("[::1]", "[::1]") && reads_as("0:0:0:0:0:0:0:1", "[::1]"));
    CHECK(reads_as("::FFFF:7f00:1", "[::ffff:127.0.0.1]"));
}

TEST(what_is_no_number_is_not_read_as_one)
{
    static const char *const rows[] = {"", ".", "[]", "a", "localhost", "256.0.0.1", "1.2.3.4.5", "1.2.3.256", "4294967296",
                                       "127.0.0.1 x", " 127.0.0.1", "127.0.0.1\n", "127..1", "::1%lo", "::g", "1:2", "08.1.1.1"};
    union address address;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (address_read(str(rows[i]), &address)) test_fail(__FILE__, __LINE__, rows[i]);
    CHECK(!address_read(S("127.0.0.1\0.example.com"), &address));
}
