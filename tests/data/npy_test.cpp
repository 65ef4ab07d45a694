#include "data/npy.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "data/fixtures.h"

namespace retort::data {
namespace {

// A file with any header text, as numpy.lib.format lays it out.
std::vector<uint8_t> npy_file(std::string_view header, std::span<const uint8_t> data, uint8_t version = 1) {
  std::vector<uint8_t> file = {0x93, 'N', 'U', 'M', 'P', 'Y', version, 0};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    file.push_back(static_cast<uint8_t>(header.size() >> (8 * i)));
  file.insert(file.end(), header.begin(), header.end());
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

class Npy : public testing::Test {
 protected:
  std::string error(std::string_view header, std::span<const uint8_t> data = {}) {
    write_bytes(path(), npy_file(header, data));
    return usage_error([&] { read_npy(path()); });
  }
  [[nodiscard]] std::string path() const { return folder_.at("a.npy"); }
  TestFolder folder_;
};

TEST_F(Npy, ReadsBackWhatItWrites) {
  Rng rng(14);
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{}, {5}, {0}, {2, 3}, {2, 3, 4, 1}, {1, 1, 1, 1, 1, 1, 1, 2}}) {
    size_t count = 1;
    for (const int64_t dimension : shape) count *= static_cast<size_t>(dimension);
    for (const char* dtype : {"|u1", "<i2", "<f4", "<i8", "<f2"}) {
      const auto item = static_cast<size_t>(dtype[2] - '0');
      const std::vector<uint8_t> bytes = random_bytes(count * item, rng);
      write_npy(path(), dtype, shape, bytes);
      const NpyArray array = read_npy(path());
      EXPECT_EQ(array.dtype, dtype);
      EXPECT_EQ(array.shape, shape);
      EXPECT_EQ(array.bytes, bytes);
      EXPECT_EQ(array.count(), static_cast<int64_t>(count));
    }
    EXPECT_EQ((read_file(path()).size() - count * 2) % 64, 0U);
  }
  const std::vector<float> values = {1.5F, -2, 1e30F};
  write_npy(path(), std::array<int64_t, 1>{3}, values);
  EXPECT_EQ(read_npy(path()).as_float(), values);
}

TEST_F(Npy, ConvertsEveryNumber) {
  const auto array = [&]<typename T>(const char* dtype, std::vector<T> values) {
    NpyArray result{
        dtype, {static_cast<int64_t>(values.size())}, std::vector<uint8_t>(values.size() * sizeof(T))};
    std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
    return result;
  };
  const std::vector<int64_t> signs = {-1, 0, 7};
  EXPECT_EQ(array("|i1", std::vector<int8_t>{-1, 0, 7}).as_integer(), signs);
  EXPECT_EQ(array("<i2", std::vector<int16_t>{-1, 0, 7}).as_integer(), signs);
  EXPECT_EQ(array("<i4", std::vector<int32_t>{-1, 0, 7}).as_integer(), signs);
  EXPECT_EQ(array("<i8", std::vector<int64_t>{-1, 0, 7}).as_integer(), signs);
  EXPECT_EQ(array("<u8", std::vector<uint64_t>{1, 2}).as_integer(), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(array("<u4", std::vector<uint32_t>{0xffffffff}).as_integer(), std::vector<int64_t>{0xffffffff});
  EXPECT_EQ(array("<f8", std::vector<double>{0.25, -3}).as_float(), (std::vector<float>{0.25F, -3}));
  // Half precision: 1, −2, the smallest subnormal, the largest number.
  EXPECT_EQ(array("<f2", std::vector<uint16_t>{0x3c00, 0xc000, 0x0001, 0x7bff}).as_float(),
            (std::vector<float>{1, -2, 0x1p-24F, 65504}));
  EXPECT_TRUE(std::isinf(array("<f2", std::vector<uint16_t>{0x7c00}).as_float()[0]));
  EXPECT_TRUE(std::isnan(array("<f2", std::vector<uint16_t>{0x7c01}).as_float()[0]));
  EXPECT_EQ(usage_error([&] { return array("<f4", std::vector<float>{1}).as_integer(); }),
            "an array of dtype <f4 does not hold integers");
  EXPECT_EQ(usage_error([&] { return array("<u8", std::vector<uint64_t>{~uint64_t{0}}).as_integer(); }),
            "the integer 18446744073709551615 does not fit in 63 bits");
}

TEST_F(Npy, ReadsLaterVersionsAndOtherSpellings) {
  const std::vector<uint8_t> data = {1, 2, 3, 4, 5, 6};
  for (const uint8_t version : std::array<uint8_t, 3>{1, 2, 3}) {
    write_bytes(path(),
                npy_file("{'shape': (2, 3,), 'descr':\"|u1\",  'fortran_order':False}   \n", data, version));
    EXPECT_EQ(read_npy(path()).bytes, data);
  }
}

TEST_F(Npy, RefusesWrongFiles) {
  const std::vector<uint8_t> data(6);
  EXPECT_EQ(usage_error([&] { read_npy(folder_.at("none.npy")); }),
            folder_.at("none.npy") + ": cannot be read: No such file or directory");
  for (const std::string text : {"", "PK", "\x93NUMPX plus some more bytes"}) {
    write_text_atomic(path(), text);
    EXPECT_EQ(usage_error([&] { read_npy(path()); }),
              path() + ": is not a .npy file: it does not begin with \\x93NUMPY");
  }
  write_bytes(path(), npy_file("{}", {}, 4));
  EXPECT_EQ(usage_error([&] { read_npy(path()); }),
            path() + ": has .npy format version 4.0; 1.0, 2.0 and 3.0 can be read");
  std::vector<uint8_t> file = npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", data);
  file.resize(30);
  write_bytes(path(), file);
  EXPECT_EQ(usage_error([&] { read_npy(path()); }), path() + ": is truncated in its header");
  EXPECT_EQ(error("{'descr': '|u1', 'fortran_order': True, 'shape': (6,)}", data),
            path() + ": is stored in Fortran order: save it with numpy.save(…, numpy.ascontiguousarray(x))");
  for (const char* dtype : {">f4", "|O", "<U5", "<c8", "|V3", "<f3", "<u", "f4", "<m8[ns]"})
    EXPECT_EQ(error(fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': (6,)}}", dtype), data),
              fmt::format("{}: holds dtype {}; little-endian integers and floats of 1 to 8 bytes can be read",
                          path(), dtype));
  EXPECT_EQ(
      error("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", data),
      path() + ": holds a structured dtype; little-endian integers and floats of 1 to 8 bytes can be read");
  EXPECT_EQ(error("{'descr': '|u1', 'fortran_order': False, 'shape': (7,)}", data),
            path() + ": is truncated: shape (7,) of |u1 needs 7 bytes of data, it has 6");
  EXPECT_EQ(error("{'descr': '|u1', 'fortran_order': False, 'shape': (5, 1)}", data),
            path() + ": has 1 bytes after its data of shape (5, 1)");
  EXPECT_EQ(error("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 16)}", data),
            path() + ": its shape (4294967296, 4294967296, 16) is too large to exist");
  EXPECT_EQ(error("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", data),
            path() + ": its shape has a dimension too large to exist");
  for (const char* header :
       {"", "{", "{}", "[1]", "{'descr': '|u1'}", "{'descr': '|u1', 'fortran_order': Maybe, 'shape': (6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': 6}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-6,)}", "{'descr': '|u1' 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'other': 1}", "{'descr: }",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (6,)}"})
    EXPECT_EQ(error(header, data), path() + ": its .npy header is malformed") << header;
}

// Gigabytes without any disk behind them: they are refused by what the header says, unread.
TEST_F(Npy, TakesNoMemoryBeforeItsHeaderIsSound) {
  constexpr uintmax_t kBytes = uintmax_t{1} << 40U;
  const auto sparse = [&](const std::vector<uint8_t>& start, uintmax_t bytes) {
    write_bytes(path(), start);
    std::filesystem::resize_file(path(), start.size() + bytes);
    return usage_error([&] { read_npy(path()); });
  };
  EXPECT_EQ(sparse({}, kBytes), path() + ": is not a .npy file: it does not begin with \\x93NUMPY");
  EXPECT_EQ(sparse({0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 0, 0, 0, 0x80}, kBytes),
            path() + ": has a header of 2147483648 bytes; at most 1048576 are read");
  EXPECT_EQ(sparse(npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (6,)}", {}), kBytes),
            path() + ": has 1099511627770 bytes after its data of shape (6,)");
  const std::string large =
      sparse(npy_file("{'descr': '<f8', 'fortran_order': False, 'shape': (137438953472,)}", {}), kBytes);
  EXPECT_EQ(large.find(path() + ": its data would take 1099.5 GB, more than the "), 0U) << large;
}

// As floats, one-hot rows of bytes would take four times their file.
TEST_F(Npy, IsConvertedPartByPart) {
  const NpyArray array{"<i2", {2, 2}, {1, 0, 2, 0, 3, 0, 0xff, 0xff}};
  std::vector<float> row(2);
  array.to_float(2, row);
  EXPECT_EQ(row, (std::vector<float>{3, -1}));
  array.to_float(1, row);
  EXPECT_EQ(row, (std::vector<float>{2, 3}));
}

TEST_F(Npy, DamageNeverCrashes) {
  Rng rng(15);
  const std::vector<uint8_t> whole =
      npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", random_bytes(24, rng));
  for (int trial = 0; trial < 500; ++trial) {
    std::vector<uint8_t> damaged = whole;
    for (uint32_t i = 0; i <= rng.below(3); ++i)
      damaged[rng.below(static_cast<uint32_t>(damaged.size()))] = static_cast<uint8_t>(rng.below(256));
    damaged.resize(damaged.size() - rng.below(4));
    write_bytes(path(), damaged);
    usage_error([&] { read_npy(path()); });  // any other exception fails the test
  }
}

}  // namespace
}  // namespace retort::data
