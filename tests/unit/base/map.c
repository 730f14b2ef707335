#include "base/map.h"
#include "base/id.h"
#include "test.h"

enum { KEYS = 500 };
static int things[KEYS];

/* The model is an array: what is in it must be in the map, after any row of changes. */
TEST(a_map_agrees_with_an_array_whatever_is_done)
{
    struct map map = {0};
    bool is_in[KEYS] = {false};
    bool agrees = true;
    id_test_seed(7);
    for (int step = 0; step < 40000 && agrees; step++) {
        uint32_t chance;
        random_bytes(&chance, sizeof chance);
        int i = (int)(chance % KEYS), what = (int)(chance >> 16) % 8;
        int64_t key = (int64_t)i * 1048576 - 3;
        if (what < (step / 5000 % 2 ? 2 : 5)) {
            agrees = map_put(&map, key, &things[i]);
            is_in[i] = true;
        } else {
            agrees = map_take(&map, key) == (is_in[i] ? &things[i] : NULL);
            is_in[i] = false;
        }
        if (step % 100) continue;
        size_t count = 0, at = 0, walked = 0;
        for (int k = 0; k < KEYS; k++) {
            agrees = agrees && map_get(&map, (int64_t)k * 1048576 - 3) == (is_in[k] ? &things[k] : NULL);
            count += is_in[k];
        }
        for (int *thing; (thing = map_next(&map, &at)); walked++) agrees = agrees && is_in[thing - things];
        agrees = agrees && count == map.count && walked == count;
    }
    id_test_seed(0);
    map_free(&map);
    CHECK(agrees);
}

TEST(texts_are_keys_by_their_bytes)
{
    struct map map = {0};
    int a, b, c, d;
    bool is_right = map_put_text(&map, S("key"), &a) && map_put_text(&map, S("key\0"), &b) && map_put_text(&map, S(""), &c);
    char copy[] = "key";
    is_right = is_right && map_get_text(&map, str_n(copy, 3)) == &a && map_get_text(&map, S("key\0")) == &b;
    is_right = is_right && map_get_text(&map, (struct str){0}) == &c && !map_get_text(&map, S("ke"));
    is_right = is_right && map_put_text(&map, S("key"), &d) && map_get_text(&map, S("key")) == &d && map.count == 3;
    is_right = is_right && map_take_text(&map, S("key")) == &d && !map_take_text(&map, S("key")) && map.count == 2;
    map_free(&map);
    CHECK(is_right);
    CHECK(!map_get_text(&map, S("key\0")) && !map_take(&map, 0) && map.count == 0);
}
