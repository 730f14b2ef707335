/* engine/run.h: a task executes. Private to engine/. */
#pragma once
#include "engine/registry.h"

/* The fiber of a run: its turns one after the other, until none waits. `arg` is a struct run. */
fiber_fn run_main;
