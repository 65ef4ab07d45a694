#include "graph/reference_networks.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace retort::graph {
namespace {

constexpr Shape kGrey{32, 32, 1, false};

TEST(ReferenceNetworks, StudentsByTheirParts) {
  EXPECT_EQ(reference_network("s21_16_1x64"), reference_network("s21_16"));
  EXPECT_EQ(reference_network("s11_16_0"), reference_network("s11_16"));
  EXPECT_EQ(reference_network("s32_64_2x512"), reference_network("s32_64"));
  EXPECT_EQ(reference_network("s22_32_0"), graph_from_config("2,2,32,0,64", kGrey, 10));
  EXPECT_EQ(student_name({3, 2, 64, 2, 512}), "s32_64_2x512");
  EXPECT_EQ(student_name({1, 1, 16, 0, 512}), "s11_16_0");
}

TEST(ReferenceNetworks, OtherWidths) {
  EXPECT_EQ(reference_network("s21_27"), graph_from_config("2,1,27,1,64", kGrey, 10));
  EXPECT_NE(reference_network("ds5"), reference_network("ds16"));
  EXPECT_EQ(reference_network("ds27").input_shape(), kGrey);
}

TEST(ReferenceNetworks, GroupsNameNetworks) {
  const std::vector<std::string> notebook = network_group("notebook");
  EXPECT_EQ(notebook.size(), 162U);
  std::set<std::string> hashes;
  for (const std::string& name : notebook) hashes.insert(structural_hash(reference_network(name)));
  EXPECT_EQ(hashes.size(), 162U);
  EXPECT_EQ(network_group("widths").size(), 16U);
  for (const std::string& name : network_group("widths")) EXPECT_NO_THROW(reference_network(name)) << name;
  EXPECT_EQ(network_group("reference"), reference_network_names());
  EXPECT_TRUE(network_group("s21_16").empty());
}

TEST(ReferenceNetworks, UnknownNamesAreUsageErrors) {
  // Each structure has one name: no units without dense layers, no leading zeros.
  for (const char* name : {"",
                           "s",
                           "s21",
                           "s21_",
                           "s21_x",
                           "s11_32",
                           "s21_016",
                           "s21_16_",
                           "s21_16_1",
                           "s21_16_1x",
                           "s21_16_0x64",
                           "s21_16_1x64x",
                           "s01_16_0",
                           "s2-1_16_0",
                           "s21_-16_0",
                           "s21_0",
                           "ds",
                           "ds0",
                           "ds016",
                           "ds16x",
                           "ds5000",
                           "s21_99999999999999_0",
                           "resnet50",
                           "notebook"}) {
    try {
      reference_network(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Usage) << name;
    }
  }
}

}  // namespace
}  // namespace retort::graph
