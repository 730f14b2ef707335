/* engine/stop.h: the fiber of a stop. Private to engine/; the call is engine_stop (engine/engine.h). */
#pragma once
#include "io/scope.h"
fiber_fn stop_main; /* `arg` is a struct act */
