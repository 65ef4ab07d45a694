#include "data/npy.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/sizes.h"

namespace retort::data {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are copied as they lie in the file");

constexpr std::string_view kMagic = "\x93NUMPY";
// Those of numbers have a hundred bytes.
constexpr uint64_t kMostHeaderBytes = uint64_t{1} << 20;

template <typename T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Bytes of one element; 0 for a dtype that is not a plain little-endian number.
size_t item_bytes(std::string_view dtype) {
  if (dtype.size() != 3) return 0;
  const char kind = dtype[1];
  const auto size = static_cast<size_t>(dtype[2] - '0');
  if (dtype[0] != '<' && dtype[0] != '=' && !(dtype[0] == '|' && size == 1)) return 0;
  if (kind == 'b') return size == 1 ? 1 : 0;
  if (kind == 'i' || kind == 'u') return size == 1 || size == 2 || size == 4 || size == 8 ? size : 0;
  if (kind == 'f') return size == 2 || size == 4 || size == 8 ? size : 0;
  return 0;
}

float half_to_float(uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const int fraction = half & 0x3ff;
  float value = 0;
  if (exponent == 31)
    value = fraction != 0 ? NAN : INFINITY;
  else if (exponent == 0)
    value = std::ldexp(static_cast<float>(fraction), -24);
  else
    value = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (half & 0x8000) != 0 ? -value : value;
}

// Calls use(value) with each of these elements as its own type.
template <typename Use>
void for_each_element(const NpyArray& array, size_t first, size_t count, const Use& use) {
  const size_t item = item_bytes(array.dtype);
  if (item == 0) throw_usage("an array of dtype {} does not hold numbers", array.dtype);
  const auto bytes = std::span(array.bytes).subspan(first * item, count * item);
  const auto walk = [&]<typename T>(T) {
    for (size_t at = 0; at < bytes.size(); at += sizeof(T)) use(load<T>(bytes.data() + at));
  };
  const std::string_view kind = std::string_view(array.dtype).substr(1);
  if (kind == "u1" || kind == "b1") return walk(uint8_t{});
  if (kind == "i1") return walk(int8_t{});
  if (kind == "u2") return walk(uint16_t{});
  if (kind == "i2") return walk(int16_t{});
  if (kind == "u4") return walk(uint32_t{});
  if (kind == "i4") return walk(int32_t{});
  if (kind == "u8") return walk(uint64_t{});
  if (kind == "i8") return walk(int64_t{});
  if (kind == "f4") return walk(float{});
  if (kind == "f8") return walk(double{});
  // Half precision is left.
  for (size_t at = 0; at < bytes.size(); at += 2) use(half_to_float(load<uint16_t>(bytes.data() + at)));
}

// The header is a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::filesystem::path& path) : text_(text), path_(path) {}

  NpyArray parse() {
    NpyArray array;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && array.dtype.empty()) {
        if (peek() != '\'' && peek() != '"') unsupported("a structured dtype");
        array.dtype = string();
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        if (word() == "True")
          throw_usage(
              "{}: is stored in Fortran order: save it with numpy.save(…, numpy.ascontiguousarray(x))",
              path_.string());
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        array.shape = tuple();
      } else {
        malformed();
      }
      if (!take(',') && peek() != '}') malformed();
    }
    if (array.dtype.empty() || !has_order || !has_shape) malformed();
    if (item_bytes(array.dtype) == 0) unsupported("dtype " + array.dtype);
    return array;
  }

 private:
  [[noreturn]] void malformed() const { throw_usage("{}: its .npy header is malformed", path_.string()); }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw_usage("{}: holds {}; little-endian integers and floats of 1 to 8 bytes can be read", path_.string(),
                what);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || c == '\0') return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) malformed();
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed();
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) malformed();
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  std::string word() {
    std::string value;
    for (char c = peek(); c >= 'A' && c <= 'z'; c = at_ < text_.size() ? text_[at_] : '\0') {
      value += c;
      ++at_;
    }
    if (value != "True" && value != "False") malformed();
    return value;
  }
  int64_t integer() {
    int64_t value = 0;
    size_t digits = 0;
    peek();
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
      if (value > (INT64_MAX - 9) / 10)
        throw_usage("{}: its shape has a dimension too large to exist", path_.string());
      value = value * 10 + (text_[at_] - '0');
    }
    if (digits == 0) malformed();
    return value;
  }
  std::vector<int64_t> tuple() {
    constexpr size_t kMaxRank = 32;  // NumPy's own
    std::vector<int64_t> values;
    expect('(');
    while (!take(')')) {
      if (values.size() == kMaxRank) malformed();
      values.push_back(integer());
      if (!take(',') && peek() != ')') malformed();
    }
    return values;
  }

  std::string_view text_;
  const std::filesystem::path& path_;
  size_t at_ = 0;
};

}  // namespace

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "(";
  for (const int64_t dimension : shape) text += fmt::format("{}, ", dimension);
  if (shape.size() > 1) text.resize(text.size() - 2);
  if (shape.size() == 1) text.pop_back();
  return text + ")";
}

int64_t NpyArray::count() const {
  return static_cast<int64_t>(saturating_product(std::span(shape)));
}

std::vector<float> NpyArray::as_float() const {
  require_memory(saturating_product({uint64_t{sizeof(float)}, static_cast<uint64_t>(count())}),
                 fmt::format("an array of shape {} as float32", shape_text(shape)));
  std::vector<float> values(static_cast<size_t>(count()));
  to_float(0, values);
  return values;
}

void NpyArray::to_float(size_t first, std::span<float> out) const {
  auto place = out.begin();
  for_each_element(*this, first, out.size(), [&](auto value) { *place++ = static_cast<float>(value); });
}

std::vector<int64_t> NpyArray::as_integer() const {
  if (dtype.size() != 3 || (dtype[1] != 'i' && dtype[1] != 'u'))
    throw_usage("an array of dtype {} does not hold integers", dtype);
  require_memory(saturating_product({uint64_t{sizeof(int64_t)}, static_cast<uint64_t>(count())}),
                 fmt::format("an array of shape {} as int64", shape_text(shape)));
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(count()));
  for_each_element(*this, 0, static_cast<size_t>(count()), [&](auto value) {
    if constexpr (sizeof value == 8 && std::is_unsigned_v<decltype(value)>)
      if (value > static_cast<uint64_t>(INT64_MAX))
        throw_usage("the integer {} does not fit in 63 bits", value);
    values.push_back(static_cast<int64_t>(value));
  });
  return values;
}

NpyArray read_npy(const std::filesystem::path& path) {
  InputFile file(path);
  const std::string& name = file.name();
  std::array<uint8_t, 12> start{};
  size_t at = file.read(std::span(start).first(10));
  if (at < 10 || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0)
    throw_usage("{}: is not a .npy file: it does not begin with \\x93NUMPY", name);
  const int version = start[6];
  if (version < 1 || version > 3 || start[7] != 0)
    throw_usage("{}: has .npy format version {}.{}; 1.0, 2.0 and 3.0 can be read", name, version, start[7]);
  if (version > 1) at += file.read(std::span(start).subspan(at));
  const uint64_t header_bytes =
      version == 1 ? load<uint16_t>(start.data() + 8) : load<uint32_t>(start.data() + 8);
  if ((version > 1 && at < start.size()) || file.bytes() < at + header_bytes)
    throw_usage("{}: is truncated in its header", name);
  if (header_bytes > kMostHeaderBytes)
    throw_usage("{}: has a header of {} bytes; at most {} are read", name, header_bytes, kMostHeaderBytes);
  std::vector<uint8_t> header(header_bytes);
  at += file.read(header);

  NpyArray array = HeaderParser({reinterpret_cast<const char*>(header.data()), header.size()}, path).parse();
  const uint64_t have = file.bytes() - at;
  const uint64_t need = saturating_product(
      {saturating_product(std::span<const int64_t>(array.shape)), uint64_t{item_bytes(array.dtype)}});
  if (need > static_cast<uint64_t>(INT64_MAX))
    throw_usage("{}: its shape {} is too large to exist", name, shape_text(array.shape));
  const auto require_whole = [&](uint64_t there) {
    if (there < need)
      throw_usage("{}: is truncated: shape {} of {} needs {} bytes of data, it has {}", name,
                  shape_text(array.shape), array.dtype, need, there);
  };
  require_whole(have);
  if (have > need)
    throw_usage("{}: has {} bytes after its data of shape {}", name, have - need, shape_text(array.shape));
  require_memory(need, name + ": its data");
  array.bytes.resize(need);
  require_whole(file.read(array.bytes));
  return array;
}

void write_npy(const std::filesystem::path& path, std::string_view dtype, std::span<const int64_t> shape,
               std::span<const uint8_t> bytes) {
  const size_t item = item_bytes(dtype);
  if (item == 0 || saturating_product({saturating_product(shape), uint64_t{item}}) != bytes.size())
    throw_failure("{}: {} bytes are not an array of shape {} and dtype {}", path.string(), bytes.size(),
                  shape_text(shape), dtype);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", dtype, shape_text(shape));
  // The data begins at a multiple of 64 bytes; the header ends in a line break. 32 dimensions fit in
  // version 1.0.
  constexpr size_t kStart = 10;
  header.append(63 - (kStart + header.size()) % 64, ' ');
  header += '\n';
  std::vector<uint8_t> start(kMagic.begin(), kMagic.end());
  start.insert(start.end(),
               {1, 0, static_cast<uint8_t>(header.size()), static_cast<uint8_t>(header.size() >> 8)});
  start.insert(start.end(), header.begin(), header.end());
  const std::array<std::span<const uint8_t>, 2> pieces = {start, bytes};
  write_pieces_atomic(path, pieces);
}

void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape,
               std::span<const float> values) {
  write_npy(path, "<f4", shape, {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
}

}  // namespace retort::data
