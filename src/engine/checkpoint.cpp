#include "engine/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sizes.h"

namespace retort::engine {
namespace {

using graph::Parameters;
using graph::ParameterSpec;

static_assert(std::endian::native == std::endian::little, "tensors are stored as the processor holds them");

constexpr int version = 1;
constexpr int maximum_depth = 24;  // a graph and what stands around it
// A graph and the names of tensors and classes, as many as there may be.
constexpr size_t most_header_bytes = size_t{64} << 20;
constexpr std::string_view model_format = "retort-model";
constexpr std::string_view checkpoint_format = "retort-checkpoint";

constexpr std::array<std::string_view, 7> role_names{"kernel", "bias",     "gamma", "beta",
                                                     "mean",   "variance", "range"};

std::string tensor_name(std::string_view group, const ParameterSpec& spec) {
  return fmt::format("{}/{}/{}", group, spec.node, role_names[static_cast<size_t>(spec.role)]);
}

// Covers the header (without the hash itself) and the tensors.
std::string hash_of(Json header, std::span<const uint8_t> tensors) {
  header.erase("sha256");
  Sha256 sha;
  sha.update(dump_json(header));
  sha.update(tensors);
  return sha.hex();
}

// A header under construction with the tensors that follow it.
class Writer {
 public:
  explicit Writer(std::string_view format) {
    header_["format"] = format;
    header_["version"] = version;
    header_["tensors"] = Json::array();
  }
  Json& operator[](const char* key) { return header_[key]; }

  void add(std::string_view group, const Parameters& parameters) {
    for (const ParameterSpec& spec : parameters.specs())
      header_["tensors"].push_back({{"name", tensor_name(group, spec)}, {"dims", spec.dims}});
    const auto bytes = std::as_bytes(parameters.values());
    const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
    tensors_.insert(tensors_.end(), begin, begin + bytes.size());
  }

  void write(const std::filesystem::path& path) {
    header_["sha256"] = hash_of(header_, tensors_);
    const std::string line = dump_json(header_) + "\n";
    std::vector<uint8_t> bytes(line.begin(), line.end());
    bytes.insert(bytes.end(), tensors_.begin(), tensors_.end());
    write_file_atomic(path, bytes);
  }

 private:
  Json header_;
  std::vector<uint8_t> tensors_;
};

// The header's line, without its end; nothing where the file has none within what is read of it.
std::optional<std::string> header_line(InputFile& file, std::vector<uint8_t>& behind) {
  constexpr size_t kPieceBytes = size_t{1} << 16;
  std::string line;
  behind.resize(kPieceBytes);
  while (line.size() < most_header_bytes) {
    behind.resize(file.read(behind));
    const auto end = std::ranges::find(behind, uint8_t{'\n'});
    line.append(behind.begin(), end);
    if (end != behind.end()) {
      behind.erase(behind.begin(), end + 1);
      return line;
    }
    if (behind.size() < kPieceBytes) break;
  }
  return std::nullopt;
}

class Reader {
 public:
  Reader(const std::filesystem::path& path, std::string_view format) : path_(path) {
    InputFile file(path_);
    std::vector<uint8_t> behind;  // what came with the header
    const auto line = header_line(file, behind);
    if (line)
      header_ = Json::parse(*line, limit_json_depth(path_.string() + ": the header", maximum_depth), false);
    if (!line || !header_.is_object() || header_.value("format", Json()) != Json(format))
      throw_usage("{}: not a {} file", path_.string(), format);
    if (header_.value("version", Json()) != Json(version))
      throw_usage("{}: version {} of the {} format; this program reads version {}", path_.string(),
                  dump_json(header_.value("version", Json())), format, version);
    read_tensors(file, line->size() + 1, behind);
    if (header_.value("sha256", Json()) != Json(hash_of(header_, tensors_)))
      throw_usage("{}: the file is damaged: its contents do not match their SHA-256", path_.string());
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const Json& header() const { return header_; }

  // Refuses a file that has fewer tensors than `groups` sets of this graph's parameters: before memory is taken for them.
  void require_tensors(const graph::Graph& graph, uint64_t groups) const {
    const uint64_t needed = saturating_product(
        {static_cast<uint64_t>(graph::parameter_count(graph)), groups, uint64_t{sizeof(float)}});
    if (tensors_.size() < needed)
      throw_usage("{}: has {} bytes of tensors where its graph takes {}", path_.string(), tensors_.size(),
                  needed);
  }

  // Takes the next tensors, which must be those that `parameters` has.
  void take(std::string_view group, Parameters& parameters) {
    for (const ParameterSpec& spec : parameters.specs()) {
      const std::string name = tensor_name(group, spec);
      const Json& listed = header_.at("tensors");
      if (next_ >= listed.size() || listed[next_].at("name") != Json(name) ||
          listed[next_].at("dims") != Json(spec.dims))
        throw_usage("{}: tensor {} is {}, expected {} {}", path_.string(), next_,
                    next_ < listed.size() ? dump_json(listed[next_]) : "missing", name,
                    dump_json(Json(spec.dims)));
      ++next_;
    }
    const auto values = parameters.values();
    if (tensors_.size() < values.size_bytes())
      throw_usage("{}: {} bytes of tensors are missing", path_.string(),
                  values.size_bytes() - tensors_.size());
    if (!values.empty()) std::memcpy(values.data(), tensors_.data(), values.size_bytes());
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      throw_usage("{}: its {} are not all finite numbers", path_.string(), group);
    tensors_ = tensors_.subspan(values.size_bytes());
  }

  // The hash is right and yet the header is not what it should be: made by someone else.
  template <typename Body>
  auto reading(const Body& body) {
    try {
      return body();
    } catch (const Json::exception& error) {
      throw_usage("{}: the header does not have what its format asks for: {}", path_.string(), error.what());
    }
  }

 private:
  // As many bytes as the header lists, or none at all.
  void read_tensors(InputFile& file, uint64_t header_bytes, std::span<const uint8_t> behind) {
    const uint64_t bytes = file.bytes() - std::min(file.bytes(), header_bytes);
    const uint64_t listed = reading([&] {
      uint64_t values = 0;
      for (const Json& tensor : header_.at("tensors"))
        values += std::min<uint64_t>(
            saturating_product<int64_t>(tensor.at("dims").get<std::vector<int64_t>>()), file.bytes());
      return saturating_product({values, uint64_t{sizeof(float)}});
    });
    if (listed != bytes)
      throw_usage("{}: the file is damaged: its tensors have {} bytes where its header lists {}",
                  path_.string(), bytes, listed);
    require_memory(bytes, path_.string() + ": its tensors");
    bytes_.resize(bytes);
    const size_t have = std::min(bytes_.size(), behind.size());
    std::copy_n(behind.begin(), have, bytes_.begin());
    bytes_.resize(have + file.read(std::span(bytes_).subspan(have)));
    tensors_ = bytes_;
  }

  std::filesystem::path path_;
  std::vector<uint8_t> bytes_;  // of all tensors
  Json header_;
  std::span<const uint8_t> tensors_;  // those that are not taken yet
  size_t next_ = 0;
};

// JSON has no infinity and no NaN: both stand as null, and the reader knows which is meant.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}
double number_or(const Json& json, double otherwise) {
  return json.is_null() ? otherwise : json.get<double>();
}

Json to_json(const History& history) {
  Json epochs = Json::array();
  for (const EpochResult& epoch : history.epochs)
    epochs.push_back({{"epoch", epoch.epoch},
                      {"train_loss", number(epoch.train_loss)},
                      {"train_accuracy", number(epoch.train_accuracy)},
                      {"validation_loss", number(epoch.validation_loss)},
                      {"validation_accuracy", number(epoch.validation_accuracy)},
                      {"seconds", epoch.seconds}});
  return {{"epochs", std::move(epochs)}, {"steps", history.steps}, {"seconds", history.seconds}};
}

History history_from_json(const Json& json) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  History history;
  for (const Json& epoch : json.at("epochs")) {
    EpochResult result;
    result.epoch = epoch.at("epoch").get<int>();
    result.train_loss = number_or(epoch.at("train_loss"), nan);
    result.train_accuracy = number_or(epoch.at("train_accuracy"), nan);
    result.validation_loss = number_or(epoch.at("validation_loss"), nan);
    result.validation_accuracy = number_or(epoch.at("validation_accuracy"), nan);
    result.seconds = epoch.at("seconds").get<double>();
    history.epochs.push_back(result);
  }
  history.steps = json.at("steps").get<int64_t>();
  history.seconds = json.at("seconds").get<double>();
  return history;
}

}  // namespace

void save_model(const std::filesystem::path& path, const Model& model) {
  Writer writer(model_format);
  writer["graph"] = Json::parse(graph::graph_to_json(model.graph));
  if (!model.classes.empty()) writer["classes"] = model.classes;
  if (model.split) writer["split"] = *model.split;
  writer.add("parameters", model.parameters);
  writer.write(path);
}

Model load_model(const std::filesystem::path& path) {
  Reader reader(path, model_format);
  return reader.reading([&] {
    Model model;
    try {
      model.graph = graph::graph_from_json(dump_json(reader.header().at("graph")));
    } catch (const Error& error) {
      throw_usage("{}: {}", path.string(), error.what());
    }
    reader.require_tensors(model.graph, 1);
    model.parameters = Parameters(model.graph);
    reader.take("parameters", model.parameters);
    if (reader.header().contains("classes")) reader.header().at("classes").get_to(model.classes);
    if (reader.header().contains("split")) model.split = reader.header().at("split").get<data::SplitRecord>();
    return model;
  });
}

void save_checkpoint(const std::filesystem::path& path, const graph::Graph& graph,
                     const Checkpoint& checkpoint) {
  Writer writer(checkpoint_format);
  writer["graph"] = graph::structural_hash(graph);
  writer["history"] = to_json(checkpoint.history);
  writer["rng"] = {checkpoint.rng.key, checkpoint.rng.stream, checkpoint.rng.position};
  writer["step"] = checkpoint.step;
  writer["optimizer_steps"] = checkpoint.optimizer.steps;
  writer["best_monitor"] = number(checkpoint.best_monitor);
  writer["epochs_without_gain"] = checkpoint.epochs_without_gain;
  writer["has_second"] = !checkpoint.optimizer.second.specs().empty();
  writer["has_masks"] = !checkpoint.masks.specs().empty();
  writer.add("parameters", checkpoint.parameters);
  writer.add("first", checkpoint.optimizer.first);
  writer.add("second", checkpoint.optimizer.second);
  writer.add("masks", checkpoint.masks);
  writer.write(path);
}

Checkpoint load_checkpoint(const std::filesystem::path& path, const graph::Graph& graph) {
  Reader reader(path, checkpoint_format);
  return reader.reading([&] {
    const Json& header = reader.header();
    if (header.at("graph") != Json(graph::structural_hash(graph)))
      throw_usage("{}: the checkpoint belongs to another graph ({}, not {})", path.string(),
                  dump_json(header.at("graph")), graph::structural_hash(graph));
    Checkpoint checkpoint;
    checkpoint.history = history_from_json(header.at("history"));
    const Json& rng = header.at("rng");
    checkpoint.rng = {rng.at(0).get<uint64_t>(), rng.at(1).get<uint64_t>(), rng.at(2).get<uint64_t>()};
    checkpoint.step = header.at("step").get<int64_t>();
    checkpoint.optimizer.steps = header.at("optimizer_steps").get<int64_t>();
    checkpoint.best_monitor = number_or(header.at("best_monitor"), std::numeric_limits<double>::infinity());
    checkpoint.epochs_without_gain = header.at("epochs_without_gain").get<int>();
    // It is written after an epoch, and its counts are counted on.
    constexpr int64_t most_steps = int64_t{1} << 48U;
    constexpr int most_epochs = 1 << 30U;
    if (checkpoint.history.epochs.empty() || checkpoint.optimizer.steps < 0 ||
        checkpoint.optimizer.steps > most_steps || checkpoint.epochs_without_gain < 0 ||
        checkpoint.epochs_without_gain > most_epochs)
      throw_usage(
          "{}: says {} epochs, {} without gain, and {} steps of the optimiser, which no training leaves",
          path.string(), checkpoint.history.epochs.size(), checkpoint.epochs_without_gain,
          checkpoint.optimizer.steps);
    const bool has_second = header.at("has_second").get<bool>();
    const bool has_masks = header.at("has_masks").get<bool>();
    reader.require_tensors(graph, 2U + (has_second ? 1U : 0U) + (has_masks ? 1U : 0U));
    checkpoint.parameters = Parameters(graph);
    checkpoint.optimizer.first = Parameters(graph);
    if (has_second) checkpoint.optimizer.second = Parameters(graph);
    if (has_masks) checkpoint.masks = Parameters(graph);
    reader.take("parameters", checkpoint.parameters);
    reader.take("first", checkpoint.optimizer.first);
    reader.take("second", checkpoint.optimizer.second);
    reader.take("masks", checkpoint.masks);
    return checkpoint;
  });
}

}  // namespace retort::engine
