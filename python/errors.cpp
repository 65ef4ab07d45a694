#include "errors.h"

#include <array>

#include "base/error.h"

namespace nb = nanobind;

namespace retort::python {
namespace {

// By ErrorCode. Made once with the module and never freed: exceptions may outlive it.
struct Classes {
  PyObject* failure = nullptr;
  PyObject* usage = nullptr;
  PyObject* infeasible = nullptr;
  PyObject* stopped = nullptr;
};
Classes& classes() {
  static Classes all;
  return all;
}

PyObject* class_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::Usage:
      return classes().usage;
    case ErrorCode::Infeasible:
      return classes().infeasible;
    case ErrorCode::Interrupted:
      return classes().stopped;
    case ErrorCode::Failure:
      break;
  }
  return classes().failure;
}

PyObject* make(nb::module_& module, const char* name, const char* doc, PyObject* bases) {
  const std::string full = std::string("retort.") + name;
  PyObject* made = PyErr_NewExceptionWithDoc(full.c_str(), doc, bases, nullptr);
  if (made == nullptr) throw nb::python_error();
  module.attr(name) = nb::borrow(made);
  return made;
}

}  // namespace

void add_errors(nb::module_& module) {
  Classes& all = classes();
  all.failure =
      make(module, "RetortError", "Something failed; the message says what and where.", PyExc_RuntimeError);
  const nb::tuple both = nb::make_tuple(nb::borrow(all.failure), nb::borrow(PyExc_ValueError));
  all.usage = make(module, "UsageError",
                   "Options or data make no sense; the message says what would be right.", both.ptr());
  all.infeasible =
      make(module, "InfeasibleError", "Nothing fits the limits that were asked for.", all.failure);
  all.stopped =
      make(module, "StoppedError", "Stopped from elsewhere; what is finished is kept.", all.failure);
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      PyErr_SetString(class_of(error.code()), error.what());
    }
  });
}

}  // namespace retort::python
