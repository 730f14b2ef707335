#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_start(struct answer *answer)
{
    *answer = (struct answer){.keep_alive = true, .until_close = true};
}

static void head_line(struct answer *answer)
{
    char *line = answer->line;
    line[answer->line_len < sizeof answer->line ? answer->line_len : sizeof answer->line - 1] = 0;
    if (strncmp(line, "HTTP/1.", 7) == 0) answer->status = atoi(line + 9);
    else if (strncasecmp(line, "content-length:", 15) == 0) {
        answer->left = strtoul(line + 15, NULL, 10);
        answer->until_close = false;
    } else if (strncasecmp(line, "transfer-encoding:", 18) == 0 && strcasestr(line, "chunked")) {
        answer->until_close = false;
        answer->chunked = true;
    } else if (strncasecmp(line, "connection:", 11) == 0 && strcasestr(line, "close")) answer->keep_alive = false;
}

/* The empty line: what follows? */
static void head_ends(struct answer *answer)
{
    if (answer->status == 204 || answer->status == 304 || (answer->status >= 100 && answer->status < 200)) {
        answer->until_close = false;
        answer->left = 0;
        answer->chunked = false;
    }
    if (answer->status == 100) answer->state = ANSWER_HEAD;
    else if (answer->chunked) {
        answer->state = ANSWER_SIZE;
        answer->left = 0;
    } else answer->state = !answer->until_close && answer->left == 0 ? ANSWER_WHOLE : ANSWER_BODY;
    answer->line_len = 0;
}

static void body(struct answer *answer, const char *data, size_t len, line_fn *on_line, void *arg)
{
    while (len) {
        const char *end = memchr(data, '\n', len);
        size_t piece = end ? (size_t)(end - data) : len;
        if (answer->line_len < sizeof answer->line) {
            size_t room = sizeof answer->line - answer->line_len;
            memcpy(answer->line + answer->line_len, data, piece < room ? piece : room);
        }
        answer->line_len += piece;
        if (!end) return;
        size_t kept = answer->line_len < sizeof answer->line ? answer->line_len : sizeof answer->line;
        if (kept >= 5 && memcmp(answer->line, "data:", 5) == 0) {
            answer->events++;
            if (on_line) on_line(arg, answer->line, kept);
        }
        answer->line_len = 0;
        data += piece + 1;
        len -= piece + 1;
    }
}

static void head_byte(struct answer *answer, char c)
{
    if (c == '\r') return;
    if (c != '\n') {
        if (answer->line_len < sizeof answer->line) answer->line[answer->line_len++] = c;
        return;
    }
    if (answer->line_len == 0) head_ends(answer);
    else head_line(answer);
    answer->line_len = 0;
}

static void size_byte(struct answer *answer, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    if (digit) answer->left = answer->left * 16 + (size_t)(digit - digits);
    if (c == '\n') answer->state = answer->left ? ANSWER_CHUNK : ANSWER_TRAILER;
}

size_t answer_feed(struct answer *answer, const char *data, size_t len, line_fn *on_line, void *arg)
{
    size_t at = 0;
    while (at < len && answer->state != ANSWER_WHOLE) {
        switch (answer->state) {
        case ANSWER_HEAD: head_byte(answer, data[at++]); break;
        case ANSWER_SIZE: size_byte(answer, data[at++]); break;
        case ANSWER_CHUNK_END:
            if (data[at++] == '\n') answer->state = ANSWER_SIZE;
            break;
        case ANSWER_TRAILER:
            if (data[at++] == '\n') answer->state = ANSWER_WHOLE;
            break;
        case ANSWER_BODY:
        case ANSWER_CHUNK: {
            size_t piece = len - at;
            if (!answer->until_close && piece > answer->left) piece = answer->left;
            body(answer, data + at, piece, on_line, arg);
            at += piece;
            if (answer->until_close) break;
            answer->left -= piece;
            if (answer->left == 0) answer->state = answer->state == ANSWER_CHUNK ? ANSWER_CHUNK_END : ANSWER_WHOLE;
            break;
        }
        case ANSWER_WHOLE: break;
        }
    }
    return at;
}
