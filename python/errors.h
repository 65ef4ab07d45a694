// Errors of the library as Python's exceptions, with the same sentence.
#pragma once

#include <nanobind/nanobind.h>

namespace retort::python {

// RetortError, UsageError (also a ValueError), InfeasibleError and StoppedError become names of the module, and every
// retort::Error that leaves a function of it becomes one of them.
void add_errors(nanobind::module_& module);

}  // namespace retort::python
