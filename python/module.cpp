// What retort/__init__.py builds on: functions of bytes, arrays and JSON texts.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "cli/inspect.h"
#include "cli/options.h"
#include "cli/parse_sentence.h"
#include "cli/search_command.h"
#include "cli/target.h"
#include "data/arrays.h"
#include "data/export.h"
#include "data/reader.h"
#include "errors.h"
#include "int8/evaluate.h"
#include "int8/evaluator.h"
#include "int8/tflite.h"
#include "report/report.h"
#include "search/search.h"
#include "search_call.h"
#include "study/secrets.h"

namespace nb = nanobind;

namespace retort::python {
namespace {

// An array's memory, its shape and NumPy's name of its type ("|u1", "<f4").
using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using NamedArray = std::pair<Array, std::string>;

data::NamedArray copy_of(const NamedArray& given, const char* name) {
  const auto& [array, dtype] = given;
  data::NamedArray copy{.name = name, .array = {.dtype = dtype, .shape = {}, .bytes = {}}};
  for (size_t d = 0; d < array.ndim(); ++d) copy.array.shape.push_back(static_cast<int64_t>(array.shape(d)));
  const auto* bytes = static_cast<const uint8_t*>(array.data());
  copy.array.bytes.assign(bytes, bytes + array.nbytes());
  return copy;
}

// A NumPy array that owns the values.
template <typename T>
nb::object numpy(std::vector<T> values, std::vector<size_t> shape) {
  auto* owned = new std::vector<T>(std::move(values));
  const nb::capsule owner(owned, [](void* memory) noexcept { delete static_cast<std::vector<T>*>(memory); });
  return nb::ndarray<nb::numpy, T>(owned->data(), shape.size(), shape.data(), owner).cast();
}

// Words of a command line, as the program itself takes them.
void parse(CLI::App& app, std::vector<std::string> words) {
  std::ranges::reverse(words);  // CLI11 takes them from the end
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    throw_usage("{}", cli::parse_sentence(app, error));
  }
}

// Like a subcommand of the program, for the sentences.
CLI::App& add_command(CLI::App& program, const char* name) {
  program.name("retort");
  return *program.add_subcommand(name);
}

std::string found(const search::StudyResult& study, const Json& result) {
  return dump_json(Json{{"result", result}, {"trials_csv", report::trials_csv(study)}});
}

class Search {
 public:
  Search(const std::string& folder, const std::vector<std::string>& words, const std::string& command_line) {
    command_.folder = folder;
    command_.command_line = study::hide_passwords(command_line);
    CLI::App& app = add_command(program_, "search");
    app.set_help_flag();
    cli::add_search_options(app, command_);
    std::vector<std::string> all = {"search"};
    all.insert(all.end(), words.begin(), words.end());
    parse(program_, all);
    cli::settle(app, command_);
  }

  std::string run_on_spec(const std::string& spec, nb::object progress) {
    std::shared_ptr<const data::Dataset> dataset;
    {
      const nb::gil_scoped_release without_lock;
      dataset = data::load_dataset(spec, {}, silent_progress());
    }
    return run(*dataset, std::move(progress));
  }

  std::string run_on_arrays(const NamedArray& x_train, const NamedArray& y_train,
                            const std::optional<NamedArray>& x_test, const std::optional<NamedArray>& y_test,
                            const std::vector<std::string>& classes, nb::object progress) {
    data::ArrayData arrays{
        .x_train = copy_of(x_train, "x_train"), .y_train = copy_of(y_train, "y_train"), .test = {}};
    if (x_test.has_value() != y_test.has_value())
      throw_usage("{} is given without {}", x_test ? "x_test" : "y_test", x_test ? "y_test" : "x_test");
    if (x_test) arrays.test = {copy_of(*x_test, "x_test"), copy_of(*y_test, "y_test")};
    std::shared_ptr<const data::Dataset> dataset;
    {
      const nb::gil_scoped_release without_lock;
      // In the study's folder, so that every command finds them again.
      const std::filesystem::path kept = command_.folder / "data";
      refuse_link(kept);
      dataset = data::dataset_of_arrays("npy:" + kept.string(), std::move(arrays), classes, {});
      if (!std::filesystem::exists(command_.folder / "study.db"))
        data::export_npy(*dataset, data::stratified_split(*dataset, command_.settings.split), kept);
    }
    return run(*dataset, std::move(progress));
  }

 private:
  std::string run(const data::Dataset& dataset, nb::object progress) {
    const search::StudyResult study = search_and_wait(command_, dataset, std::move(progress));
    cli::require_model(study, command_.folder);
    return found(study, cli::result_json(study, command_.settings.target, command_.folder));
  }

  CLI::App program_;
  cli::SearchCommand command_;
};

std::string load(const std::string& folder) {
  const search::StudyResult study = search::load_study(folder);
  Json result = cli::result_json(study, {}, folder);
  // They are the command's, not the study's.
  result.erase("runtime");
  result.erase("board");
  return found(study, result);
}

// Name ("flash"), type, description and default of each option of a search.
std::vector<std::tuple<std::string, std::string, std::string, std::string>> search_options() {
  CLI::App app;
  app.set_help_flag();
  cli::SearchCommand command;
  cli::add_search_options(app, command);
  std::vector<std::tuple<std::string, std::string, std::string, std::string>> options;
  for (const CLI::Option* option : app.get_options()) {
    std::string name = option->get_lnames().at(0);
    std::ranges::replace(name, '-', '_');
    options.emplace_back(std::move(name), option->get_type_name(), option->get_description(),
                         option->get_default_str());
  }
  return options;
}

std::span<const uint8_t> view(const nb::bytes& bytes) {
  return {static_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

nb::bytes read_model(const std::string& file) {
  std::vector<uint8_t> bytes;
  {
    const nb::gil_scoped_release without_lock;
    bytes = read_file(file, int8::kMostTfliteBytes);
  }
  return nb::bytes(bytes.data(), bytes.size());
}

// (outputs, accuracy or None, seconds). `images`: N × whatever the model takes, uint8. `labels`: N, uint16.
nb::tuple evaluate(
    const nb::bytes& model, const std::string& name,
    const nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>& images,
    const std::optional<nb::ndarray<const uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>>& labels,
    int threads) {
  const int8::QuantGraph graph = int8::read_tflite(view(model), name);
  int8::Evaluator evaluator(graph);
  const size_t count = images.ndim() == 0 ? 0 : images.shape(0);
  if (count == 0) throw_usage("x has no images");
  if (images.size() != count * evaluator.image_bytes()) {
    std::vector<size_t> shape;
    for (size_t d = 1; d < images.ndim(); ++d) shape.push_back(images.shape(d));
    const std::vector<int>& dims = graph.tensors.at(static_cast<size_t>(graph.inputs.at(0))).dims;
    throw_usage("{} takes {} but x has images of {}", name, fmt::join(dims.begin() + 1, dims.end(), "x"),
                fmt::join(shape, "x"));
  }
  if (labels && labels->shape(0) != count)
    throw_usage("y has {} labels for {} images", labels->shape(0), count);
  std::vector<int8_t> outputs;
  double accuracy = 0;
  double seconds = 0;
  {
    const nb::gil_scoped_release without_lock;
    std::vector<uint32_t> indices(count);
    std::iota(indices.begin(), indices.end(), 0U);
    const auto start = std::chrono::steady_clock::now();
    // More than there are cores would each take memory for nothing.
    threads = std::min(threads, available_cores());
    outputs = int8::run_all(evaluator, {{images.data(), images.size()}, indices}, threads, [](size_t) {
      const nb::gil_scoped_acquire with_lock;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    });
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (labels) accuracy = int8::accuracy(outputs, indices, {labels->data(), count});
  }
  const std::vector<size_t> shape = {count, evaluator.outputs()};
  auto real = int8::real_outputs(graph, outputs);
  nb::object array = real ? numpy(std::move(*real), shape) : numpy(std::move(outputs), shape);
  return nb::make_tuple(array, labels ? nb::cast(accuracy) : nb::none(), seconds);
}

std::string inspect(const nb::bytes& model, const std::string& name, const std::vector<std::string>& words) {
  CLI::App program;
  CLI::App& app = add_command(program, "inspect");
  app.set_help_flag();
  cli::TargetOptions target;
  cli::add_target_options(app, target);
  std::vector<std::string> all = {"inspect"};
  all.insert(all.end(), words.begin(), words.end());
  parse(program, all);
  const std::span<const uint8_t> bytes = view(model);
  return dump_json(cli::inspection_json({bytes.begin(), bytes.end()}, name, cli::resolve_target(target)));
}

nb::object to_bytes(const nb::ndarray<const float, nb::c_contig, nb::device::cpu>& values, float low,
                    float high) {
  if (!data::is_range({low, high}))
    throw_usage("value_range is ({}, {}): the first must be less than the second, both finite numbers", low,
                high);
  std::vector<size_t> shape;
  for (size_t d = 0; d < values.ndim(); ++d) shape.push_back(values.shape(d));
  const std::span<const float> all(values.data(), values.size());
  if (!all.empty()) data::require_finite(all, shape.empty() ? 1 : all.size() / shape[0], "x");
  return numpy(data::to_bytes(all, {low, high}), shape);
}

}  // namespace
}  // namespace retort::python

NB_MODULE(_retort, module) {
  using namespace nb::literals;
  namespace here = retort::python;
  nb::set_leak_warnings(false);  // of a process that is killed in a search
  module.attr("__version__") = RETORT_VERSION;
  here::add_errors(module);
  nb::class_<here::Search>(module, "Search")
      .def(nb::init<const std::string&, const std::vector<std::string>&, const std::string&>(), "folder"_a,
           "words"_a, "command_line"_a)
      .def("run_on_spec", &here::Search::run_on_spec, "spec"_a, "progress"_a.none())
      .def("run_on_arrays", &here::Search::run_on_arrays, "x_train"_a, "y_train"_a, "x_test"_a.none(),
           "y_test"_a.none(), "classes"_a, "progress"_a.none());
  module.def("load", &here::load, "folder"_a);
  module.def("search_options", &here::search_options);
  module.def("read_model", &here::read_model, "file"_a);
  module.def("evaluate", &here::evaluate, "model"_a, "name"_a, "images"_a, "labels"_a.none(), "threads"_a);
  module.def("inspect", &here::inspect, "model"_a, "name"_a, "words"_a);
  module.def("to_bytes", &here::to_bytes, "values"_a, "low"_a, "high"_a);
}
