#include "base/progress.h"

namespace retort {
namespace {

class SilentProgress final : public ProgressSink {
 public:
  void update(std::string_view, double, double, std::string_view) override {}
  void message(std::string_view) override {}
};

}  // namespace

ProgressSink& silent_progress() {
  static SilentProgress sink;
  return sink;
}

}  // namespace retort
