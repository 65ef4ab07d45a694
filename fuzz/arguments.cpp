// Texts of the command line that the library reads: data, sizes, counts, durations; and base64.
#include "base/base64.h"
#include "base/error.h"
#include "base/units.h"
#include "data/reader.h"
#include "target.h"

namespace retort::fuzz {
namespace {

template <typename Parse>
void attempt(const Parse& parse) {
  try {
    parse();
  } catch (const Error&) {
  }
}

}  // namespace

void run(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  attempt([&] {
    const data::Spec spec = data::parse_spec(text);
    require(spec.height >= 0 && spec.height <= 4096 && spec.width <= 4096, "sizes are within their limits");
  });
  attempt([&] { require(!format_bytes(parse_bytes(text)).empty(), "a size prints"); });
  attempt([&] { require(!format_count(parse_count(text)).empty(), "a count prints"); });
  attempt([&] {
    const double seconds = parse_duration(text);
    require(seconds >= 0 && !format_duration(seconds).empty(), "a duration prints");
  });
  attempt([&] { require(to_base64(from_base64(text)) == text, "base64 goes there and back"); });
}

std::vector<Seed> seeds() {
  return text_seeds({"images:~/photos?size=32x32&gray=1", "fashion-mnist", "cifar10:a?gray=0", "64K",
                     "1.5 MiB", "2M", "1h30m", "100ms", "1d 2h", "AAEC", "1e300", "9223372036854775807"});
}

}  // namespace retort::fuzz
