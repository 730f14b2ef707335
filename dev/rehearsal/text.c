#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void grow(struct text *text, size_t more)
{
    size_t need = text->len + more + 1;
    if (need <= text->room) return;
    size_t room = text->room ? text->room * 2 : 256;
    while (room < need) room *= 2;
    text->data = realloc(text->data, room);
    if (!text->data) {
        fprintf(stderr, "rehearsal: out of memory\n");
        exit(1);
    }
    text->room = room;
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

void text_add(struct text *text, const void *data, size_t len)
{
    grow(text, len);
    if (len) memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = 0;
}

void text_put(struct text *text, const char *zero_ended)
{
    text_add(text, zero_ended, strlen(zero_ended));
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len > 0) {
        grow(text, (size_t)len);
        vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

/* One code point; the input came out of JSON, so it is near enough to UTF-8. */
static size_t code_point(const unsigned char *at, size_t left, uint32_t *out)
{
    size_t len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 1;
    if (len > left) len = 1;
    uint32_t code = len == 4 ? at[0] & 0x07u : len == 3 ? at[0] & 0x0fu : at[0] & 0x1fu;
    if (len == 1) code = 0xfffd;
    for (size_t i = 1; i < len; i++) code = code << 6 | (at[i] & 0x3fu);
    *out = code;
    return len;
}

void text_add_escaped(struct text *text, const char *data, size_t len, bool ascii)
{
    const unsigned char *at = (const unsigned char *)data;
    size_t from = 0;

    for (size_t i = 0; i < len;) {
        if (at[i] >= 0x20 && at[i] != '"' && at[i] != '\\' && (at[i] < 0x80 || !ascii)) {
            i++;
            continue;
        }
        text_add(text, data + from, i - from);
        if (at[i] >= 0x80) {
            uint32_t code;
            i += code_point(at + i, len - i, &code);
            if (code >= 0x10000) {
                code -= 0x10000;
                text_printf(text, "\\u%04x\\u%04x", 0xd800 | code >> 10, 0xdc00 | (code & 0x3ff));
            } else {
                text_printf(text, "\\u%04x", code);
            }
        } else {
            if (at[i] == '"') text_put(text, "\\\"");
            else if (at[i] == '\\') text_put(text, "\\\\");
            else if (at[i] == '\n') text_put(text, "\\n");
            else text_printf(text, "\\u%04x", at[i]);
            i++;
        }
        from = i;
    }
    text_add(text, data + from, len - from);
}

void text_add_quoted(struct text *text, const char *data, size_t len)
{
    text_put(text, "\"");
    text_add_escaped(text, data, len, false);
    text_put(text, "\"");
}

void text_eat(struct text *text, size_t len)
{
    if (len >= text->len) {
        text->len = 0;
        if (text->data) text->data[0] = 0;
        return;
    }
    memmove(text->data, text->data + len, text->len - len + 1);
    text->len -= len;
}

const char *text_find(const char *data, size_t len, const char *word)
{
    size_t want = strlen(word);
    for (size_t i = 0; i + want <= len; i++)
        if (strncasecmp(data + i, word, want) == 0) return data + i;
    return NULL;
}
