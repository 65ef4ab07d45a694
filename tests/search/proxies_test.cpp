#include "search/proxies.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/micro.h"
#include "graph/parameters.h"
#include "search/teacher.h"
#include "synthetic.h"

namespace retort::search {
namespace {

class ProxiesTest : public testing::Test {
 protected:
  data::Dataset dataset = synthetic();
  graph::Graph network(const char* text) const {
    return graph::build(graph::micro_network(text), input_shape(dataset),
                        static_cast<int>(dataset.classes.size()));
  }
  engine::Batch batch(size_t count) const {
    return {.images = std::span(dataset.train.pixels).first(count * dataset.train.shape.bytes()),
            .labels = std::span(dataset.train.labels).first(count)};
  }
};

TEST_F(ProxiesTest, AgreeWithTheReferenceBackend) {
  for (const char* text : {"conv 8, res 8 s2, gap", "conv 6, sep 12 s2, inv 12 e2, flatten, dense 8"}) {
    const Proxies quick = measure_proxies(network(text), batch(16), engine::backend(), Rng(4));
    const Proxies exact = measure_proxies(network(text), batch(16), engine::backend("reference"), Rng(4));
    EXPECT_NEAR(quick.gradient_norm, exact.gradient_norm, 1e-3 * exact.gradient_norm) << text;
    EXPECT_NEAR(quick.snip, exact.snip, 1e-3 * exact.snip) << text;
    EXPECT_NEAR(quick.activation_patterns, exact.activation_patterns,
                0.01 * std::abs(exact.activation_patterns))
        << text;
  }
}

TEST_F(ProxiesTest, ManyReluTellImagesApartBetter) {
  const Rng rng(4);
  EXPECT_GT(measure_proxies(network("conv 16, conv 16, gap"), batch(16), engine::backend(), rng)
                .activation_patterns,
            measure_proxies(network("conv 2, gap"), batch(16), engine::backend(), rng).activation_patterns);
  // One image twice cannot be told apart: K has no inverse.
  engine::Batch twice = batch(2);
  const std::span<const uint8_t> first = twice.images.first(dataset.train.shape.bytes());
  std::vector<uint8_t> pixels(first.begin(), first.end());
  pixels.insert(pixels.end(), first.begin(), first.end());
  twice.images = pixels;
  EXPECT_LT(measure_proxies(network("conv 8, gap"), twice, engine::backend(), rng).activation_patterns, -15);
}

}  // namespace
}  // namespace retort::search
