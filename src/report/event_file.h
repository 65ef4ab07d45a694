// TensorBoard's event files, written without TensorFlow.
//
// A file is a sequence of records (TFRecord): a length of eight bytes and its checksum, the data and theirs, all
// little-endian; checksums are CRC-32C, masked (tensorflow/tsl: lib/io/record_writer.h, lib/hash/crc32c.h). Each
// record is a protobuf message `Event` (tensorboard/compat/proto: event.proto, summary.proto); hyperparameters are
// summaries of the plugin «hparams» (tensorboard/plugins/hparams: plugin_data.proto, api.proto, metadata.py).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace retort::report {

uint32_t crc32c(std::string_view bytes);
// One record of a TFRecord file.
std::string tf_record(std::string_view data);

struct Hyperparameter {
  std::string name;
  std::variant<double, std::string> value;
};

struct NumberRange {
  double low = 0;
  double high = 0;
};
using Choices = std::vector<std::string>;  // none: any text
struct HyperparameterDomain {
  std::string name;
  std::variant<NumberRange, Choices> values;
};

enum class SessionStatus { Success = 1, Failure = 2 };  // as api.proto counts them

// The bytes of one event file. Times are seconds since 1970.
class EventFile {
 public:
  explicit EventFile(double time_seconds);

  // Scalars are 32 bits in the format.
  void scalar(std::string_view tag, int64_t step, double value, double time_seconds);
  // In the folder above all runs: columns of the table of hyperparameters; metrics are scalars' tags.
  void experiment(std::span<const HyperparameterDomain> domains, std::span<const std::string> metrics,
                  double time_seconds);
  // In a run's own folder.
  void session_start(std::string_view name, std::span<const Hyperparameter> hyperparameters,
                     double time_seconds);
  void session_end(SessionStatus status, double time_seconds);

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void hparams_summary(std::string_view tag, std::string_view plugin_data, double time_seconds);

  std::string bytes_;
};

}  // namespace retort::report
