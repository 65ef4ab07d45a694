#include "report/event_file.h"

#include <array>
#include <bit>

namespace retort::report {
namespace {

template <typename Unsigned>
void append_little_endian(std::string& out, Unsigned value) {
  for (size_t i = 0; i < sizeof(Unsigned); ++i) out += static_cast<char>(value >> (8 * i) & 0xffU);
}

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  constexpr uint32_t kCastagnoli = 0x82f63b78;  // reflected
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? kCastagnoli : 0);
    table[i] = crc;
  }
  return table;
}();

// A checksum of data that holds checksums would say little.
uint32_t masked(uint32_t crc) {
  constexpr uint32_t kMaskDelta = 0xa282ead8;
  return std::rotr(crc, 15) + kMaskDelta;
}

// A protobuf message that is written field by field.
class Message {
 public:
  Message& integer(int field, int64_t value) {
    key(field, 0);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) {
    key(field, 1);
    append_little_endian(bytes_, std::bit_cast<uint64_t>(value));
    return *this;
  }
  Message& single(int field, float value) {
    key(field, 5);
    append_little_endian(bytes_, std::bit_cast<uint32_t>(value));
    return *this;
  }
  Message& text(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, unsigned wire_type) { varint(static_cast<unsigned>(field) << 3U | wire_type); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

Message event(double time_seconds, int64_t step) {
  return Message().number(1, time_seconds).integer(2, step);
}

Message protobuf_value(const std::variant<double, std::string>& value) {  // google.protobuf.Value
  if (const auto* number = std::get_if<double>(&value)) return Message().number(2, *number);
  return Message().text(3, std::get<std::string>(value));
}

Message hparam_info(const HyperparameterDomain& domain) {
  constexpr int kString = 1;
  constexpr int kFloat64 = 3;
  Message info = Message().text(1, domain.name);
  if (const auto* range = std::get_if<NumberRange>(&domain.values))
    return info.integer(4, kFloat64).message(6, Message().number(1, range->low).number(2, range->high));
  info.integer(4, kString);
  Message list;
  for (const std::string& choice : std::get<Choices>(domain.values)) list.message(1, protobuf_value(choice));
  return list.bytes().empty() ? info : info.message(5, list);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xffU];
  return ~crc;
}

std::string tf_record(std::string_view data) {
  std::string out;
  append_little_endian(out, uint64_t{data.size()});
  append_little_endian(out, masked(crc32c(out)));
  out += data;
  append_little_endian(out, masked(crc32c(data)));
  return out;
}

EventFile::EventFile(double time_seconds)
    : bytes_(tf_record(Message().number(1, time_seconds).text(3, "brain.Event:2").bytes())) {}

void EventFile::scalar(std::string_view tag, int64_t step, double value, double time_seconds) {
  const Message summary_value = Message().text(1, tag).single(2, static_cast<float>(value));
  bytes_ += tf_record(event(time_seconds, step).message(5, Message().message(1, summary_value)).bytes());
}

void EventFile::experiment(std::span<const HyperparameterDomain> domains,
                           std::span<const std::string> metrics, double time_seconds) {
  Message experiment = Message().number(3, time_seconds);
  for (const HyperparameterDomain& domain : domains) experiment.message(4, hparam_info(domain));
  for (const std::string& metric : metrics)
    experiment.message(5, Message().message(1, Message().text(2, metric)));
  hparams_summary("_hparams_/experiment", Message().message(2, experiment).bytes(), time_seconds);
}

void EventFile::session_start(std::string_view name, std::span<const Hyperparameter> hyperparameters,
                              double time_seconds) {
  Message start;
  for (const Hyperparameter& hyperparameter : hyperparameters)
    start.message(1, Message().text(1, hyperparameter.name).message(2, protobuf_value(hyperparameter.value)));
  start.text(4, name).number(5, time_seconds);
  hparams_summary("_hparams_/session_start_info", Message().message(3, start).bytes(), time_seconds);
}

void EventFile::session_end(SessionStatus status, double time_seconds) {
  const Message end = Message().integer(1, static_cast<int>(status)).number(2, time_seconds);
  hparams_summary("_hparams_/session_end_info", Message().message(4, end).bytes(), time_seconds);
}

void EventFile::hparams_summary(std::string_view tag, std::string_view plugin_data, double time_seconds) {
  constexpr int kTensorClass = 2;
  const Message metadata =
      Message().message(1, Message().text(1, "hparams").text(2, plugin_data)).integer(4, kTensorClass);
  // Readers want a tensor beside it: one zero.
  constexpr int kFloat = 1;
  const Message shape = Message().message(2, Message().integer(1, 1));
  const Message tensor = Message().integer(1, kFloat).message(2, shape).single(5, 0);
  const Message summary_value = Message().text(1, tag).message(8, tensor).message(9, metadata);
  bytes_ += tf_record(event(time_seconds, 0).message(5, Message().message(1, summary_value)).bytes());
}

}  // namespace retort::report
