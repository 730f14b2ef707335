#include "engine/position.h"
#include "test.h"

static struct position_live live[POSITION_LIVE_MAX];

static bool reads(const char *text, struct position *out)
{
    out->live = live;
    return position_read(str(text), out);
}

TEST(a_position_reads_as_it_was_written)
{
    struct position p = {.task = 7, .n = 123456789012345, .events = 3, .live = live}, back;
    struct position_live again[POSITION_LIVE_MAX];
    struct buf out = {0};
    position_see(&p, 40, 11);
    position_see(&p, 41, 5);
    position_write(&out, &p);
    CHECK(str_eq(buf_str(&out), S("7-123456789012345-3_40-11_41-5")));
    back.live = again;
    CHECK(position_read(buf_str(&out), &back));
    CHECK(back.task == 7 && back.n == 123456789012345 && back.events == 3 && back.live_count == 2);
    CHECK(position_seen(&back, 40) == 11 && position_seen(&back, 41) == 5 && position_seen(&back, 42) == 0);
    buf_free(&out);
}

TEST(what_is_no_position_is_refused)
{
    static const char *const wrong[] = {"",      "1",       "1-2",     "1-2-",      "-1-2-3",   "1-2-3_",    "1-2-3_4",   "1-2-3_4-",
                                        "1-2-3x", "1-2-3_4-5x", " 1-2-3", "1-2-3 ", "a-b-c", "1-2-3_4-5_", "+1-2-3",
                                        "99999999999999999999-1-1", "1-2-3_4-99999999999999999999", "1--2-3", "0x1-2-3"};
    struct position p;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(!reads(wrong[i], &p));
    CHECK(reads("0-0-0", &p));
    CHECK(reads("1-2-3_4-5", &p) && p.live_count == 1);
}

TEST(a_position_names_no_more_model_turns_than_it_has_room_for)
{
    struct buf text = {0};
    struct position p;
    buf_addf(&text, "1-2-3");
    for (int i = 0; i < POSITION_LIVE_MAX; i++) buf_addf(&text, "_%d-1", i + 1);
    buf_add(&text, "", 1);
    CHECK(reads(text.at, &p) && p.live_count == POSITION_LIVE_MAX);
    text.count--;
    buf_addf(&text, "_99-1");
    buf_add(&text, "", 1);
    CHECK(!reads(text.at, &p));
    buf_free(&text);
}

TEST(a_model_turn_that_was_written_down_is_forgotten)
{
    struct position p = {.live = live};
    position_see(&p, 1, 10);
    position_see(&p, 2, 20);
    position_see(&p, 1, 15);
    CHECK(p.live_count == 2 && position_seen(&p, 1) == 15);
    position_see(&p, 1, 0);
    CHECK(p.live_count == 1 && position_seen(&p, 1) == 0 && position_seen(&p, 2) == 20);
    position_see(&p, 9, 0);
    CHECK(p.live_count == 1);
}
