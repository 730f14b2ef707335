/* The operator's own listener. */
#include <stdio.h>
#include <stdlib.h>
#include "flow/play.h"

/* Ask the listener that the log names; the answer in the arena. */
static const char *asks_operator(struct play *play, const char *path)
{
    const char *at = strstr(serve_log(play), "metrics on http://");
    CHECK(at != NULL);
    int port = atoi(strchr(at + strlen("metrics on http:"), ':') + 1);
    const char *const args[] = {"/usr/bin/curl", "-sS", "-m", "20", arena_printf(test_arena(), "http://127.0.0.1:%d%s", port, path), 0};
    const char *const none[] = {0};
    return program_run(args, none).out;
}

FLOW(what_is_alive_can_be_counted_on_a_listener_of_its_own)
{
    serve_own(play, "METRICS_LISTEN=127.0.0.1:0");
    const char *agent = agent_of(client(play), "");
    struct client *anna = client(play);
    sends(anna, arena_printf(test_arena(), "POST /v1/agents/%s/invoke", agent), says(play, "[[gate $go]][[say x]]", ""));
    model_waits(play, "open=1");
    const char *metrics = asks_operator(play, "/metrics");
    CHECK(strstr(metrics, "\nagentd_runs 1\n"));
    CHECK(strstr(metrics, "\nagentd_model_calls 1\n"));
    CHECK(strstr(metrics, "\nagentd_tasks 1\n"));
    CHECK(strstr(metrics, "\nagentd_orphans 0\n"));
    CHECK(strstr(asks_operator(play, "/fibers"), "\tthe end of a turn\n"));
    CHECK(!strstr(asks_operator(play, "/v1/tasks"), agent));
    model_gate(play, "go");
    gets_status(anna, 200);
}

FLOW(the_public_port_has_no_metrics)
{
    struct client *anna = client(play);
    sends(anna, "GET /metrics", "");
    gets_status(anna, 404);
}
